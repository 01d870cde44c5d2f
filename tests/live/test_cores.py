"""A run on several cores stores, shows and obeys as one that plays its policies one after the other."""

import threading
from typing import Any, Literal

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from apps.live.models import SimulationState
from apps.live.play.configuration import RunConfiguration
from apps.live.play.launch import run_create
from apps.live.play.players import Player
from apps.live.play.runner import Runner
from apps.live.store.batches import ResultBatch
from apps.live.store.writer import ResultWriter
from apps.metrics.models import GroupMetric, Metric
from apps.results.models import Attempt, Run, SchedulerResult
from apps.tasks.services import workload_generate
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import load_cluster
from tests.live.live_site import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

POLICIES = ("fcfs", "fcfs+easy", "sjf", "srtf", "sjf~requeue")


def make_run(keep: Literal["results", "summary"] = "results", **more: Any) -> Run:
    workload, _ = workload_generate(model="lublin", tasks=400, seed=3)
    configuration = RunConfiguration(policies=POLICIES, seed=1, keep=keep, **more)
    return run_create(workload=workload, cluster=load_cluster("hpc-256"), configuration=configuration)


def stored(run: Run) -> list[Any]:
    """Return all that is stored of a run, in an order that does not depend on when it was written."""
    told = {"id", "run", "run_id"}
    found = []
    for model in (SchedulerResult, Attempt, Metric, GroupMetric):
        names = [field.attname for field in model._meta.concrete_fields if field.attname not in told]
        found.append(sorted(map(repr, model.objects.filter(run=run).values_list(*names))))
    return found


@pytest.mark.parametrize("keep", ["results", "summary"])
def test_rows_figures_and_checksum_are_the_same_on_any_number_of_cores(keep: Literal["results", "summary"]) -> None:
    runs = []
    for threads in (1, 2, 4):
        run = make_run(keep)
        Runner(run, threads=threads).play()
        runs.append(Run.objects.get(pk=run.pk))
    assert {run.status for run in runs} == {Run.Status.FINISHED}
    assert len({run.checksum for run in runs}) == 1
    assert len({str(run.digests) for run in runs}) == 1
    first, *others = map(stored, runs)
    assert bool(first[0]) == (keep == "results")
    for other in others:
        assert other == first


def test_rows_are_handed_over_policy_by_policy_in_the_order_in_which_tasks_finish(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches: list[ResultBatch] = []
    inner = ResultWriter.put

    def put(writer: ResultWriter, batch: ResultBatch) -> None:
        batches.append(batch)
        inner(writer, batch)

    monkeypatch.setattr(ResultWriter, "put", put)
    Runner(make_run(cores=3)).play()
    for batch in batches:
        assert list(batch.parts) == [policy for policy in POLICIES if policy in batch.parts]
    for policy in POLICIES:
        finished = np.concatenate([batch.parts[policy]["finish_time"] for batch in batches if policy in batch.parts])
        assert len(finished) == 400
        np.testing.assert_array_equal(finished, np.sort(finished))


def test_policies_play_on_so_many_threads_and_none_runs_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    names: set[str] = set()
    inner = Player.advance
    together = threading.Barrier(1)

    def advance(player: Player, **limits: Any) -> None:
        if (name := threading.current_thread().name) not in names:
            names.add(name)
            together.wait(PATIENCE)
        inner(player, **limits)
        assert player.simulation.done or player.simulation.clock <= limits["until_time"]

    monkeypatch.setattr(Player, "advance", advance)
    Runner(make_run(cores=1)).play()
    assert len(names) == 1
    names.clear()
    # None of them does the work of both before the other has begun.
    together = threading.Barrier(2)
    Runner(make_run(cores=2)).play()
    assert len(names) == 2


def test_a_policy_that_fails_on_another_thread_fails_the_run_with_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Player.advance

    def advance(player: Player, **limits: Any) -> None:
        if player.scheduler == "srtf" and player.simulation.finished > 100:
            raise engine.EngineError("srtf does not know what to do.")
        inner(player, **limits)

    monkeypatch.setattr(Player, "advance", advance)
    run = make_run(cores=3)
    with pytest.raises(engine.EngineError, match="srtf does not know"):
        Runner(run).play()
    run.refresh_from_db()
    assert (run.status, run.error) == (Run.Status.FAILED, "srtf does not know what to do.")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("crew")]


def test_a_run_that_was_stopped_on_several_cores_is_taken_up_on_one() -> None:
    whole = make_run()
    Runner(whole).play()

    class Stopping:
        def stepped(self, runner: Runner) -> None:
            if runner.finished > 600:
                runner.stop_requested.set()

        def started(self, runner: Runner) -> None: ...

        changed = ended = started

    run = make_run()
    Runner(run, observers=[Stopping()], threads=4).play()
    assert Run.objects.get(pk=run.pk).status == Run.Status.STOPPED
    assert 0 < SchedulerResult.objects.filter(run=run).count() < run.rows_expected
    SimulationState.objects.filter(run=run).update(command="")
    Runner(Run.objects.get(pk=run.pk), threads=1).play()
    assert Run.objects.get(pk=run.pk).checksum == Run.objects.get(pk=whole.pk).checksum
    assert stored(run) == stored(whole)


def test_the_command_takes_and_refuses_cores() -> None:
    workload, _ = workload_generate(model="lublin", tasks=30, seed=3)
    asked = {"cluster": "hpc-256", "policies": "fcfs,sjf", "verbosity": 0}
    call_command("runsimulation", workload=workload.name, cores="2", json=True, **asked)
    assert Run.objects.get().configuration["cores"] == 2
    with pytest.raises(CommandError, match="cores"):
        call_command("runsimulation", workload=workload.name, cores="0", **asked)
