"""What was published comes out again, and the page on it says what comes out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.reproduction import TABLES, Row, bound_starts, lines_of
from tests.conftest import ROOT

QUICK = tuple(name for name in TABLES if name != "fragmentation")
"""The other one fills 1,213 nodes forty times."""


@pytest.mark.parametrize("name", QUICK)
def test_a_table_is_within_its_tolerances_and_as_the_page_shows_it(name: str, trace_path: Any) -> None:
    rows = TABLES[name].play(Path(trace_path("README.md")).parents[1])
    assert [row for row in rows if row.outside] == []
    page = (ROOT / "docs/reproduction.md").read_text().splitlines()
    assert [line for line in lines_of(rows) if line not in page] == []


def test_the_fitted_scores_are_below_those_they_were_compared_with(trace_path: Any) -> None:
    here = {row.policy: row.here for row in TABLES["fitted"].play(Path(trace_path("README.md")).parents[1])}
    assert max(here[name] for name in ("f1", "f2", "f3", "f4")) < min(
        here[name] for name in ("fcfs", "wfp3", "unicep", "sjf")
    )


@pytest.mark.parametrize(("here", "outside"), [(100.4, False), (100.6, True), (99.4, True), (np.nan, True)])
def test_a_figure_farther_off_than_its_tolerance_is_told(here: float, outside: bool) -> None:
    assert Row("", "fcfs", 100.0, here, 0.005).outside is outside
    assert Row("", "fcfs", 100.0, here, None).outside is False


def test_who_is_chosen_blocks_the_queue_and_only_backfilling_passes_it() -> None:
    """Job 1 is chosen at 1 s and waits for job 0; job 2 fits beside it and ends in time, job 3 does not."""
    arrival, runtime = np.array([0.0, 1.0, 2.0, 3.0]), np.array([10.0, 5.0, 7.0, 20.0])
    cpus = np.array([3, 4, 1, 1])
    assert bound_starts(arrival, runtime, cpus, arrival, 4, backfill=False).tolist() == [0.0, 10.0, 15.0, 15.0]
    assert bound_starts(arrival, runtime, cpus, arrival, 4, backfill=True).tolist() == [0.0, 10.0, 2.0, 15.0]
