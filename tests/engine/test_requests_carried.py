"""Whatever makes a workload from another one keeps what its tasks ask of a site."""

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scheduler_sim import engine
from scheduler_sim.engine.clusters.oversize import clamp, fit_workload, oversized
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.forecasting.future import joined
from scheduler_sim.engine.kernels.site.never import fit_to_site
from scheduler_sim.engine.learning.evaluation import held_out_windows
from scheduler_sim.engine.prediction import untold
from scheduler_sim.engine.sampling import sample_tasks
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.whatif import at_arrivals, scale_load
from scheduler_sim.engine.workloads.beginning import begin_at
from scheduler_sim.engine.workloads.estimates import replace_estimates, told_to_all
from scheduler_sim.engine.workloads.feedback import uncome
from scheduler_sim.engine.workloads.requests import NAMES, TIMES
from scheduler_sim.engine.workloads.workload import Labels, Requests, Workload
from tests.workloads import assert_same, random_requests

ENGINE = Path(engine.__file__).parent
CLUSTER = load_cluster("hpc-4")
SITE = Site.from_json(
    {
        "name": "site",
        "groups": [{"hosts": "n[1-8]", "cores": 512, "gpus": 8, "features": ["skylake", "ib", "a", "rack1"]}],
        "partitions": [{"name": "main", "is_default": True}, *({"name": name} for name in ("batch", "gpu", "debug"))],
    }
)


def tasks(length: int = 60, seed: int = 3) -> Workload:
    """Return tasks that ask for things, some of them larger than the cluster."""
    generator = np.random.default_rng(seed)
    workload = Workload.from_columns(
        task_id=generator.permutation(length) + 1,
        arrival_time=np.round(1000 * generator.random(length), 3),
        runtime=np.round(100 * generator.random(length), 3),
        cpus=generator.integers(1, 300, length),
    )
    return replace(workload, requests=random_requests(workload.arrival_time, seed))


DERIVATIONS: dict[str, Callable[[Workload], Workload]] = {
    "head": lambda workload: workload.head(17),
    "take": lambda workload: workload.take(np.arange(3, 50, 2)),
    "at_arrivals": lambda workload: at_arrivals(workload, workload.arrival_time + 5.0),
    "sample_tasks": lambda workload: sample_tasks(workload, tasks=20, draw="tasks", arrivals="trace", seed=1),
    "scale_load": lambda workload: scale_load(workload, 2.0),
    "replace_estimates": lambda workload: replace_estimates(workload, "uniform:3", np.random.default_rng(1)),
    "told_to_all": lambda workload: told_to_all(workload, workload.runtime),
    "untold": untold,
    "uncome": uncome,
    "fit_workload": lambda workload: fit_workload(workload, CLUSTER, on_oversize="drop")[0],
    "fit_to_site": lambda workload: fit_to_site(workload, SITE, on_oversize="drop")[0],
    "held_out_windows": lambda workload: held_out_windows(workload, 3, 20)[1],
    "joined": lambda workload: joined(workload.head(23), workload.take(np.arange(23, len(workload)))),
    "clamp": lambda workload: clamp(workload, CLUSTER, oversized(workload, CLUSTER)),
}
"""Every function and method of the engine that takes a workload and returns another one."""

OF_OTHERS = {"recorded", "source"}
"""Methods of `learning.subjects` that only apply functions of these to parts of a log; `source` numbers tasks anew."""


def test_every_function_that_makes_a_workload_from_another_is_listed() -> None:
    found = set()
    for path in ENGINE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            methods = node.body if isinstance(node, ast.ClassDef) and node.name == "Workload" else []
            for function in [node, *methods]:
                if not isinstance(function, ast.FunctionDef) or function.name.startswith("_"):
                    continue
                taken = [ast.unparse(arg.annotation).strip("'") for arg in function.args.args if arg.annotation]
                made = ast.unparse(function.returns) if function.returns else ""
                if "Workload" in made and ("Workload" in taken or function in methods):
                    found.add(function.name)
    assert found == {*DERIVATIONS, *OF_OTHERS}, "A new function has its place in DERIVATIONS."


@pytest.mark.parametrize("name", DERIVATIONS)
def test_each_task_asks_for_the_same(name: str) -> None:
    before = tasks()
    after = DERIVATIONS[name](before)
    assert before.requests is not None
    assert after.requests is not None
    assert len(after)
    after.requests.check(len(after))
    rows = np.array([before.task_id.tolist().index(number) for number in after.task_id.tolist()])
    asked = before.requests.take(rows)
    for column in NAMES:
        one, other = getattr(asked, column), getattr(after.requests, column)
        if column in TIMES:
            # As long after the arrival as before.
            np.testing.assert_allclose(other - after.arrival_time, one - before.arrival_time[rows], atol=1e-9)
        elif isinstance(one, Labels):
            assert one.texts().tolist() == other.texts().tolist()
        else:
            np.testing.assert_array_equal(one, other, err_msg=column)


@pytest.mark.parametrize("name", DERIVATIONS)
def test_a_workload_that_asks_for_nothing_stays_so(name: str) -> None:
    assert DERIVATIONS[name](replace(tasks(), requests=None)).requests is None


def test_columns_put_in_order_take_their_requests_along() -> None:
    before = tasks()
    assert before.requests is not None
    order = np.random.default_rng(5).permutation(len(before))
    columns: dict[str, Any] = {
        name: getattr(before, name)[order] for name in ("task_id", "arrival_time", "runtime", "cpus")
    }
    for in_place in (False, True):
        given = {name: column.copy() for name, column in columns.items()}
        again = Workload.from_columns(**given, requests=before.requests.take(order), in_place=in_place)
        assert_same(again, before)


def test_a_scaled_load_moves_earliest_starts_with_the_arrivals() -> None:
    before = Workload.from_columns(arrival_time=[100.0, 300.0], runtime=[1, 1])
    asked = Requests.blank(2, eligible_time=np.array([130.0, np.nan]), cancel_time=np.array([np.nan, 400.0]))
    after = scale_load(replace(before, requests=asked), 4.0)
    assert after.requests is not None
    assert after.arrival_time.tolist() == [100, 150]
    np.testing.assert_array_equal(after.requests.eligible_time, [130, np.nan])
    np.testing.assert_array_equal(after.requests.cancel_time, [np.nan, 250])


def test_a_replay_that_begins_later_keeps_the_instants_that_tasks_ask_for() -> None:
    before = tasks()
    before = replace(before, recorded_start_time=before.arrival_time + 50.0)
    assert before.requests is not None
    after = begin_at(before, 500.0)
    assert after.running
    assert after.waiting
    assert after.workload.requests is not None
    for name, column in before.requests.take(after.rows).columns().items():
        other = getattr(after.workload.requests, name)
        if isinstance(column, Labels):
            column, other = column.texts(), other.texts()
        np.testing.assert_array_equal(other, column, err_msg=name)
