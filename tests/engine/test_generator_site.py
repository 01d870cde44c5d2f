"""Synthetic jobs of a site: they fit the site that is described with them, and ask for what the parameters say."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine.generators import GENERATORS, generate_workload
from scheduler_sim.engine.generators.site import LIMITS, SiteParameters
from scheduler_sim.engine.kernels.site.never import never_starts
from scheduler_sim.engine.sites import Site, expand_hosts, read_site
from scheduler_sim.engine.traces.requested import held
from scheduler_sim.engine.workloads.requests import NAMES, Requests
from scheduler_sim.engine.workloads.workload import Labels, Workload


def jobs(tasks: int = 20_000, seed: int = 1, **parameters: Any) -> tuple[Workload, Requests]:
    workload = generate_workload("site", tasks=tasks, seed=seed, parameters=parameters).workload
    assert workload.requests is not None
    return workload, workload.requests


def site(**parameters: Any) -> Site:
    generator = GENERATORS["site"]
    assert generator.site is not None
    return read_site(json.dumps(generator.site(generator.parse(parameters))), name="site.json")


SIZES: tuple[dict[str, Any], ...] = (
    {},
    {"nodes": 1, "gpu_nodes": 0, "cores_per_node": 1},
    {"nodes": 3, "gpu_nodes": 1, "cores_per_node": 2, "gpus_per_node": 8},
    {"nodes": 1000, "gpu_nodes": 50, "users": 200, "accounts": 30},
)


@pytest.mark.parametrize("parameters", SIZES)
def test_every_job_fits_its_partition(parameters: dict[str, Any]) -> None:
    workload, asked = jobs(5000, **parameters)
    asked.check(len(workload))
    described = site(**parameters)
    assert set(workload.queue.texts()) <= {partition.name for partition in described.partitions}
    features = {feature for group in described.nodes for feature in group.features}
    assert set(asked.features.texts()) <= {"", *features}
    known = {(entry.user, entry.name) for entry in described.accounts}
    assert set(zip(workload.user.texts(), workload.group.texts(), strict=True)) <= known
    assert set(asked.qos.texts()) <= {quality.name for quality in described.qos}
    cores, size = described.cluster.groups[0].cores, np.maximum(asked.nodes, 1)
    for partition in described.partitions:
        rows = workload.queue.texts() == partition.name
        groups = [
            group
            for group, more in zip(described.cluster.groups, described.nodes, strict=True)
            if set(expand_hosts(more.hosts)) <= set(expand_hosts(partition.hosts))
        ]
        there = sum(group.count for group in groups)
        assert (size[rows] <= min(there, partition.max_nodes or there)).all()
        assert (workload.cpus[rows] <= size[rows] * cores).all()
        assert (asked.gpus_per_node[rows] <= max(group.gpus for group in groups)).all()
        least = min(group.memory_mb or 0 for group in groups)
        assert (workload.memory_mb[rows] <= size[rows] * least).all()
        assert partition.max_time is not None
        assert (workload.duration_estimate[rows] <= partition.max_time).all()


@pytest.mark.parametrize("parameters", SIZES)
def test_every_job_can_start_on_the_empty_site(parameters: dict[str, Any]) -> None:
    workload, _ = jobs(5000, **parameters)
    never = never_starts(workload, site(**parameters))
    assert not len(never), never.words


@pytest.mark.parametrize("parameters", SIZES)
def test_cores_gpus_and_memory_are_what_is_asked_for(parameters: dict[str, Any]) -> None:
    workload, asked = jobs(3000, **parameters)
    raw = {
        name: column if isinstance(column, Labels) else column.astype(np.float64)
        for name, column in asked.columns().items()
    }
    told = held(raw, len(workload))
    np.testing.assert_array_equal(workload.cpus, told["cpus"])
    np.testing.assert_array_equal(workload.gpus, np.nan_to_num(told["gpus"]))
    np.testing.assert_array_equal(workload.memory_mb, np.nan_to_num(told["memory_mb"]))


def test_limits_are_round_and_never_below_the_run_time() -> None:
    workload, _ = jobs()
    assert workload.estimate_known.all()
    assert set(workload.duration_estimate) <= set(LIMITS)
    assert (workload.runtime <= workload.duration_estimate).all()
    assert (workload.runtime >= 1).all()


def test_an_array_is_of_one_user_and_instant_and_has_the_number_of_its_first_task() -> None:
    workload, asked = jobs(array_share=0.2, array_mean=5.0)
    numbers = np.unique(asked.array[asked.array > 0])
    assert len(numbers) > 100
    sizes = []
    for number in numbers.tolist():
        rows = np.flatnonzero(asked.array == number)
        sizes.append(len(rows))
        assert workload.task_id[rows].tolist() == list(range(number, number + len(rows)))
        for column in (workload.arrival_time, workload.user.codes, workload.cpus, workload.duration_estimate):
            assert len(set(column[rows])) == 1
        assert len(set(asked.array_limit[rows])) == 1
    assert min(sizes) > 1
    assert np.mean(sizes) == pytest.approx(5.0, rel=0.1)


def test_a_job_waits_for_all_tasks_of_the_last_submission_of_its_user() -> None:
    workload, asked = jobs(dependency_share=0.3, array_share=0.1)
    arrays, users = asked.array, workload.user.codes
    waiting = 0
    for row, (first, last) in enumerate(pairwise(workload.parents.offsets.tolist())):
        parents = workload.parents.rows[first:last]
        assert not (asked.needs_success[row] and not len(parents))
        if not len(parents):
            continue
        waiting += 1
        assert (users[parents] == users[row]).all()
        assert parents.max() < row
        assert (np.diff(parents) == 1).all()
        # Nothing of that user comes between, and an array is waited for as a whole.
        assert not (users[parents.max() + 1 : row] == users[row]).any()
        if arrays[parents[0]]:
            assert len(parents) == (arrays == arrays[parents[0]]).sum()
    assert waiting > 1000


def test_shares_are_those_of_the_parameters() -> None:
    workload, asked = jobs(100_000, array_share=0.0)
    model = SiteParameters()
    queue = workload.queue.texts()
    assert (queue == "gpu").mean() == pytest.approx(model.gpu_share, abs=0.005)
    assert (queue == "debug").mean() == pytest.approx((1 - model.gpu_share) * model.debug_share, abs=0.005)
    assert (asked.qos.texts() == "urgent").mean() == pytest.approx(model.urgent_share, abs=0.005)
    assert (~np.isnan(asked.eligible_time)).mean() == pytest.approx(model.held_share, abs=0.003)
    assert (~np.isnan(asked.cancel_time)).mean() == pytest.approx(model.cancel_share, abs=0.003)
    assert asked.fails.mean() == pytest.approx(
        model.timeout_share + (1 - model.timeout_share) * model.fail_share, abs=0.005
    )
    assert (workload.user.texts() == "user01").mean() == pytest.approx(
        1 / (1 / np.arange(1, model.users + 1)).sum(), abs=0.01
    )
    assert not asked.array.any()


def test_arrivals_follow_the_week() -> None:
    workload, _ = jobs(100_000, array_share=0.0)
    weeks = workload.arrival_time[-1] // (7 * 86_400)
    hours = workload.arrival_time[workload.arrival_time < weeks * 7 * 86_400] // 3600
    weekend = hours % 168 >= 120
    working = ~weekend & (hours % 24 >= 8) & (hours % 24 < 18)
    assert (working.sum() / 50) / (weekend.sum() / 48) == pytest.approx(2.0 / 0.4, rel=0.05)
    assert len(hours) / (weeks * 168) == pytest.approx(SiteParameters().hourly, rel=0.05)


def test_every_kind_of_request_occurs() -> None:
    _, asked = jobs()
    # Just as many nodes as stated are asked for, nobody reserved any, nothing of it ever ran, all are rigid, and none
    # waits for what its user thinks of another.
    rigid = {"elasticity", "least_width", "most_width", "speedup", "resize_time"}
    open_loop = {"follows", "think_time"}
    assert set(NAMES) - set(asked.stated()) - rigid - open_loop == {"most_nodes", "reservation", "recorded_nodes"}
