"""Rows written from columns are the rows that `bulk_create` writes."""

import datetime as dt
from typing import Any

import numpy as np
import pytest
from django.db import IntegrityError

from apps.metrics.models import Metric
from apps.results.models import SchedulerResult
from apps.tasks.models import Task
from apps.training.models import TrainedModel
from scheduler_sim.columnar.column import CHUNK_ROWS
from scheduler_sim.columnar.insert import insert_blocks, insert_columns
from scheduler_sim.columnar.objects import insert_objects
from tests.results.rows import make_queued_run, make_workload, placements

pytestmark = pytest.mark.django_db

WRITERS = (insert_columns, insert_objects)


def stored(model: Any, writer: Any, columns: dict[str, Any]) -> list[dict[str, Any]]:
    model.objects.all().delete()
    assert writer(model, columns) == len(model.objects.all())
    names = [field.attname for field in model._meta.concrete_fields if field.attname != "id"]
    return list(model.objects.order_by("pk").values(*names))


def test_texts_lists_numbers_and_nulls_of_tasks_are_the_same_by_every_writer() -> None:
    workload = make_workload(0)
    rows = 50
    numbers = np.arange(rows)
    columns = {
        "workload_id": workload.pk,
        "task_id": numbers,
        "arrival_time": numbers / 3,
        "runtime": np.float32(2.5),
        "duration_estimate": [1, 2.5] * (rows // 2),
        "size": 1e300,
        "cpus": np.where(numbers % 2, 0.001, 4),
        "user": ["", "Zoë", 'quote " comma , tab \t', "線"] * 12 + ["a", "b"],
        "dependencies": [[], [1, 2]] * (rows // 2),
        "kind": np.where(numbers % 2, "rigid", "hybrid"),
        "deadline_time": np.where(numbers % 3, np.nan, 7.0),
        "predicted_duration": [None, 1.5] * (rows // 2),
        "recorded_start_time": None,
    }
    first, second = (stored(Task, writer, columns) for writer in WRITERS)
    assert first == second
    assert first[1]["user"] == "Zoë"
    assert first[1]["dependencies"] == [1, 2]
    assert first[1]["deadline_time"] is None
    assert first[3]["deadline_time"] == 7.0
    assert first[0]["gpu_type"] == ""


def test_placements_are_the_same_by_every_writer() -> None:
    workload = make_workload(30)
    run = make_queued_run(workload)
    columns = {"run_id": run.pk, "scheduler": "fcfs", **placements(workload), "model_version": [None, 3, 4] * 10}
    first, second = (stored(SchedulerResult, writer, columns) for writer in WRITERS)
    assert first == second
    assert [row["model_version"] for row in first[:3]] == [None, 3, 4]
    assert first[2]["energy_joules"] == 1 / 3


def test_mappings_booleans_and_moments_are_the_same_by_every_writer() -> None:
    moment = dt.datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC)
    columns = {
        "name": ["one", "two"],
        "kind": "linear",
        "version": np.array([1, 2], np.uint8),
        "artifact": "{}",
        "parameters": [{"depth": 3}, {"nested": [1, None, "x"]}],
        "active": np.array([True, False]),
        "created_at": [moment, moment + dt.timedelta(days=9_999)],
        "parent_id": None,
    }
    first, second = (stored(TrainedModel, writer, columns) for writer in WRITERS)
    for row in (*first, *second):
        del row["created_at"]  # Django's own writer always puts the present moment there.
    assert first == second
    assert first[1]["parameters"] == {"nested": [1, None, "x"]}


def test_moments_keep_their_microseconds() -> None:
    from apps.live.models import SimulationState

    workload = make_workload(0)
    moments = np.array(["1999-12-31T23:59:59.999999", "2030-01-01T00:00:00.000001", "NaT"], "M8[us]")
    runs = [make_queued_run(workload, f"run {number}").pk for number in range(3)]
    for writer in WRITERS:
        SimulationState.objects.all().delete()
        writer(SimulationState, {"run_id": runs, "heartbeat_at": moments})
        found = list(SimulationState.objects.order_by("run_id").values_list("heartbeat_at", flat=True))
        assert found[0] == dt.datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC)
        assert found[1] == dt.datetime(2030, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC)
        assert found[2] is None


def test_more_rows_than_one_chunk_arrive_in_order() -> None:
    workload = make_workload(0)
    count = CHUNK_ROWS * 2 + 7
    times = np.random.default_rng(3).random(count)
    common = {"workload_id": workload.pk, "runtime": times, "duration_estimate": 1.0, "size": 1.0}
    assert insert_columns(Task, {"task_id": np.arange(count), "arrival_time": times, **common}) == count
    found = np.array(Task.objects.order_by("pk").values_list("arrival_time", "runtime"))
    assert np.array_equal(found, np.column_stack((times, times)))


def test_blocks_with_different_constants_go_over_together() -> None:
    workload = make_workload(3)
    run = make_queued_run(workload)
    blocks = [{"run_id": run.pk, "scheduler": name, **placements(workload)} for name in ("a", "longer name")]
    assert insert_blocks(SchedulerResult, blocks) == 6
    found = list(SchedulerResult.objects.order_by("id").values_list("scheduler", flat=True))
    assert found == ["a"] * 3 + ["longer name"] * 3


def test_blocks_merged_by_a_column_are_the_same_rows_in_its_order() -> None:
    count = CHUNK_ROWS + 5
    run = make_queued_run(make_workload(0))
    generator = np.random.default_rng(4)
    blocks = []
    for name, rows in (("a", count), ("longer name", count), ("one row", 1)):
        times = generator.random(rows)
        values = dict.fromkeys(("gpu_fraction", "actual_time", "wait_time", "energy_joules", "cost_usd"), times)
        columns = {**values, "node": np.arange(rows), "device": -1, "start_time": times, "finish_time": times + 1}
        blocks.append({"run_id": run.pk, "scheduler": name, "task_id": generator.permutation(rows), **columns})

    def merged(_model: Any, _columns: Any) -> int:
        return insert_blocks(SchedulerResult, blocks, near="task_id")

    def by_objects(model: Any, _columns: Any) -> int:
        return sum(insert_objects(model, block) for block in blocks)

    def key(row: dict[str, Any]) -> tuple[int, str]:
        return row["task_id"], row["scheduler"]

    first, second = stored(SchedulerResult, merged, {}), stored(SchedulerResult, by_objects, {})
    assert [row["task_id"] for row in first] == sorted([*range(count), *range(count), 0])
    assert sorted(first, key=key) == sorted(second, key=key)


def test_no_rows_are_no_work() -> None:
    workload = make_workload(0)
    columns = {"workload_id": workload.pk, "task_id": [], "arrival_time": [], "runtime": 1.0}
    assert insert_columns(Task, {**columns, "duration_estimate": 1.0, "size": 1.0}) == 0


@pytest.mark.django_db(transaction=True)
def test_a_row_that_breaks_a_constraint_leaves_none() -> None:
    workload = make_workload(4)
    run = make_queued_run(workload)
    columns = placements(workload)
    columns["finish_time"] = columns["finish_time"].copy()
    columns["finish_time"][3] = -1.0
    with pytest.raises(IntegrityError):
        SchedulerResult.objects.bulk_create_columns(run_id=run.pk, parts={"fcfs": columns})
    assert SchedulerResult.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_the_same_task_twice_is_refused() -> None:
    workload = make_workload(2)
    run = make_queued_run(workload)
    SchedulerResult.objects.bulk_create_columns(run_id=run.pk, parts={"fcfs": placements(workload)})
    with pytest.raises(IntegrityError):
        SchedulerResult.objects.bulk_create_columns(run_id=run.pk, parts={"fcfs": placements(workload)})
    assert SchedulerResult.objects.count() == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"colour": 1}, "no column colour"),
        ({"node": np.arange(3)}, "different lengths"),
        ({"start_time": np.array([1.0, np.nan])}, "start_time holds 1 empty values"),
        ({"start_time": ["1", "x"]}, "not a number"),
        ({"node": [1.5, 2.0]}, "not a whole number"),
        ({"node": [None, 2]}, "node holds 1 empty values"),
        ({"scheduler": [None, "x"]}, "scheduler holds 1 empty values"),
    ],
)
def test_a_wrong_column_is_one_sentence(change: dict[str, Any], sentence: str) -> None:
    workload = make_workload(2)
    columns = {"run_id": 1, "scheduler": "fcfs", **placements(workload), **change}
    with pytest.raises(ValueError, match=sentence):
        insert_columns(SchedulerResult, columns)


def test_a_column_without_a_default_must_be_given() -> None:
    with pytest.raises(ValueError, match="Column workload_id is not given"):
        insert_columns(Task, {"task_id": [1, 2]})


def test_the_number_of_rows_must_be_known() -> None:
    with pytest.raises(ValueError, match="number of rows is not known"):
        insert_columns(Metric, {"scheduler": "fcfs"})
