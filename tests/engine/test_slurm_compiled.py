"""The compiled twin of Slurm beside the slow simulator, on recorded plans, start by start."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scheduler_sim.engine import Options, Simulation, parse_policy
from tests.engine.reference_slurm import Phases, ReferenceSlurm
from tests.engine.slurm_cases import read_recorded

PathOf = Callable[[str], Path]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["S1A", "S2", "S3", "S4"])
def test_both_start_every_recorded_job_at_the_same_instant_on_the_same_node(name: str, slurm_path: PathOf) -> None:
    recorded = read_recorded(slurm_path, name)
    phases = Phases(main=0.31, backfill=0.62, decay=19.0, limits=7.0)
    slow = ReferenceSlurm(recorded.workload, recorded.site, phases, epoch=recorded.epoch).play()
    words = f"main_phase={phases.main},backfill_phase={phases.backfill},decay_phase={phases.decay:.0f}"
    quick = Simulation(
        recorded.workload,
        recorded.site.cluster,
        parse_policy(f"slurm({words},limit_phase={phases.limits:.0f},epoch={recorded.epoch:.0f})"),
        site=recorded.site,
        options=Options(kill_at_estimate=True),
    )
    quick.advance()
    outcome = quick.outcome()
    # A task that is cancelled while it waits has no node, whatever its start says.
    start = np.where(outcome.node < 0, np.nan, outcome.start_time)
    np.testing.assert_array_equal(start, [job.first_start for job in slow.jobs])
    once = [job.row for job in slow.jobs if len(job.attempts) == 1]
    assert len(once) > 400
    assert outcome.node[once].tolist() == [slow.jobs[row].shares[0][0] for row in once]
