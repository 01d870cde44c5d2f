"""Whatever is altered of a finished run is found, and a run that is as it was is never accused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models import F

from apps.live.checking.integrity import Integrity, run_check
from apps.metrics.models import GroupMetric, Metric
from apps.results.models import Attempt, Run, SchedulerResult
from apps.tasks.models import Task, TaskRequest
from apps.training.models import TrainingData

pytestmark = pytest.mark.django_db(transaction=True)

POLICIES = "fcfs,sjf+easy,fcfs@oracle"


def play(name: str, *arguments: str, policies: str = POLICIES, model: str = "mixed") -> Run:
    call_command("generateworkload", model, tasks=80, seed=3, name=f"workload of {name}", verbosity=0)
    call_command(
        "runsimulation",
        *(
            "--workload",
            f"workload of {name}",
            "--cluster",
            "hpc-256" if model == "lublin" else "dgx-1",
            "--policies",
            policies,
        ),
        *("--name", name, "--seed", "4", *arguments),
        verbosity=0,
        stdout=StringIO(),
    )
    return Run.objects.get(name=name)


@pytest.fixture
def run() -> Run:
    return play("run")


def check(run: Run, *, replay: bool = False) -> Integrity:
    return run_check(run=run, replay=replay)


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("verifyrun", *arguments, stdout=out)
    return out.getvalue()


def test_a_run_that_was_left_alone_is_whole(run: Run) -> None:
    found = check(run, replay=True)
    assert (found.faults, found.notes) == ((), ())
    assert found.is_whole
    assert found.is_replayed
    assert TrainingData.objects.filter(run=run).exists()
    assert set(run.digests or {}) == {"tasks", "cluster", "configuration", "figures", "groups", "training", "gangs"}


@pytest.mark.parametrize(
    ("arguments", "policies", "model"),
    [
        (("--limit", "50", "--warmup", "0.1", "--cooldown", "0.1"), POLICIES, "mixed"),
        (("--kill-at-estimate",), "fcfs,sjf+easy,fcfs+conservative", "lublin"),
        (("--scale-load", "2"), "random_order,fcfs@fgd,fcfs@rl_agent", "mixed"),
        (("--split-model", "sequential"), "fcfs@min_energy,heft", "mixed"),
    ],
)
def test_whatever_was_asked_for_the_placements_give_the_stored_figures(
    arguments: tuple[str, ...], policies: str, model: str
) -> None:
    found = check(play("asked", *arguments, policies=policies, model=model), replay=True)
    assert (found.faults, found.notes) == ((), ())


def halve_figures(run: Run) -> None:
    Metric.objects.filter(run=run).update(mean_job_completion_time=F("mean_job_completion_time") / 2)


def swap_figures(run: Run) -> None:
    rows = Metric.objects.filter(run=run)
    for old, new in (("fcfs", "between"), ("fcfs@oracle", "fcfs"), ("between", "fcfs@oracle")):
        rows.filter(scheduler=old).update(scheduler=new)


def change_window(run: Run) -> None:
    window = Metric.objects.filter(run=run, is_total=False).order_by("pk")[5]
    Metric.objects.filter(pk=window.pk).update(max_queue_length=F("max_queue_length") + 1)


def change_a_group(run: Run) -> None:
    group = GroupMetric.objects.filter(run=run, scheduler="sjf+easy").order_by("pk")[3]
    GroupMetric.objects.filter(pk=group.pk).update(p95_wait_time=F("p95_wait_time") + 1)


def delete_all_groups(run: Run) -> None:
    GroupMetric.objects.filter(run=run).delete()


def change_task(run: Run) -> None:
    task = Task.objects.filter(workload_id=run.workload_id).order_by("pk")[7]
    Task.objects.filter(pk=task.pk).update(external_id="another")


def ask_for_a_qos(run: Run) -> None:
    TaskRequest.objects.create(task=Task.objects.filter(workload_id=run.workload_id).order_by("pk")[7], qos="high")


def change_cluster(run: Run) -> None:
    run.cluster["groups"][0]["count"] += 1
    Run.objects.filter(pk=run.pk).update(cluster=run.cluster)


def change_seed(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(seed=5)


def change_training_data(run: Run) -> None:
    row = TrainingData.objects.filter(run=run).order_by("pk")[1]
    TrainingData.objects.filter(pk=row.pk).update(optimal_time=F("optimal_time") + 1)


def shift_all_rows(run: Run) -> None:
    SchedulerResult.objects.filter(run=run).update(
        start_time=F("start_time") + 8, finish_time=F("finish_time") + 8, wait_time=F("wait_time") + 8
    )
    Run.objects.filter(pk=run.pk).update(checksum="")


def shift_all_rows_with_their_checksum(run: Run) -> None:
    shift_all_rows(run)
    Run.objects.filter(pk=run.pk).update(checksum=check(run).counted.checksum)


def move_a_row(run: Run) -> None:
    first = SchedulerResult.objects.filter(run=run, scheduler="fcfs").order_by("pk")[0]
    SchedulerResult.objects.filter(pk=first.pk).update(node=F("node") + 1)


def rename_a_policy(run: Run) -> None:
    SchedulerResult.objects.filter(run=run, scheduler="fcfs").update(scheduler="sjf")
    Metric.objects.filter(run=run, scheduler="fcfs").update(scheduler="sjf")
    policies = ["sjf" if policy == "fcfs" else policy for policy in run.policies]
    Run.objects.filter(pk=run.pk).update(policies=policies)


def change_configuration(run: Run) -> None:
    run.configuration["warmup"] = 0.25
    Run.objects.filter(pk=run.pk).update(configuration=run.configuration)


def delete_a_policys_figures(run: Run) -> None:
    Metric.objects.filter(run=run, scheduler="fcfs").delete()


ALTERATIONS: tuple[tuple[Callable[[Run], None], str], ...] = (
    (halve_figures, "stored figures"),
    (swap_figures, "stored figures"),
    (change_window, "stored figures"),
    (delete_a_policys_figures, "stored figures"),
    (change_a_group, "figures of groups"),
    (change_a_group, "The groups of sjf+easy are not those of the placements: p95_wait_time"),
    (delete_all_groups, "There are 0 groups of fcfs where"),
    (change_task, "tasks of the workload"),
    (ask_for_a_qos, "tasks of the workload"),
    (change_cluster, "The cluster"),
    (change_seed, "The configuration"),
    (change_configuration, "The configuration"),
    (change_training_data, "rows to learn from"),
    (shift_all_rows, "no checksum"),
    (shift_all_rows_with_their_checksum, "not those of the placements"),
    (move_a_row, "The checksum is"),
    (rename_a_policy, "The checksum is"),
)


@contextmanager
def altered(run: Run, alter: Callable[[Run], object]) -> Iterator[None]:
    """Alter what is stored for a while; to play a run for each alteration would take long."""
    with transaction.atomic():
        alter(Run.objects.get(pk=run.pk))
        yield
        transaction.set_rollback(True)


def test_every_alteration_is_found(run: Run) -> None:
    for alter, sentence in ALTERATIONS:
        with altered(run, alter):
            found = check(run)
            assert not found.is_whole, alter.__name__
            assert any(sentence in fault for fault in found.faults), (alter.__name__, found.faults)
    with altered(run, halve_figures), pytest.raises(CommandError, match="not as it should be"):
        printed(run.name)
    assert not check(run).faults


def test_what_has_no_digest_is_compared_with_the_placements(run: Run) -> None:
    Run.objects.update(digests=None)
    assert not check(run).faults
    assert "before digests were kept" in printed(run.name)
    for alter in (halve_figures, swap_figures, change_window, delete_a_policys_figures):
        with altered(run, alter):
            assert check(run).faults, alter.__name__


def move_a_row_with_its_checksum(run: Run) -> None:
    move_a_row(run)
    Run.objects.filter(pk=run.pk).update(checksum=check(run).counted.checksum)


def test_a_replay_finds_rows_whose_checksum_was_made_to_fit(run: Run) -> None:
    with altered(run, move_a_row_with_its_checksum):
        assert any("Played again" in fault for fault in check(run, replay=True).faults)


def lengthen_an_attempt(run: Run) -> None:
    first = Attempt.objects.filter(run=run).order_by("pk")[0]
    Attempt.objects.filter(pk=first.pk).update(end_time=F("end_time") + 1)


def delete_an_attempt(run: Run) -> None:
    Attempt.objects.filter(run=run).order_by("pk")[0].delete()


INTERRUPTED = (
    *("--failures", "weibull(mean_hours=20,shape=0.7,repair_hours=0.5)", "--restart-overhead", "30"),
    *("--checkpoints", "daly", "--checkpoint-write", "20", "--checkpoint-read", "10", "--max-failures", "20"),
)


@pytest.mark.parametrize(
    ("arguments", "policies"),
    [
        ((), "fcfs,srtf,las,rr,sjf~requeue"),
        (INTERRUPTED, "fcfs+easy,srtf,saf~checkpoint,sjf~requeue"),
        ((*INTERRUPTED, "--warmup", "0.2", "--cooldown", "0.1"), "fcfs,sjf~suspend"),
        (("--estimates", "factor:0.5", "--on-limit", "kill", "--max-requeues", "2"), "fcfs,sjf+easy"),
    ],
)
def test_attempts_give_the_stored_figures(arguments: tuple[str, ...], policies: str) -> None:
    run = play("interrupted", *arguments, policies=policies, model="lublin")
    assert Attempt.objects.filter(run=run).exists()
    found = check(run, replay=True)
    assert (found.faults, found.notes) == ((), ())


def test_whatever_is_altered_of_tasks_that_stop_and_go_on_is_found() -> None:
    run = play("preempting", policies="fcfs,srtf", model="lublin")
    assert check(run).faults == ()
    with altered(run, lengthen_an_attempt):
        assert any("of srtf are not those of the placements" in fault for fault in check(run).faults)
    with altered(run, lengthen_an_attempt):
        assert any("The checksum is" in fault for fault in check(run).faults)
    with altered(run, delete_an_attempt):
        assert any("attempts stored under srtf" in fault for fault in check(run).faults)
        with pytest.raises(CommandError, match="the export is not whole"):
            call_command("exportdata", "attempts", "--run", run.name, stdout=StringIO())
    halve_figures(run)
    assert "stored figures" in check(run).faults[0]


def test_a_run_that_kept_its_figures_alone_is_whole() -> None:
    run = play("summary", "--keep", "summary")
    found = check(run, replay=True)
    assert found.faults == ()
    assert "no placements were kept" in found.notes[0]
    halve_figures(run)
    assert "stored figures" in check(run).faults[0]


def test_what_is_no_fault_of_the_run_is_a_note(run: Run) -> None:
    with altered(run, lambda run: Run.objects.filter(pk=run.pk).update(engine_version="0.1", digests=None)):
        assert "played by engine 0.1" in check(run).notes[1]
        with pytest.raises(CommandError, match="was not played again"):
            printed(run.name, "--replay")
    call_command("prune", training_older_than=0, yes=True, verbosity=0)
    found = check(run)
    assert (found.faults, found.notes) == ((), ("The rows to learn from were deleted.",))


def test_a_run_that_failed_is_no_success(run: Run) -> None:
    Run.objects.update(status=Run.Status.FAILED, error="Task 3 fits no node.", rows_expected=1000)
    with pytest.raises(CommandError, match=r"not finished\. It is failed \(Task 3 fits no node"):
        printed(run.name)


def test_all_runs_are_told_of_in_a_line_each(run: Run) -> None:
    play("other")
    Run.objects.filter(name="other").update(status=Run.Status.STOPPED)
    text = printed("--all")
    assert text.splitlines()[0] == f"{run.pk} run: 240 placements as they should be."
    assert "It is stopped; 240 of 240" in text.splitlines()[1]
    assert text.splitlines()[2] == "2 runs are as they should be."
    halve_figures(run)
    with pytest.raises(CommandError, match="1 of 2 runs are not as they should be"):
        printed("--all")
    assert "replay" not in text


def test_a_run_is_named_or_all_are_meant(run: Run) -> None:
    for arguments in ((), (run.name, "--all")):
        with pytest.raises(CommandError, match="Name one run, or give --all"):
            printed(*arguments)
