"""What a run shows while it goes on agrees with what is stored when it is over."""

from typing import Any

import numpy as np
import pytest

from apps.live.models import SimulationState
from apps.live.play.configuration import RunConfiguration
from apps.live.play.launch import run_create
from apps.live.play.runner import Runner
from apps.live.wire import messages
from apps.live.wire.publisher import Publisher
from apps.live.wire.snapshots import Race
from apps.metrics.models import Metric
from apps.results.models import Run
from apps.tasks.services import workload_generate
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.measuring.tally import Tally, WinTally
from scheduler_sim.engine.numerics.histogram import LogHistogram

pytestmark = pytest.mark.django_db(transaction=True)

POLICIES = ("fcfs", "fcfs+easy", "sjf", "srtf", "sjf~requeue")


def make_run(tasks: int = 400, policies: tuple[str, ...] = POLICIES) -> Run:
    workload, _ = workload_generate(model="lublin", tasks=tasks, seed=3)
    return run_create(
        workload=workload,
        cluster=load_cluster("hpc-256"),
        configuration=RunConfiguration(policies=policies, seed=1),
    )


class Watcher:
    """Takes a snapshot at every step, as a publisher without a clock would."""

    def __init__(self) -> None:
        self.snapshots: list[messages.Snapshot] = []

    def started(self, runner: Runner) -> None:
        self.race = Race(runner)
        self.stepped(runner)

    def stepped(self, runner: Runner) -> None:
        self.snapshots.append(self.race.snapshot(self.race.mark(urgent=False)))

    changed = ended = stepped


def watched(run: Run) -> tuple[Runner, list[messages.Snapshot]]:
    watcher = Watcher()
    runner = Runner(run, observers=[watcher])
    runner.play()
    return runner, watcher.snapshots


def test_the_last_snapshot_agrees_with_the_stored_figures() -> None:
    run = make_run()
    _, snapshots = watched(run)
    last = snapshots[-1]
    assert (last["status"], last["progress"]) == ("finished", 1.0)
    assert [policy["scheduler"] for policy in last["policies"]] == list(POLICIES)
    for policy in last["policies"]:
        stored = Metric.objects.totals().get(run=run, scheduler=policy["scheduler"])
        assert policy["finished"] == policy["total"] == stored.finished_count == 400
        assert policy["running"] == policy["queue_length"] == 0
        assert policy["wins"] == stored.wins
        for name in ("mean_job_completion_time", "cpu_utilisation", "energy_joules", "cost_usd"):
            assert policy[name] == pytest.approx(getattr(stored, name), rel=1e-9), name
        assert policy["p95_job_completion_time"] == pytest.approx(stored.p95_job_completion_time, rel=0.1)
        assert policy["gpu_utilisation"] is None


def test_split_tasks_are_reckoned_as_in_the_stored_figures() -> None:
    workload, _ = workload_generate(model="mixed", tasks=300, seed=2)
    for model in ("concurrent", "sequential"):
        run = run_create(
            workload=workload,
            cluster=load_cluster("workstation"),
            configuration=RunConfiguration(policies=("round_robin", "greedy"), split_model=model),
            name=f"split {model}",
        )
        _, snapshots = watched(run)
        for policy in snapshots[-1]["policies"]:
            stored = Metric.objects.totals().get(run=run, scheduler=policy["scheduler"])
            for name in ("cpu_utilisation", "gpu_utilisation", "energy_joules", "cost_usd"):
                assert policy[name] == pytest.approx(getattr(stored, name), rel=1e-9), (model, name)
        for snapshot in snapshots:
            for policy in snapshot["policies"]:
                assert 0 <= (policy["gpu_utilisation"] or 0.0) <= 1 + 1e-9


def test_figures_never_run_backwards_and_never_leave_their_range() -> None:
    _, snapshots = watched(make_run())
    assert len(snapshots) > 10
    for name in ("progress", "clock_time"):
        values = [snapshot[name] for snapshot in snapshots[:-1]]
        assert values == sorted(value for value in values if value is not None), name
    for snapshot in snapshots:
        for policy in snapshot["policies"]:
            assert policy["finished"] + policy["running"] + policy["queue_length"] <= policy["total"]
            assert 0 <= (policy["cpu_utilisation"] or 0.0) <= 1 + 1e-9
            assert 0 <= policy["wins"] <= policy["total"]
        messages.encode(snapshot)


def test_the_latest_placements_are_those_that_finished_last() -> None:
    runner, snapshots = watched(make_run(tasks=60))
    placements = snapshots[-1]["placements"]
    finishes = np.concatenate([player.simulation.outcome().finish_time for player in runner.players])
    assert [placement["finish_time"] for placement in placements] == sorted(finishes)[-messages.PLACEMENTS_SHOWN :]


def test_a_mark_is_not_changed_by_the_steps_after_it() -> None:
    """Snapshots are built while the simulation goes on."""

    class Late(Watcher):
        def __init__(self) -> None:
            super().__init__()
            self.marks: list[Any] = []
            self.prompt: list[messages.Snapshot] = []

        def started(self, runner: Runner) -> None:
            self.other = Race(runner)
            super().started(runner)

        def stepped(self, runner: Runner) -> None:
            self.marks.append(self.race.mark(urgent=False))
            self.prompt.append(self.other.snapshot(self.other.mark(urgent=False)))

        changed = ended = stepped

    late = Late()
    Runner(make_run(), observers=[late]).play()
    for mark, prompt in zip(late.marks, late.prompt, strict=True):
        snapshot = late.race.snapshot(mark)
        for name in ("clock_time", "progress", "policies", "placements"):
            assert snapshot[name] == prompt[name], name


def test_the_publisher_leaves_the_last_snapshot_in_the_database() -> None:
    run = make_run(tasks=50)
    Runner(run, observers=[Publisher()]).play()
    run.state.refresh_from_db()
    assert (run.state.snapshot["status"], run.state.snapshot["progress"]) == ("finished", 1.0)


def test_a_run_that_fails_before_it_begins_is_published_with_the_reason() -> None:
    run = make_run(tasks=5)
    Run.objects.filter(pk=run.pk).update(configuration={**run.configuration, "estimates": "nonsense"})
    run.refresh_from_db()
    with pytest.raises(Exception, match="nonsense"):
        Runner(run, observers=[Publisher()]).play()
    run.state.refresh_from_db()
    assert run.state.snapshot["status"] == "failed"
    assert "nonsense" in run.state.snapshot["error"]


def test_a_tally_in_pieces_is_the_tally_of_the_whole() -> None:
    generator = np.random.default_rng(5)
    arrival = np.sort(generator.uniform(0, 100, 500))
    start = arrival + generator.exponential(50, 500) * generator.integers(0, 2, 500)
    finish = start + generator.lognormal(3, 3, 500) * generator.integers(0, 2, 500)
    order = np.lexsort((np.arange(500), finish))
    whole = Tally(arrival=arrival, start=start, finish=finish)
    pieces = Tally(arrival=arrival, start=start, finish=finish)
    whole.add(order)
    for piece in np.array_split(order, 17):
        pieces.add(piece)
        clock = finish[piece[-1]]
        running = np.flatnonzero((start <= clock) & (finish > clock))
        assert pieces.running_at(float(clock)).tolist() == running.tolist()
    assert pieces.mean_job_completion_time == pytest.approx((finish - arrival).mean())
    expected_counts = LogHistogram.of(finish - arrival).counts
    assert (whole.completion_times.counts == expected_counts).all()
    assert (pieces.completion_times.counts == expected_counts).all()


@pytest.mark.parametrize("policies", [1, 3, 70])
def test_wins_do_not_depend_on_the_order_in_which_policies_are_counted(policies: int) -> None:
    generator = np.random.default_rng(policies)
    finish = generator.integers(0, 4, (policies, 50)).astype(float)
    best = finish.min(axis=0)
    wins = WinTally.of(policies=policies, tasks=50)
    pairs = generator.permutation([(policy, row) for policy in range(policies) for row in range(50)])
    for policy, row in pairs:
        wins.add(int(policy), np.array([row]), finish[policy])
    assert wins.wins.tolist() == (finish == best).sum(axis=1).tolist()


def test_a_retraining_before_the_run_began_is_told_at_its_start() -> None:
    run = make_run(tasks=20)
    publisher = Publisher()
    publisher.retrained({"scheduler": "hybrid_ml", "number": 2, "model_version": 7, "rows": 500, "score": 0.5})
    runner = Runner(run, observers=[publisher])
    runner.play()
    shown = SimulationState.objects.get(run=run).snapshot["retraining"]
    assert (shown["number"], shown["model_version"]) == (2, 7)
    assert shown["clock_time"] == runner.workload.arrival_time[0]
