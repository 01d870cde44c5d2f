"""What tests of studies share."""

from typing import Any

import pytest

from apps.studies.play import execution, playing
from apps.studies.play.playing import play_run


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Play runs here instead of in a pool, whose processes would not see the test's transaction; note which."""
    played: list[int] = []
    # Keys come again when a test is rolled back.
    playing._tasks.cache_clear()

    def play(run_ids: Any, *, workers: int, on_end: Any, beat: Any) -> None:
        for run_id in run_ids:
            played.append(run_id)
            on_end(run_id, play_run(run_id))
            beat()

    monkeypatch.setattr(execution, "play_on_pool", play)
    return played
