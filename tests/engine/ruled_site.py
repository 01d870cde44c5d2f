"""A site with limits of every kind, and jobs for it."""

from typing import Any

import numpy as np

from scheduler_sim.engine import Simulation, parse_policy
from scheduler_sim.engine.kernels.site.kernel import SiteKernel
from scheduler_sim.engine.kernels.site.never import fit_to_site
from scheduler_sim.engine.kernels.site.reasons import WORDS
from scheduler_sim.engine.sites import Site, read_site
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Labels, Workload

RULED = """
name: ruled
groups:
- {hosts: "n[01-08]", cores: 16, memory_mb: 64000}
partitions:
- {name: main, hosts: "n[01-08]", is_default: true, max_time: 3600, qos: whole}
- {name: small, hosts: "n[01-02]", max_time: 1200, max_nodes: 1}
qos:
- {name: normal, priority: 10, limits: {user_jobs: 3, account_resources: {cpu: 64}}}
- {name: urgent, priority: 100, preempts: [scav]}
- {name: scav, preempt_mode: requeue, limits: {all_resources: {node: 4}}}
- {name: whole, limits: {all_jobs: 9}}
accounts:
- {name: one, shares: 3, limits: {all_resources: {cpu: 80}}}
- {name: two, shares: 1}
- {name: one, user: ann}
- {name: one, user: bob}
- {name: two, user: cat, limits: {all_jobs: 2}}
reservations:
- {name: upkeep, start_time: 900, end_time: 1200, hosts: "n[01-05]", flags: [MAINT]}
priority: {kind: multifactor, age_weight: 1000, fair_share_weight: 2000, qos_weight: 3000, job_size_weight: 100,
  decay_half_life_time: 600, calculation_period_time: 60}
preemption: {kind: qos, mode: requeue}
enforces: [associations, limits, qos]
scheduling: {submission_delay_time: 1, main_interval_time: 10, backfill_interval_time: 3, backfill_resolution_time: 1}
"""


def ruled_jobs(seed: int, count: int = 150) -> Workload:
    random = np.random.default_rng(seed)
    user = random.choice(["ann", "bob", "cat"], count)
    nodes = random.integers(1, 4, count)
    small = random.random(count) < 0.15
    nodes = np.where(small, 1, nodes)
    requests = Requests.blank(
        count,
        nodes=nodes,
        tasks=nodes * random.integers(1, 17, count),
        cores_per_task=np.ones(count, np.int64),
        qos=Labels.from_texts(random.choice(["normal", "normal", "urgent", "scav"], count)),
        requeueable=random.random(count) < 0.8,
        nice=random.choice([0, 0, 500], count),
        array=np.where(random.random(count) < 0.2, random.integers(1, 4, count), 0),
        array_limit=np.full(count, 2),
        cancel_time=np.where(random.random(count) < 0.1, random.integers(500, 3000, count), np.nan),
    )
    return Workload.from_columns(
        arrival_time=np.sort(random.integers(0, 2000, count)).astype(np.float64),
        runtime=random.integers(5, 300, count).astype(np.float64),
        duration_estimate=random.choice([300.0, 420.0, 600.0], count),
        cpus=np.ones(count),
        queue=np.where(small, "small", "main").tolist(),
        user=user.tolist(),
        group=np.where(user == "cat", "two", "one").tolist(),
        requests=requests,
    )


def played(policy: str, workload: Workload, site: Site, **options: Any) -> Simulation:
    simulation = Simulation(workload, site.cluster, parse_policy(policy), site=site, **options)
    simulation.advance()
    return simulation


def playable(policy: str, workload: Workload, site: Site, **options: Any) -> Simulation:
    """Return the simulation of the tasks that can ever start, played to its end."""
    left, *_ = fit_to_site(workload, site, on_oversize="drop")
    return played(policy, left, site, **options)


def words_of(simulation: Simulation) -> Any:
    kernel = simulation.kernel
    assert isinstance(kernel, SiteKernel)
    return np.array(WORDS)[kernel.reasons()]


def metered(enforces: str, **limits: Any) -> Site:
    """Return the ruled site with limits on what account one uses, which never forgets."""
    document = read_site(RULED).as_json()
    document["enforces"] = ["associations", enforces, "qos"]
    document["priority"]["decay_half_life_time"] = 0
    document["accounts"][0]["limits"] = limits
    return Site.from_json(document)
