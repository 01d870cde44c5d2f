"""What one client's outbox keeps and lets go, and what a run's topic makes of what it hears."""

import asyncio
import json
import re
import time
from itertools import count
from typing import Any

import pytest

from apps.live.wire import messages
from apps.live.wire import outbox as outbox_module
from apps.live.wire.hub import RunTopic
from apps.live.wire.outbox import UNACKNOWLEDGED_EVERY, WINDOW, Frame, Outbox
from apps.live.wire.stored import StoredRun
from tests.clock import Clock
from tests.live.snapshots import make_snapshot


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(1000.0)
    monkeypatch.setattr(outbox_module, "monotonic", clock)
    monkeypatch.setattr("apps.live.wire.hub.monotonic", clock)
    return clock


def frame(sequence: int, *, kind: str = "snapshot", urgent: bool = False) -> Frame:
    text = f"{kind} {sequence}"
    return Frame(kind, sequence, {"text": text}, text.encode(), urgent)


class Wire:
    """Takes what an outbox sends: events, or ready frames as daphne does here."""

    takes_frames = False

    def __init__(self) -> None:
        self.outbox = Outbox(self, write=self._write if self.takes_frames else None)
        self._texts: list[str] = []

    async def __call__(self, event: dict[str, str]) -> None:
        self._texts.append(event["text"])

    def _write(self, frame: bytes) -> None:
        # The head of a frame is two bytes, or four, none of which begins a JSON object or one of the words here.
        self._texts.append(re.sub(rb"^\x81(~..|.)", b"", frame, flags=re.DOTALL).decode())

    def took(self) -> list[str]:
        texts, self._texts = self._texts, []
        return texts


@pytest.fixture(params=[False, True], ids=["events", "frames"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wire, "takes_frames", request.param)


both_ways = pytest.mark.usefixtures("_both_ways")


def full() -> Wire:
    """Return a wire whose window is full."""
    wire = Wire()
    for sequence in range(WINDOW):
        wire.outbox.offer(frame(sequence))
        assert wire.took() == [f"snapshot {sequence}"]
    return wire


def test_while_sending_waits_a_newer_message_takes_the_place_of_an_unsent_one_of_its_type() -> None:
    async def exchange() -> list[str]:
        texts: list[str] = []
        go_on = asyncio.Event()

        async def send(event: dict[str, str]) -> None:
            await go_on.wait()
            await asyncio.sleep(0)
            texts.append(event["text"])

        outbox = Outbox(send)
        for number, kind in enumerate(("snapshot", "snapshot", "retraining", "snapshot")):
            outbox.offer(frame(number, kind=kind))
        assert texts == []
        go_on.set()
        await asyncio.sleep(0.01)
        return texts

    assert asyncio.run(exchange()) == ["snapshot 0", "retraining 2", "snapshot 3"]


def test_a_closed_outbox_ends_a_send_that_waits() -> None:
    async def exchange() -> bool:
        cancelled = []

        async def send(_event: dict[str, str]) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        outbox = Outbox(send)
        outbox.offer(frame(1))
        await asyncio.sleep(0)
        outbox.close()
        await asyncio.sleep(0.01)
        return cancelled == [True]

    assert asyncio.run(exchange())


def test_a_client_that_is_gone_stops_nobody_else() -> None:
    refused: list[dict[str, str]] = []

    async def send(event: dict[str, str]) -> None:
        refused.append(event)
        raise OSError("gone")

    gone, wire = Outbox(send), Wire()
    for sequence in (1, 2):
        for outbox in (gone, wire.outbox):
            outbox.offer(frame(sequence))
    assert [event["text"] for event in refused] == ["snapshot 1", "snapshot 2"]
    assert wire.took() == ["snapshot 1", "snapshot 2"]


@both_ways
def test_a_full_window_holds_the_newest_until_an_acknowledgement(clock: Clock) -> None:
    wire = full()
    for sequence in range(WINDOW, WINDOW + 5):
        wire.outbox.offer(frame(sequence))
        assert wire.took() == []
    wire.outbox.acknowledge(0)
    assert wire.took() == [f"snapshot {WINDOW + 4}"]


@both_ways
def test_a_client_that_never_acknowledges_gets_the_newest_once_a_second(clock: Clock) -> None:
    wire = full()
    sent = []
    for sequence in range(WINDOW, WINDOW + 100):
        clock.now += 0.1
        wire.outbox.offer(frame(sequence))
        sent += wire.took()
    assert 9 <= len(sent) <= 10


@both_ways
def test_what_waits_goes_out_late_even_when_nothing_new_comes(clock: Clock) -> None:
    wire = full()
    wire.outbox.offer(frame(WINDOW))
    wire.outbox.flush()
    assert wire.took() == []
    clock.now += UNACKNOWLEDGED_EVERY
    wire.outbox.flush()
    assert wire.took() == [f"snapshot {WINDOW}"]


@both_ways
def test_an_urgent_message_passes_a_full_window(clock: Clock) -> None:
    wire = full()
    wire.outbox.offer(frame(WINDOW))
    wire.outbox.offer(frame(WINDOW + 1, kind="run_state", urgent=True))
    assert wire.took() == [f"run_state {WINDOW + 1}"]


def test_a_newer_message_inherits_the_urgency_of_the_one_it_replaces(clock: Clock) -> None:
    async def exchange() -> list[str]:
        texts: list[str] = []
        go_on = asyncio.Event()

        async def send(event: dict[str, str]) -> None:
            if len(texts) == WINDOW - 1:
                await go_on.wait()
            texts.append(event["text"])

        outbox = Outbox(send)
        for sequence in range(WINDOW):
            outbox.offer(frame(sequence))
        outbox.offer(frame(WINDOW, urgent=True))
        outbox.offer(frame(WINDOW + 1))
        go_on.set()
        await asyncio.sleep(0.01)
        return texts[WINDOW:]

    assert asyncio.run(exchange()) == [f"snapshot {WINDOW + 1}"]


def test_an_acknowledgement_of_what_was_never_sent_does_no_harm(clock: Clock) -> None:
    wire = Wire()
    wire.outbox.acknowledge(10**18)
    wire.outbox.acknowledge(-1)
    wire.outbox.offer(frame(1))
    assert wire.took() == ["snapshot 1"]


@both_ways
def test_nothing_grows_for_a_client_that_never_reads(clock: Clock) -> None:
    wire = Wire()
    for sequence in range(10_000):
        clock.now += 0.1
        wire.outbox.offer(frame(sequence))
        wire.outbox.reply({"type": "pong"})
    assert len(wire.outbox._pending) <= 1
    assert len(wire.outbox._on_their_way) <= WINDOW
    assert len(wire.outbox._replies) <= outbox_module.REPLIES


def snapshot(**changes: Any) -> messages.Snapshot:
    return make_snapshot(interrupted=False, **changes)


def stored(snapshot: messages.Snapshot, **changes: Any) -> StoredRun:
    row = {"status": snapshot["status"], "error": "", "interrupted": False, **changes}
    return StoredRun(run_id=1, snapshot=snapshot, **row)


@pytest.fixture
def topic(clock: Clock) -> RunTopic:
    return RunTopic(count(1), stored(snapshot()))


@pytest.fixture
def client(topic: RunTopic) -> Wire:
    client = Wire()
    topic.join(client.outbox)
    client.took()
    return client


def heard(client: Wire) -> list[dict[str, Any]]:
    return [json.loads(text) for text in client.took()]


def test_who_joins_gets_the_newest_snapshot(topic: RunTopic) -> None:
    topic.told(snapshot(published_at=2.0))
    client = Wire()
    topic.join(client.outbox)
    assert [message["published_at"] for message in heard(client)] == [2.0]


@both_ways
def test_a_new_status_is_told_before_the_snapshot_that_has_it(topic: RunTopic, client: Wire) -> None:
    topic.told(snapshot(published_at=2.0, status="paused"))
    first, second = heard(client)
    assert (first["type"], first["status"]) == ("run_state", "paused")
    assert (second["type"], second["status"]) == ("snapshot", "paused")
    assert first["sequence"] < second["sequence"]


def test_the_same_snapshot_is_shown_once_whichever_way_it_comes(topic: RunTopic, client: Wire, clock: Clock) -> None:
    topic.told(snapshot(published_at=2.0))
    clock.now += 1
    topic.read(stored(snapshot(published_at=2.0)), clock.now)
    topic.told(snapshot(published_at=2.0))
    assert len(heard(client)) == 1


def test_a_row_read_before_the_runner_spoke_is_not_believed(topic: RunTopic, client: Wire, clock: Clock) -> None:
    read_at = clock.now
    clock.now += 0.1
    topic.told(snapshot(published_at=2.0, status="finished"))
    topic.read(stored(snapshot(published_at=1.5)), read_at)
    assert [message["status"] for message in heard(client)] == ["finished", "finished"]


def test_an_older_stored_snapshot_does_not_turn_the_clock_back(topic: RunTopic, client: Wire, clock: Clock) -> None:
    topic.told(snapshot(published_at=2.0))
    heard(client)
    clock.now += 0.5
    topic.read(stored(snapshot(published_at=1.5)), clock.now)
    assert heard(client) == []


def test_a_runner_whose_clock_is_behind_is_believed_when_the_other_is_silent(
    topic: RunTopic, client: Wire, clock: Clock
) -> None:
    topic.told(snapshot(published_at=2000.0))
    heard(client)
    clock.now += 10
    topic.read(stored(snapshot(published_at=1500.0)), clock.now)
    assert [message["published_at"] for message in heard(client)] == [1500.0]


def test_a_row_that_says_otherwise_is_believed_after_a_second(topic: RunTopic, client: Wire, clock: Clock) -> None:
    failed = stored(snapshot(), status="failed")
    topic.read(failed, clock.now)
    clock.now += 0.5
    topic.read(failed, clock.now)
    assert heard(client) == []
    clock.now += 0.6
    topic.read(failed, clock.now)
    assert [message["status"] for message in heard(client)] == ["failed", "failed"]
    clock.now += 1
    topic.read(failed, clock.now)
    assert heard(client) == []


def test_a_retraining_is_told_once(topic: RunTopic, client: Wire) -> None:
    event = {"scheduler": "hybrid_ml", "number": 1, "clock_time": 5.0, "model_version": 1, "rows": 9, "score": None}
    topic.told(snapshot(published_at=2.0, retraining=event))
    topic.told(snapshot(published_at=3.0, retraining=event))
    assert [message["type"] for message in heard(client)] == ["retraining", "snapshot", "snapshot"]


def test_fanning_out_encodes_once(topic: RunTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(100):
        topic.join(Wire().outbox)
    encoded: list[Any] = []
    real = messages.encode

    def encode(message: Any) -> str:
        encoded.append(message)
        return real(message)

    monkeypatch.setattr(messages, "encode", encode)
    topic.told(snapshot(published_at=time.time()))
    assert len(encoded) == 1
