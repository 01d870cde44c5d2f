"""Whole nodes asked for in a partition of a site with GPU nodes beside it, and what four more of its nodes change."""

from dataclasses import replace

import numpy as np
import pytest

from scheduler_sim.engine import Simulation, parse_policy
from scheduler_sim.engine.sites import Site, add_site_nodes, read_site
from scheduler_sim.engine.whatif import scale_load
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.throughputs import Throughputs
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

SITE = """
name: department
groups:
- {name: thin, hosts: "c[01-20]", cores: 64, memory_mb: 256000}
- {name: large, hosts: "m[01-02]", cores: 64, memory_mb: 1000000, weight: 20}
- {name: a100, hosts: "a[01-04]", cores: 128, gpus: 4, gpu_type: a100, weight: 50}
- {name: v100, hosts: "v[01-04]", cores: 64, gpus: 4, gpu_type: v100, weight: 40}
partitions:
- {name: batch, hosts: "c[01-20],m[01-02]", is_default: true, max_time: 86400}
- {name: gpu, hosts: "a[01-04],v[01-04]", max_time: 86400}
"""
POLICIES = ["fcfs", "fcfs+easy", "fcfs+conservative", "sjf+easy", "slurm"]


def wide_jobs(count: int = 60) -> Workload:
    """Return jobs of `-N 8 --ntasks-per-node 64` in batch, and jobs of one GPU beside them."""
    random = np.random.default_rng(1)
    wide = np.arange(count) % 3 > 0
    requests = Requests.blank(
        count,
        nodes=np.where(wide, 8, 1),
        tasks=np.where(wide, 512, 1),
        tasks_per_node=np.where(wide, 64, 0),
        cores_per_task=np.ones(count, np.int64),
        gpus_per_node=np.where(wide, 0.0, 1.0),
    )
    runtime = random.integers(600, 3600, count).astype(np.float64)
    return Workload.from_columns(
        arrival_time=np.sort(random.integers(0, 20_000, count)).astype(np.float64),
        runtime=runtime,
        duration_estimate=np.ceil(runtime * 1.5 / 60) * 60,
        cpus=np.where(wide, 512, 1),
        gpus=np.where(wide, 0, 1),
        queue=np.where(wide, "batch", "gpu").tolist(),
        requests=requests,
    )


def waits(policy: str, workload: Workload, site: Site) -> tuple[FloatArray, Simulation]:
    """Return the waits of the wide jobs, and the simulation."""
    simulation = Simulation(workload, site.cluster, parse_policy(policy), site=site)
    simulation.advance()
    outcome = simulation.outcome()
    return (outcome.start_time - outcome.ready_time)[workload.gpus == 0], simulation


@pytest.mark.parametrize("policy", POLICIES)
def test_wide_jobs_run_on_nodes_of_batch_alone_however_free_the_gpu_nodes_are(policy: str) -> None:
    site, workload = read_site(SITE), wide_jobs()
    _, simulation = waits(policy, workload, site)
    outcome, wide = simulation.outcome(), workload.gpus == 0
    assert simulation.done
    assert set(outcome.node[wide].tolist()) <= set(site.numbers("c[01-20],m[01-02]"))
    assert set(outcome.node[~wide].tolist()) <= set(site.numbers("a[01-04],v[01-04]"))
    # Two of eight nodes each fit on 22, never three: no more run at once whatever is free elsewhere.
    starts, ends = outcome.start_time[wide], outcome.finish_time[wide]
    at_once = [int(((starts <= instant) & (ends > instant)).sum()) for instant in starts.tolist()]
    assert max(at_once) == 2


@pytest.mark.parametrize("policy", POLICIES)
def test_four_more_nodes_of_batch_shorten_the_waits_there(policy: str) -> None:
    site, workload = read_site(SITE), wide_jobs()
    larger = add_site_nodes(site, "batch=4")
    assert larger.partitions[0].hosts == "c[01-20],m[01-06]"
    before, _ = waits(policy, workload, site)
    after, simulation = waits(policy, workload, larger)
    assert after.mean() < 0.7 * before.mean(), "three at once where there were two"
    assert not set(simulation.outcome().node[workload.gpus == 0].tolist()) & set(larger.numbers("a[01-04],v[01-04]"))


def test_four_more_gpu_nodes_change_nothing_in_batch() -> None:
    site, workload = read_site(SITE), wide_jobs()
    before, _ = waits("fcfs+easy", workload, site)
    after, _ = waits("fcfs+easy", workload, add_site_nodes(site, "a100=4"))
    assert (after == before).all()


def test_half_the_load_shortens_the_waits() -> None:
    site, workload = read_site(SITE), wide_jobs()
    before, _ = waits("slurm", workload, site)
    after, _ = waits("slurm", scale_load(workload, 0.5), site)
    assert after.mean() < 0.7 * before.mean()


def test_without_the_site_the_same_tasks_go_to_the_gpu_nodes() -> None:
    site, workload = read_site(SITE), wide_jobs()
    alone = replace(workload, requests=None)
    simulation = Simulation(alone, site.cluster, parse_policy("fcfs"))
    simulation.advance()
    wide = workload.gpus == 0
    assert set(simulation.outcome().node[wide].tolist()) <= set(site.numbers("a[01-04]"))


@pytest.mark.parametrize("policy", ["fcfs", "slurm"])
def test_on_a_site_too_jobs_run_by_their_rates_and_only_where_they_have_one(policy: str) -> None:
    site = read_site(SITE)
    rates = Throughputs(("a100", "v100"), {("gains", 1): (10.0, 1.0), ("old only", 1): (0.0, 2.0)})
    names = ["gains", "old only"] * 12
    workload = Workload.from_columns(
        arrival_time=np.arange(24.0),
        runtime=np.full(24, 600.0),
        size=np.full(24, 600.0),
        cpus=np.ones(24),
        gpus=np.ones(24),
        group=names,
        queue=["gpu"] * 24,
        throughputs=rates,
    )
    simulation = Simulation(workload, site.cluster, parse_policy(policy), site=site)
    simulation.advance()
    outcome = simulation.outcome()
    group = site.cluster.group_of_nodes()[outcome.node]
    kind = np.array([one.gpu_type for one in site.cluster.groups], object)[group]
    length = outcome.finish_time - outcome.start_time
    assert set(kind[1::2]) == {"v100"}
    np.testing.assert_allclose(length[1::2], 300.0)
    np.testing.assert_allclose(length[::2], np.where(kind[::2] == "a100", 60.0, 600.0))
