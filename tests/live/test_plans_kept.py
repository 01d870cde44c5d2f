"""Plans that are played again for an instant go on between requests."""

from threading import Event

import pytest

from apps.live.instants import replays
from apps.live.instants.replays import Patience
from scheduler_sim.engine.instant import NotExplained


def test_what_was_asked_for_is_found_by_the_next_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "LEAST_SECONDS", 0.0)
    begun, may_end, played = Event(), Event(), []

    def play() -> str:
        played.append(1)
        begun.set()
        may_end.wait(60)
        return "plan"

    asked = replays._begun(("run", 5.0), play)
    assert begun.wait(60)
    for _ in range(2):
        with pytest.raises(NotExplained, match="look again in a moment"):
            Patience(0.0).wait(play, ("run", 5.0))
    # Another plan has not begun; nobody waits for it any longer.
    with pytest.raises(NotExplained, match="look again in a moment"):
        Patience(0.0).wait(play, ("run", 6.0))
    may_end.set()
    assert asked.result(60) == "plan"
    assert Patience(0.0).wait(play, ("run", 5.0)) == "plan"
    assert played == [1]
    assert Patience(None).wait(play, ("run", 6.0)) == "plan"
    assert played == [1, 1]


def test_what_failed_is_played_anew() -> None:
    def fail() -> str:
        raise NotExplained("It goes back too far.")

    with pytest.raises(NotExplained, match="too far"):
        Patience(None).wait(fail, ("failed",))
    assert Patience(None).wait(lambda: "plan", ("failed",)) == "plan"
