"""Workloads on sites: what is played, what is refused, and that it does not matter in how many pieces."""

from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine import Simulation, parse_policy
from scheduler_sim.engine.errors import EngineError, InvalidPolicy
from scheduler_sim.engine.requests import Requests
from scheduler_sim.engine.sites import Site, read_site
from scheduler_sim.engine.workload import Workload

SMALL = """
name: small
groups:
- {hosts: "c[01-06]", cores: 16, memory_mb: 64000, features: [skylake], weight: 10}
- {hosts: "d[01-03]", cores: 16, memory_mb: 128000, features: [icelake, bigmem], weight: 20}
- {hosts: "g[01-02]", cores: 16, memory_mb: 64000, gpus: 4, gpu_type: a100, weight: 50}
partitions:
- {name: batch, hosts: "c[01-06],d[01-03]", is_default: true, max_time: 7200}
- {name: gpu, hosts: "g[01-02]", max_time: 7200}
- {name: debug, hosts: "c[01-02]", max_time: 600, tier: 10}
scheduling: {submission_delay_time: 1, main_interval_time: 10, backfill_interval_time: 3, backfill_resolution_time: 1}
"""

POLICIES = ["fcfs", "fcfs+list", "fcfs+easy", "fcfs+conservative", "sjf", "wfp3+easy", "slurm"]


def small() -> Site:
    return read_site(SMALL)


def jobs(seed: int, count: int = 120) -> Workload:
    """Return jobs of every kind for the small site."""
    random = np.random.default_rng(seed)
    part = random.choice(["batch", "batch", "batch", "gpu", "debug"], count)
    gpu, debug = part == "gpu", part == "debug"
    nodes = np.where(random.random(count) < 0.5, random.integers(1, 4, count), 0)
    nodes = np.where(gpu | debug, np.minimum(nodes, 2), nodes)
    requests = Requests.blank(
        count,
        nodes=nodes,
        tasks=np.where(nodes > 0, nodes * random.integers(1, 17, count), random.integers(0, 20, count)),
        cores_per_task=np.ones(count, np.int64),
        gpus_per_node=np.where(gpu, random.integers(1, 5, count), 0).astype(np.float64),
        exclusive=(random.random(count) < 0.1) & (nodes > 0),
    )
    return Workload.from_columns(
        arrival_time=np.sort(random.integers(0, 3000, count)).astype(np.float64),
        runtime=random.integers(5, 400, count).astype(np.float64),
        duration_estimate=random.choice([300.0, 420.0, 600.0], count),
        cpus=random.integers(1, 17, count),
        gpus=np.where(gpu, 1, 0),
        queue=part.tolist(),
        requests=requests,
    )


def played(policy: str, workload: Workload, site: Site, **options: Any) -> Simulation:
    simulation = Simulation(workload, site.cluster, parse_policy(policy), site=site, **options)
    simulation.advance()
    return simulation


@pytest.mark.parametrize("policy", POLICIES)
def test_every_task_starts_after_it_is_ready_on_a_node_of_its_partition(policy):
    site, workload = small(), jobs(1)
    simulation = played(policy, workload, site)
    outcome = simulation.outcome()
    assert simulation.done
    assert (outcome.start_time >= outcome.ready_time).all()
    assert np.allclose(outcome.finish_time, outcome.start_time + workload.runtime)
    nodes = {one.name: set(site.numbers(one.hosts)) for one in site.partitions}
    for part, node in zip(workload.queue.texts(), outcome.node.tolist(), strict=True):
        assert node in nodes[part]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_run_in_pieces_is_the_run_at_once(policy):
    site, workload = small(), jobs(2)
    whole = played(policy, workload, site).outcome()
    pieces = Simulation(workload, site.cluster, parse_policy(policy), site=site)
    time = 0.0
    while not pieces.done:
        pieces.advance(until_time=time, max_events=7)
        time += 13.7
    assert np.array_equal(pieces.outcome().start_time, whole.start_time)
    assert np.array_equal(pieces.outcome().completion_order, whole.completion_order)


def test_seeds_move_the_phases_of_slurm_and_nothing_else():
    site, workload = small(), jobs(3)
    first, same = (played("slurm", workload, site, seed=4).outcome().start_time for _ in range(2))
    other = played("slurm", workload, site, seed=5).outcome().start_time
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
    fixed = "slurm(main_phase=0.5,backfill_phase=0.25,decay_phase=1)"
    one, two = (played(fixed, workload, site, seed=seed).outcome().start_time for seed in (4, 5))
    assert np.array_equal(one, two)


def test_a_changed_setting_changes_the_run_and_an_unknown_one_is_refused():
    site, workload = small(), jobs(3)
    plain, rare = (
        played(policy, workload, site).outcome().start_time for policy in ("slurm", "slurm(bf_interval=600)")
    )
    assert not np.array_equal(plain, rare)
    with pytest.raises(InvalidPolicy, match=r"bf_intervall.*Did you mean bf_interval"):
        parse_policy("slurm(bf_intervall=3)")


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ("drf+list", "rule of its own"),
        ("srtf", "stops running tasks"),
        ("fcfs+easy@best_fit", "weights and numbers"),
        ("fcfs+easy(order=sjf)", "easy is without parameters"),
    ],
)
def test_what_is_not_played_on_a_site_is_refused_by_one_sentence(policy, sentence):
    site = small()
    with pytest.raises(EngineError, match=sentence):
        Simulation(jobs(1), site.cluster, parse_policy(policy), site=site)


def test_slurm_needs_a_site():
    with pytest.raises(InvalidPolicy, match="plays on a site"):
        Simulation(jobs(1), small().cluster, parse_policy("slurm"))
