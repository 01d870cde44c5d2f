"""Storing workloads and reading them back."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError

from apps.tasks import services
from apps.tasks.errors import WorkloadError
from apps.tasks.models import Task, Workload
from apps.tasks.workload_charts import portrait
from scheduler_sim.engine.generators import generate_workload
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.traces.audit import READER
from tests.workloads import assert_same

pytestmark = pytest.mark.django_db

PathOf = Callable[[str], Path]


@pytest.mark.parametrize("model", ["lublin", "mixed", "site", "elastic"])
def test_generated_tasks_read_back_as_they_were(model: str) -> None:
    stored, _ = services.workload_generate(model=model, tasks=300, seed=4)
    assert_same(stored.tasks.as_workload(), generate_workload(model, tasks=300, seed=4).workload)


@pytest.mark.parametrize("name", ["small.swf", "openb_pods.csv", "helios.csv", "philly.json", "sacct.txt", "pai.csv"])
def test_imported_tasks_read_back_as_they_were(name: str, data_path: PathOf) -> None:
    stored, _ = services.workload_import(file=data_path(name))
    assert_same(stored.tasks.as_workload(), read_trace(data_path(name)).workload)


def test_reading_back_takes_one_query_and_one_each_for_requests_and_rates(django_assert_num_queries: Callable) -> None:
    stored, _ = services.workload_generate(model="mixed", tasks=500, seed=4)
    with django_assert_num_queries(3):
        assert len(Task.objects.filter(workload=stored).as_workload()) == 500


def test_a_slice_forgets_parents_outside_it() -> None:
    stored, _ = services.workload_generate(model="mixed", tasks=300, seed=4, parameters={"dependency_share": 1})
    part = stored.tasks.in_canonical_order()[:40].as_workload()
    assert_same(part, stored.tasks.as_workload().head(40))
    late = stored.tasks.in_canonical_order()[100:140].as_workload()
    assert set(late.task_id[late.parents.rows]) <= set(late.task_id)


def test_no_rows_are_an_empty_workload() -> None:
    assert len(Task.objects.none().as_workload()) == 0


def test_a_stream_is_imported(data_path: PathOf) -> None:
    told: list[str] = []
    stream = io.BytesIO(data_path("small.swf").read_bytes())
    stored, created = services.workload_import(file=stream, file_name="upload.swf.gz", progress=told.append)
    assert created
    assert (stored.name, stored.source_file_name) == ("upload", "upload.swf.gz")
    assert told == ["reading", "writing 4 tasks"]


def test_the_nasa_log_is_imported_whole(trace_path: PathOf) -> None:
    stored, _ = services.workload_import(file=trace_path("NASA-iPSC-1993-3.1-cln.swf.gz"))
    assert stored.tasks.count() == stored.task_count == 18_239
    assert stored.max_processors == 128


def test_a_workload_is_found_by_name_or_imported_by_path(data_path: PathOf) -> None:
    path = str(data_path("small.swf"))
    stored, imported = services.workload_find_or_import(path)
    assert imported
    assert services.workload_find_or_import("small") == (stored, False)
    assert services.workload_find_or_import(path) == (stored, False)


def test_an_unknown_workload_names_the_nearest(data_path: PathOf) -> None:
    services.workload_import(file=data_path("small.swf"))
    for ask in (services.workload_find_or_import, services.workload_preview):
        with pytest.raises(WorkloadError, match=r"no workload and no file called 'smal'. Did you mean small"):
            ask("smal")


def test_a_preview_stores_nothing(data_path: PathOf) -> None:
    previewed, processors = services.workload_preview(str(data_path("small.swf")))
    assert (len(previewed), processors, Workload.objects.count()) == (4, 8, 0)
    services.workload_import(file=data_path("small.swf"))
    stored, processors = services.workload_preview("small")
    assert processors == 8
    assert_same(stored, previewed)


def test_a_file_stored_meanwhile_by_another_process_is_returned(
    data_path: PathOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data_path("small.swf")
    store = services._store

    def overtaken(**row: Any) -> Workload:
        store(**row)
        raise IntegrityError("unique")

    monkeypatch.setattr(services, "_store", overtaken)
    stored, created = services.workload_import(file=path)
    assert (stored.name, created) == ("small", False)


def test_names_made_from_files_are_unique(data_path: PathOf, tmp_path: Path) -> None:
    first, _ = services.workload_import(file=data_path("small.swf"))
    other = tmp_path / "small.swf"
    other.write_text("1 0 -1 10 1\n")
    second, _ = services.workload_import(file=other)
    assert (first.name, second.name) == ("small", "small-2")


def test_a_file_that_an_earlier_reader_stored_is_read_anew_beside_it(data_path: PathOf) -> None:
    earlier, _ = services.workload_import(file=data_path("small.swf"))
    del earlier.audit["reader"]
    earlier.save()
    again, created = services.workload_import(file=data_path("small.swf"))
    assert created
    assert (again.name, again.audit["reader"]) == ("small-2", READER)
    assert services.workload_import(file=data_path("small.swf")) == (again, False)
    assert Workload.objects.get(name="small").audit == earlier.audit


def test_cores_and_gpus_are_drawn_apart() -> None:
    rows = [(0, 64, 0), (1, 512, 0), (2, 8, 1), (3, 8, 1), (4, 16, 4)]
    text = "arrival_time,runtime,cpus,gpus\n" + "\n".join(f"{at},5,{cpus},{gpus}" for at, cpus, gpus in rows)
    workload, _ = services.workload_import(file=io.BytesIO(text.encode()), file_name="mixed.csv")
    charts = portrait(workload).charts
    assert charts["sizes"].finding == "40% of the tasks ask for 8 cores; the largest asks for 512."
    assert charts["gpus"].finding == "67% of the 3 tasks with GPUs ask for 1 GPU; the largest asks for 4."
    plain, _ = services.workload_import(file=io.BytesIO(b"arrival_time,runtime,cpus\n0,5,1\n"), file_name="plain.csv")
    assert "gpus" not in portrait(plain).charts
