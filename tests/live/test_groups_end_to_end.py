"""The stored figures of groups are those that pandas computes from the exported csv files."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from django.core.management import call_command
from scipy import stats

from apps.metrics.models import GroupMetric
from apps.results.models import Run
from scheduler_sim.engine.measuring.groups import CORES, GPUS, LARGEST, LENGTHS

pytestmark = pytest.mark.django_db(transaction=True)

TOLERANCE = 1e-9
SPANS = 30
GROUPED_BY = ("user", "group", "queue", "size", "length", "hour")


def exported(what: str, run: Run) -> pd.DataFrame:
    out = io.StringIO()
    call_command("exportdata", what, "--run", run.name, "--raw", stdout=out)
    out.seek(0)
    frame = pd.read_csv(out)
    texts = [name for name in ("name", "user", "group", "queue") if name in frame]
    return frame.assign(**{name: frame[name].astype(object).fillna("").astype(str) for name in texts})


def play(name: str, cluster: str, policies: str, *arguments: str) -> Run:
    command = ("runsimulation", "--workload", name, "--cluster", cluster, "--policies", policies, "--name", name)
    call_command(*command, *arguments, verbosity=0, stdout=io.StringIO())
    return Run.objects.get(name=name)


def play_lublin(_folder: Path) -> Run:
    call_command("generateworkload", "lublin", tasks=700, seed=5, processors=64, name="lublin", verbosity=0)
    return play("lublin", "hpc-64", "fcfs,fcfs+easy,sjf+easy")


def play_tasks_that_stop(_folder: Path) -> Run:
    call_command("generateworkload", "lublin", tasks=300, seed=6, processors=32, name="stopping", verbosity=0)
    return play("stopping", "hpc-32", "fcfs,srtf,sjf~requeue", "--restart-overhead", "30")


def play_users_with_gpus(folder: Path) -> Run:
    """Play tasks of more users than are told apart, of accounts, partitions and GPUs."""
    generator = np.random.default_rng(7)
    count = 900
    # Half of the tasks are of a few users, the others of many with one or two each.
    users = np.where(np.arange(count) % 2, generator.integers(0, 9, count), np.arange(count) % 600)
    path = folder / "gpus.csv"
    with path.open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["task_id", "arrival_time", "runtime", "cpus", "gpus", "user", "group", "queue"])
        for number in range(count):
            gpus = int(generator.choice([0, 0, 1, 2, 8]))
            row = [number + 1, generator.random() * 2e5, generator.exponential(4000), 1 + gpus, gpus]
            writer.writerow([*row, f"u{users[number]}", f"account {users[number] % 7}", ["day", ""][number % 2]])
    call_command("importworkload", str(path), name="gpus", verbosity=0)
    return play("gpus", "dgx-2", "fcfs,sjf,fcfs+easy")


def class_names(values: Any, classes: Any) -> list[str]:
    return [next(one.name for one in classes if one.above < value <= one.up_to) for value in values]


def labelled(tasks: pd.DataFrame) -> pd.DataFrame:
    """Add what tells tasks apart as columns of texts."""
    size = np.where(tasks.gpus > 0, class_names(np.maximum(tasks.gpus, 0.5), GPUS), class_names(tasks.cpus, CORES))
    hour = (tasks.arrival_time // 3600 % 24).astype(int).map("{:02}".format)
    tasks = tasks.assign(size=size, length=class_names(tasks.runtime, LENGTHS), hour=hour)
    for by in ("user", "group", "queue"):
        counts = tasks[by].value_counts().rename_axis("text").reset_index(name="tasks")
        largest = counts.sort_values(["tasks", "text"], ascending=[False, True]).text.head(LARGEST)
        tasks[by] = tasks[by].where(tasks[by].isin(largest), "all others")
    return tasks


def spread(group: pd.DataFrame) -> pd.Series:
    """Return the interval of the mean difference."""
    values = group.sort_values(["arrival_time", "task_id"]).difference.to_numpy()
    if len(values) < 2 * SPANS:
        return pd.Series({"difference_low": np.nan, "difference_high": np.nan})
    means = np.array([part.mean() for part in np.array_split(values, SPANS)])
    reach = stats.t.ppf(0.975, SPANS - 1) * means.std(ddof=1) / np.sqrt(SPANS)
    return pd.Series({"difference_low": values.mean() - reach, "difference_high": values.mean() + reach})


def by_pandas(run: Run, by: str) -> pd.DataFrame:
    """Compute the figures of one grouping, a row a policy and group."""
    rows = exported("results", run).merge(labelled(exported("tasks", run)), on="task_id")
    rows = rows.merge(rows[rows.scheduler == run.policies[0]][["task_id", "finish_time"]], on="task_id")
    completion = rows.finish_time_x - rows.arrival_time
    held_hours = (rows.service_time + rows.lost_time) / 3600
    rows = rows.assign(
        completion=completion,
        slowdown=np.maximum(1.0, completion / np.maximum(rows.service_time, 10.0)),
        core_hours=held_hours * rows.cpus,
        gpu_hours=held_hours * rows.gpus,
        difference=rows.finish_time_x - rows.finish_time_y,
    )
    groups = rows.groupby(["scheduler", by])
    found = groups.agg(
        task_count=("task_id", "count"),
        mean_wait_time=("wait_time", "mean"),
        p50_wait_time=("wait_time", "median"),
        p95_wait_time=("wait_time", lambda waits: waits.quantile(0.95)),
        mean_job_completion_time=("completion", "mean"),
        mean_bounded_slowdown=("slowdown", "mean"),
        core_hours=("core_hours", "sum"),
        gpu_hours=("gpu_hours", "sum"),
        sooner_count=("difference", lambda values: (values < 0).sum()),
        later_count=("difference", lambda values: (values > 0).sum()),
        difference=("difference", "mean"),
    )
    return found.join(groups.apply(spread, include_groups=False))


@pytest.mark.parametrize("make", [play_lublin, play_tasks_that_stop, play_users_with_gpus])
def test_the_stored_figures_of_groups_are_those_of_pandas_on_the_export(make: Any, tmp_path: Path) -> None:
    run = make(tmp_path)
    stored = exported("groups", run)
    stored["name"] = stored.name.where(stored.merged_count == 0, "all others")
    compared = 0
    for by in stored.grouped_by.unique():
        ours = stored[stored.grouped_by == by].set_index(["scheduler", "name"]).sort_index()
        theirs = by_pandas(run, by).sort_index()
        assert list(ours.index) == list(theirs.index)
        for column in theirs:
            np.testing.assert_allclose(
                ours[column].astype(float), theirs[column].astype(float), rtol=TOLERANCE, atol=TOLERANCE, err_msg=column
            )
            compared += len(theirs)
    assert set(stored.grouped_by) >= {"size", "length", "hour"}
    assert compared == len(stored) * 13


def test_every_grouping_that_the_workload_states_is_stored_and_the_rest_merged(tmp_path: Path) -> None:
    run = play_users_with_gpus(tmp_path)
    groups = GroupMetric.objects.filter(run=run, scheduler="sjf")
    assert set(groups.values_list("grouped_by", flat=True)) == set(GROUPED_BY)
    for by in GROUPED_BY:
        assert sum(groups.filter(grouped_by=by).values_list("task_count", flat=True)) == 900
    assert groups.filter(grouped_by="queue", name="").exists()
    merged = groups.get(grouped_by="user", merged_count__gt=0)
    assert groups.filter(grouped_by="user", merged_count=0).count() == LARGEST
    assert merged.task_count >= merged.merged_count
