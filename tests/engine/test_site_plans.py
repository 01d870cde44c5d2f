"""Plans where many wait: no start breaks a promise, and what the compiled twin leaves out is in vain."""

from dataclasses import dataclass
from math import floor
from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine.kernels.site import layout
from scheduler_sim.engine.kernels.site.never import fit_to_site
from scheduler_sim.engine.kernels.structures import radix
from scheduler_sim.engine.kernels.structures.radix import order_codes, sort_by_codes
from scheduler_sim.engine.kernels.structures.select import select
from scheduler_sim.engine.sites import Partition, Site
from scheduler_sim.engine.workloads.columns import Labels
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Workload
from tests import depth
from tests.engine.reference_slurm import ReferenceSlurm
from tests.engine.reference_slurm_jobs import Job, Share
from tests.engine.test_site_reference import PHASES, compiled_starts, random_jobs, random_site, slow_starts


@dataclass
class Kept:
    """A promise of one pass: the nodes, as bits, and from when to when."""

    nodes: int
    first: float
    last: float


class WatchedSlurm(ReferenceSlurm):
    """Slurm that compares every start of a backfill pass with what the pass had promised before."""

    current: list[Kept] | None = None
    compared = 0
    broken: list[tuple[int, Kept]]

    def backfill(self, now: float) -> None:
        self.current = []
        super().backfill(now)
        self.current = None

    def _reserve(self, first: float, last: float, nodes: int, unit: int) -> None:
        super()._reserve(first, last, nodes, unit)
        if self.current is not None and first < self.window_end:
            self.current.append(Kept(nodes, first, min(max(last, first + unit), self.window_end)))

    def start(self, job: Job, partition: Partition, shares: list[Share], now: float, by: str) -> None:
        super().start(job, partition, shares, now, by)
        if self.current is None:
            return
        for kept in self.current:
            self.compared += 1
            if kept.nodes & job.nodes and kept.first < job.ends_by and kept.last > floor(now):
                self.broken.append((job.row, kept))


def crowded_site(random: np.random.Generator) -> Site:
    """Return 70 small nodes in partitions that overlap, without reservations and preemption."""
    document: dict[str, Any] = {
        "name": "crowded",
        "groups": [
            {"hosts": "a[01-40]", "cores": 4, "memory_mb": 16_000, "weight": 10},
            {"hosts": "b[01-30]", "cores": 8, "memory_mb": 16_000, "features": ["y"], "weight": 20},
        ],
        "partitions": [
            {"name": "main", "hosts": "a[01-40],b[01-15]", "is_default": True, "max_time": 7200},
            {"name": "wide", "hosts": "a[21-40],b[01-30]", "max_time": 7200},
            {"name": "all", "hosts": "ALL", "max_time": 3600, "tier": int(random.integers(1, 3))},
        ],
        "placement": "nodes" if random.random() < 0.25 else "cores",
        "default_memory_mb_per_core": 1500,
        "is_memory_shared_out": bool(random.random() < 0.6),
        "scheduling": {
            "submission_delay_time": 3,
            "main_interval_time": 60,
            "main_depth": 100,
            "backfill_interval_time": 30,
            "backfill_resolution_time": int(random.choice([1, 60])),
            "backfill_window_time": int(random.choice([1800, 7200, 86_400])),
            "backfill_depth": int(random.choice([20, 500])),
        },
    }
    if random.random() < 0.5:
        document["priority"] = {
            "kind": "multifactor",
            "age_weight": 1000,
            "job_size_weight": 200,
            "max_age_time": 600,
            "calculation_period_time": 60,
        }
    return Site.from_json(document)


def crowd(random: np.random.Generator, site: Site, count: int) -> Workload:
    """Return far more tasks than fit, of a core to many nodes, many of them alike."""
    alike = np.sort(random.integers(0, count // 3, count))

    def draw(values: Any) -> Any:
        return random.choice(values, count)[alike]

    part = draw(["main", "main", "wide", "all"])
    nodes = draw([0, 1, 1, 1, 2, 4, 8, 20])
    if site.placement == "nodes":
        nodes = np.maximum(nodes, 1)
    each = draw([1, 2, 4, 4])
    per_node = np.where(nodes > 1, draw([0, 0, 1]) * each, 0)
    tasks = np.maximum(nodes, 1) * each
    requests = Requests.blank(
        count,
        nodes=nodes,
        tasks=tasks,
        cores_per_task=np.ones(count, np.int64),
        tasks_per_node=per_node,
        features=Labels.from_texts(np.where(nodes < 8, draw(["", "", "", "y"]), "")),
        partitions=Labels.from_texts(part),
        exclusive=(draw([0, 0, 0, 0, 0, 0, 1]) == 1) & (nodes > 0),
    )
    return Workload.from_columns(
        arrival_time=np.sort(np.round(random.uniform(0, 600, count), 3)),
        runtime=np.round(random.uniform(20, 900, count), 3),
        duration_estimate=draw([300.0, 900.0, 1200.0, 3600.0]) + 0.0,
        cpus=tasks,
        queue=part.tolist(),
        user=["ann"] * count,
        group=["p"] * count,
        requests=requests,
    )


@pytest.mark.parametrize("seed", range(depth.cases(5)))
def test_a_crowded_site_starts_every_job_as_the_slow_twin_does(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(900 + seed)
    if seed % 2:
        # There is no room for the plans of a whole pass.
        monkeypatch.setattr(layout, "MOST_FORMER", 3 * seed + 2)
    site = crowded_site(random)
    workload, *_ = fit_to_site(crowd(random, site, 180), site, on_oversize="drop")
    expected = slow_starts(workload, site, 0.0)
    assert np.array_equal(compiled_starts(workload, site, 0.0), expected, equal_nan=True)
    assert np.nanmax(expected) > 600


def test_no_start_of_a_pass_breaks_what_it_promised_to_a_task_before() -> None:
    compared = 0
    for seed in [0, 1, 2, 900, 901]:
        random = np.random.default_rng(seed)
        site = crowded_site(random) if seed >= 900 else random_site(random)
        jobs = crowd(random, site, 120) if seed >= 900 else random_jobs(random, site, 80)
        workload, *_ = fit_to_site(jobs, site, on_oversize="drop")
        slow = WatchedSlurm(workload, site, PHASES, epoch=0.0)
        slow.broken = []
        slow.play()
        assert slow.broken == []
        compared += slow.compared
    assert compared > 100


def test_the_kth_least_of_pairs_is_found() -> None:
    random = np.random.default_rng(5)
    # It is called by compiled code only; this is what is compiled.
    plain = getattr(select, "py_func", select)
    for _ in range(200):
        size = int(random.integers(1, 30))
        times, rows = random.integers(0, 6, size).astype(float), random.integers(0, 3, size)
        order = np.lexsort((rows, times))
        expected = times[order].tolist(), rows[order].tolist()
        k = int(random.integers(0, size))
        plain(times, rows, size, k)
        assert (times[k], rows[k]) == (expected[0][k], expected[1][k])
        order = np.lexsort((rows, times))
        assert (times[order].tolist(), rows[order].tolist()) == expected


def test_a_queue_is_sorted_by_its_keys_and_equal_ones_stay_in_their_order() -> None:
    random = np.random.default_rng(7)
    codes_of: Any = getattr(order_codes, "py_func", order_codes)
    sort_them: Any = getattr(sort_by_codes, "py_func", sort_by_codes)
    odd = np.array([0.0, -0.0, np.inf, -np.inf, 1.5, -1.5, 2.0**40 + 1.0, -(2.0**41)])
    cases = [odd, random.permutation(np.repeat(odd, 3)), random.integers(-40, 40, 200) / 4.0, -random.random(90) * 1e12]
    for keys in [*cases, np.zeros(0), np.zeros(9)]:
        items, codes = random.permutation(len(keys)), np.zeros(len(keys), np.int64)
        expected = items[np.argsort(keys, kind="stable")]
        codes_of(keys.copy(), codes)
        sort_them(codes, items)
        assert items.tolist() == expected.tolist()


@pytest.mark.parametrize("low", [0, 3, 17, 40])
def test_codes_are_sorted_by_the_digits_in_which_they_differ(low: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_sort_digits", "_sort_rest"):
        monkeypatch.setattr(radix, name, getattr(getattr(radix, name), "py_func", getattr(radix, name)))
    random = np.random.default_rng(8)
    sort_them: Any = getattr(radix.sort_codes, "py_func", radix.sort_codes)
    tiers = (random.integers(0, 3, 300) << 57) | random.integers(0, 2**31, 300)
    for codes in [tiers, random.integers(0, 2**62, 50), np.repeat(tiers[:9], 4), np.zeros(5, np.int64), tiers[:0]]:
        expected = np.sort(codes).tolist()
        sort_them(codes, low)
        assert codes.tolist() == expected
