"""What one client's outbox keeps and lets go, and what a run's topic makes of what it hears."""

import json
import time
from itertools import count
from typing import Any

import pytest

from apps.live import outbox as outbox_module
from apps.live.hub import RunTopic
from apps.live.outbox import UNACKNOWLEDGED_EVERY, WINDOW, Frame, Outbox
from apps.live.stored import StoredRun


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outbox_module, "monotonic", clock)
    monkeypatch.setattr("apps.live.hub.monotonic", clock)
    return clock


def frame(sequence: int, *, kind: str = "snapshot", urgent: bool = False) -> Frame:
    return Frame(kind, sequence, f"{kind} {sequence}", urgent)


def fill(outbox: Outbox) -> None:
    for sequence in range(WINDOW):
        outbox.offer(frame(sequence))
        assert outbox.due() == [f"snapshot {sequence}"]


def test_a_newer_message_takes_the_place_of_an_unsent_one_of_its_type(clock: Clock) -> None:
    outbox = Outbox()
    outbox.offer(frame(1))
    outbox.offer(frame(2, kind="retraining"))
    outbox.offer(frame(3))
    assert outbox.due() == ["retraining 2", "snapshot 3"]
    assert outbox.due() == []


def test_a_full_window_holds_the_newest_until_an_acknowledgement(clock: Clock) -> None:
    outbox = Outbox()
    fill(outbox)
    for sequence in range(WINDOW, WINDOW + 5):
        outbox.offer(frame(sequence))
        assert outbox.due() == []
    outbox.acknowledge(0)
    assert outbox.due() == [f"snapshot {WINDOW + 4}"]


def test_a_client_that_never_acknowledges_gets_the_newest_once_a_second(clock: Clock) -> None:
    outbox = Outbox()
    fill(outbox)
    sent = []
    for sequence in range(WINDOW, WINDOW + 100):
        clock.now += 0.1
        outbox.offer(frame(sequence))
        sent += outbox.due()
    assert 9 <= len(sent) <= 10


def test_what_waits_goes_out_late_even_when_nothing_new_comes(clock: Clock) -> None:
    outbox = Outbox()
    fill(outbox)
    outbox.offer(frame(WINDOW))
    outbox.nudge()
    assert outbox.due() == []
    clock.now += UNACKNOWLEDGED_EVERY
    outbox.nudge()
    assert outbox.due() == [f"snapshot {WINDOW}"]


def test_an_urgent_message_passes_a_full_window(clock: Clock) -> None:
    outbox = Outbox()
    fill(outbox)
    outbox.offer(frame(WINDOW))
    outbox.offer(frame(WINDOW + 1, kind="run_state", urgent=True))
    assert outbox.due() == [f"run_state {WINDOW + 1}"]


def test_a_newer_message_inherits_the_urgency_of_the_one_it_replaces(clock: Clock) -> None:
    outbox = Outbox()
    fill(outbox)
    outbox.offer(frame(WINDOW, urgent=True))
    outbox.offer(frame(WINDOW + 1))
    assert outbox.due() == [f"snapshot {WINDOW + 1}"]


def test_an_acknowledgement_of_what_was_never_sent_does_no_harm(clock: Clock) -> None:
    outbox = Outbox()
    outbox.acknowledge(10**18)
    outbox.acknowledge(-1)
    outbox.offer(frame(1))
    assert outbox.due() == ["snapshot 1"]


def test_nothing_grows_for_a_client_that_never_reads(clock: Clock) -> None:
    outbox = Outbox()
    for sequence in range(10_000):
        clock.now += 0.1
        outbox.offer(frame(sequence))
        outbox.reply({"type": "pong"})
        outbox.due()
    assert len(outbox._pending) <= 1
    assert len(outbox._on_their_way) <= WINDOW
    assert len(outbox._replies) <= outbox_module.REPLIES


def snapshot(**changes: Any) -> dict[str, Any]:
    message = {
        "type": "snapshot",
        "run": 1,
        "name": "r",
        "status": "running",
        "error": "",
        "interrupted": False,
        "retraining": None,
        "published_at": 1.0,
        "progress": 0.0,
    }
    return {**message, **changes}


def stored(snapshot: dict[str, Any], **changes: Any) -> StoredRun:
    row = {"status": snapshot["status"], "error": "", "interrupted": False, **changes}
    return StoredRun(run_id=1, snapshot=snapshot, **row)


@pytest.fixture
def topic(clock: Clock) -> RunTopic:
    return RunTopic(count(1), stored(snapshot()))


@pytest.fixture
def client(topic: RunTopic) -> Outbox:
    client = Outbox()
    topic.join(client)
    client.due()
    return client


def heard(client: Outbox) -> list[dict[str, Any]]:
    return [json.loads(text) for text in client.due()]


def test_who_joins_gets_the_newest_snapshot(topic: RunTopic) -> None:
    topic.told(snapshot(published_at=2.0))
    client = Outbox()
    topic.join(client)
    assert [message["published_at"] for message in heard(client)] == [2.0]


def test_a_new_status_is_told_before_the_snapshot_that_has_it(topic: RunTopic, client: Outbox) -> None:
    topic.told(snapshot(published_at=2.0, status="paused"))
    first, second = heard(client)
    assert (first["type"], first["status"]) == ("run_state", "paused")
    assert (second["type"], second["status"]) == ("snapshot", "paused")
    assert first["sequence"] < second["sequence"]


def test_the_same_snapshot_is_shown_once_whichever_way_it_comes(topic: RunTopic, client: Outbox, clock: Clock) -> None:
    topic.told(snapshot(published_at=2.0))
    clock.now += 1
    topic.read(stored(snapshot(published_at=2.0)), clock.now)
    topic.told(snapshot(published_at=2.0))
    assert len(heard(client)) == 1


def test_a_row_read_before_the_runner_spoke_is_not_believed(topic: RunTopic, client: Outbox, clock: Clock) -> None:
    read_at = clock.now
    clock.now += 0.1
    topic.told(snapshot(published_at=2.0, status="finished"))
    topic.read(stored(snapshot(published_at=1.5)), read_at)
    assert [message["status"] for message in heard(client)] == ["finished", "finished"]


def test_an_older_stored_snapshot_does_not_turn_the_clock_back(topic: RunTopic, client: Outbox, clock: Clock) -> None:
    topic.told(snapshot(published_at=2.0))
    heard(client)
    clock.now += 0.5
    topic.read(stored(snapshot(published_at=1.5)), clock.now)
    assert heard(client) == []


def test_a_runner_whose_clock_is_behind_is_believed_when_the_other_is_silent(
    topic: RunTopic, client: Outbox, clock: Clock
) -> None:
    topic.told(snapshot(published_at=2000.0))
    heard(client)
    clock.now += 10
    topic.read(stored(snapshot(published_at=1500.0)), clock.now)
    assert [message["published_at"] for message in heard(client)] == [1500.0]


def test_a_row_that_says_otherwise_is_believed_after_a_second(topic: RunTopic, client: Outbox, clock: Clock) -> None:
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


def test_a_retraining_is_told_once(topic: RunTopic, client: Outbox) -> None:
    event = {"scheduler": "hybrid_ml", "number": 1, "clock_time": 5.0, "model_version": 1, "rows": 9, "score": None}
    topic.told(snapshot(published_at=2.0, retraining=event))
    topic.told(snapshot(published_at=3.0, retraining=event))
    assert [message["type"] for message in heard(client)] == ["retraining", "snapshot"]


def test_fanning_out_encodes_once(topic: RunTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(100):
        topic.join(Outbox())
    encoded = []
    real = outbox_module.messages.encode
    monkeypatch.setattr("apps.live.messages.encode", lambda message: encoded.append(1) or real(message))
    topic.told(snapshot(published_at=time.time()))
    assert len(encoded) == 1
