"""The vocabulary of the live messages: what each holds, and that it can be written as JSON."""

import asyncio
import json
import typing
from pathlib import Path
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers, get_channel_layer

from apps.live.wire import messages
from tests.live.snapshots import make_snapshot

DOCUMENT = Path(__file__).parents[2] / "docs" / "live.md"

SERVER_MESSAGES = (
    messages.Snapshot,
    messages.RunState,
    messages.RetrainingMessage,
    messages.Runs,
    messages.Accepted,
    messages.Error,
    messages.Pong,
)


@pytest.mark.parametrize("message", SERVER_MESSAGES)
def test_every_message_has_a_type_and_a_version_and_is_documented(message: type) -> None:
    hints = typing.get_type_hints(message)
    (name,) = typing.get_args(hints["type"])
    assert hints["version"] is int
    assert f"`{name}`" in DOCUMENT.read_text()


@pytest.mark.parametrize(
    "message",
    [*SERVER_MESSAGES, messages.PolicyProgress, messages.Placement, messages.Retraining, messages.RunProgress],
)
def test_every_field_is_documented(message: type) -> None:
    text = DOCUMENT.read_text()
    assert [field for field in typing.get_type_hints(message) if f"`{field}`" not in text] == []


def test_every_close_code_is_documented() -> None:
    text = DOCUMENT.read_text()
    codes = [value for name, value in vars(messages.Close).items() if not name.startswith("_")]
    assert [code for code in codes if f"| {code} |" not in text] == []


def test_what_is_not_a_number_becomes_no_data() -> None:
    assert messages.number(float("nan")) is None
    assert messages.number(float("inf")) is None
    assert messages.number(2.5) == 2.5


def test_a_message_with_a_value_that_json_lacks_is_not_sent() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        messages.encode({"type": "snapshot", "progress": float("nan")})


def test_a_pong_repeats_a_plain_id_and_nothing_else() -> None:
    assert messages.pong({"type": "ping", "id": "a"})["id"] == "a"
    assert "id" not in messages.pong({"type": "ping"})
    assert "id" not in messages.pong({"type": "ping", "id": {"deep": []}})


def test_a_snapshot_reaches_the_group_of_its_run_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(channel_layers.backends, "default", InMemoryChannelLayer())

    snapshot = make_snapshot()

    async def exchange() -> tuple[dict[str, Any], bool]:
        layer = get_channel_layer()
        assert isinstance(layer, InMemoryChannelLayer)
        await layer.group_add(messages.run_group(1), "one")
        await layer.group_add(messages.run_group(2), "two")
        await messages.send_snapshot(snapshot)
        return await layer.receive("one"), layer.channels.get("two", asyncio.Queue()).empty()

    received, other_is_empty = asyncio.run(exchange())
    assert received["snapshot"] == snapshot
    assert other_is_empty


def test_without_redis_snapshots_go_through_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(channel_layers.backends, "default", InMemoryChannelLayer())
    assert messages.via() == "database"


def test_error_codes_are_those_that_the_document_lists() -> None:
    codes = typing.get_args(typing.get_type_hints(messages.Error)["code"])
    assert [code for code in codes if f"`{code}`" not in DOCUMENT.read_text()] == []
    assert json.loads(messages.encode(messages.error("refused", "No.")))["code"] == "refused"
