"""Passes that recorded Slurm clusters made, decided anew from the state in which they made it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import depth
from tests.engine.slurm_ahead import passes, tally
from tests.engine.slurm_cases import read_recorded

PathOf = Callable[[str], Path]

APART = depth.apart(2)
"""Every other pass is looked at, and all of them where TEST_DEPTH is 2."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "decay", "whole", "half"),
    [
        ("S1A", 0.0, (0, 0, 0), (0, 0, 0)),
        ("S1B", 0.0, (0, 0, 0), (0, 0, 0)),
        # In S2 a state that is told wrongly once stays wrong: of jobs on several nodes the log says not how many cores
        # each has.
        ("S2", 0.0, (0, 40, 28), (0, 23, 19)),
        ("S3", 19.0, (1, 3, 1), (0, 1, 0)),
        ("S4", 22.0, (3, 2, 0), (1, 2, 0)),
    ],
)
def test_a_pass_starts_the_jobs_on_the_nodes_that_it_really_did(
    name: str, decay: float, whole: tuple[int, int, int], half: tuple[int, int, int], slurm_path: PathOf
) -> None:
    """`decay` is when usage was first calculated, as the priorities tell that sprio printed.

    `whole` and `half` are what was found of all passes and of every other one: passes by the main loop and by
    backfilling that start other jobs, and jobs that start on other nodes.
    """
    other_main, other_backfill, elsewhere = half if APART % 2 == 0 else whole
    found = tally(passes(read_recorded(slurm_path, name), slurm_path, name, decay=decay, apart=APART))
    assert found["main passes"] > 80 // APART
    assert found["backfill passes"] > 100 // APART
    assert found["main passes"] - found["main passes alike"] <= other_main
    assert found["backfill passes"] - found["backfill passes alike"] <= other_backfill
    alike = found["main starts alike"] + found["backfill starts alike"]
    assert alike - found["main starts on the same nodes"] - found["backfill starts on the same nodes"] <= elsewhere
