"""A process whose run another has taken up meanwhile, as after a broken link, stores nothing more of it."""

from typing import Literal

import pytest

from apps.live.models import ClaimLost, SimulationState
from apps.live.play.configuration import RunConfiguration
from apps.live.play.launch import run_create
from apps.live.play.runner import Runner
from apps.metrics.models import Metric
from apps.results.models import Run, SchedulerResult
from apps.tasks.services import workload_generate
from scheduler_sim.engine.clusters.presets import load_cluster

pytestmark = pytest.mark.django_db(transaction=True)

POLICIES = ("fcfs", "sjf+easy")
ELSEWHERE = {"process_id": 7, "machine": "another boot", "host": "far", "process_start_ticks": 1}


class Takes:
    """Lets another machine take the run up at an event."""

    def __init__(self, at: str) -> None:
        self._at = at

    def started(self, runner: Runner) -> None:
        if self._at == "started":
            self._take(runner)

    def stepped(self, runner: Runner) -> None:
        if self._at == "stepped" and all(player.simulation.done for player in runner.players):
            self._take(runner)

    def changed(self, runner: Runner) -> None:
        pass

    def ended(self, runner: Runner) -> None:
        pass

    def _take(self, runner: Runner) -> None:
        SimulationState.objects.filter(run=runner.run).update(**ELSEWHERE)


@pytest.mark.parametrize("keep", ["results", "parquet", "summary"])
@pytest.mark.parametrize("at", ["started", "stepped"])
def test_a_run_that_was_taken_up_elsewhere_is_neither_stored_nor_failed_here(
    at: str, keep: Literal["results", "parquet", "summary"]
) -> None:
    workload, _ = workload_generate(model="lublin", tasks=200, seed=1)
    configuration = RunConfiguration(policies=POLICIES, keep=keep)
    run = run_create(workload=workload, cluster=load_cluster("hpc-256"), configuration=configuration)
    with pytest.raises(ClaimLost, match="was taken up by another process"):
        Runner(run, observers=[Takes(at)]).play()
    left = Run.objects.get(pk=run.pk)
    assert (left.status, left.error, left.checksum) == (Run.Status.RUNNING, "", "")
    assert not Metric.objects.filter(run=run).exists()
    if at == "started":
        assert not SchedulerResult.objects.count_of(left)
        assert SimulationState.objects.get(run=run).progress == {}
    state = SimulationState.objects.get(run=run)
    assert {name: getattr(state, name) for name in ELSEWHERE} == ELSEWHERE


def test_a_claim_is_lost_only_to_another_process() -> None:
    workload, _ = workload_generate(model="lublin", tasks=10, seed=1)
    run = run_create(
        workload=workload, cluster=load_cluster("hpc-256"), configuration=RunConfiguration(policies=POLICIES)
    )
    state = SimulationState.objects.get(run=run)
    state.claim()
    assert not state.is_lost()
    state.keep()
    SimulationState.objects.filter(run=run).update(process_id=None)
    assert state.is_lost()
    with pytest.raises(ClaimLost):
        state.keep()
    run.delete()
    assert not state.is_lost()
