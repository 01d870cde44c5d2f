"""What of an entry's key stays as it is: scores of an order, or the parts of Slurm's priority that do not change."""

import numpy as np

from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.kernels.site.asks import Asks
from scheduler_sim.engine.kernels.site.rules import Rules
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.requests import Requests
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.workload import FloatArray, IntArray


def fixed_keys(problem: Problem, rules: Rules, asked: Asks, entry_task: IntArray, wanted: Requests) -> FloatArray:
    """Return the key of each entry without what changes with time; larger keys go first."""
    if not rules.is_slurm:
        return -problem.scores.base[entry_task]
    site, kinds = rules.site, asked.kinds[asked.kind]
    priority = site.priority
    if priority.kind == "basic":
        return np.zeros(len(entry_task))
    cores = np.maximum(kinds["cpu"] * kinds["units"], 0) / MILLI
    if site.placement == "nodes":
        per_node = np.array([group.cores for group in site.cluster.groups])[site.cluster.group_of_nodes()].min()
        cores = np.maximum(cores, kinds["least"] * per_node)
    nodes = kinds["least"]
    share = (nodes / max(site.cluster.nodes, 1) + cores / max(site.cluster.cores, 1)) / 2.0
    size = np.minimum(share, 1.0)
    if priority.favor_small:
        size = 1.0 - size
    factors = np.array([one.priority for one in site.partitions], np.float64)
    partition = (factors / max(factors.max(), 1.0))[kinds["part"]] if len(kinds) else np.zeros(0)
    total = priority.job_size_weight * size + priority.partition_weight * partition
    total = total + priority.qos_weight * _qos_factor(site, asked.people.qos)[entry_task]
    amounts = {
        "cpu": cores / max(site.cluster.cores, 1),
        "node": nodes / max(site.cluster.nodes, 1),
        "gres/gpu": (kinds["gpu"] * kinds["units"] + kinds["each_gpus"] * nodes) / max(site.cluster.gpus, 1),
    }
    for name, weight in priority.resource_weights.items():
        if name.lower() in amounts:
            total = total + weight * np.minimum(amounts[name.lower()], 1.0)
    keys: FloatArray = total - wanted.nice[entry_task]
    return keys


def _qos_factor(site: Site, qos: IntArray) -> FloatArray:
    """Return the priority of each task's QOS beside the largest one."""
    largest = max((one.priority for one in site.qos), default=0) or 1
    values = np.array([one.priority for one in site.qos] + [0], np.float64) / largest
    return values[qos]


def leads(rules: Rules, asked: Asks, entry_task: IntArray) -> FloatArray:
    """Return what comes before all priorities: who may preempt whom, then the partition's tier."""
    if not rules.is_slurm:
        return np.zeros(len(entry_task))
    site = rules.site
    tiers = np.array([one.tier for one in site.partitions], np.float64)
    rank = np.searchsorted(np.unique(tiers), tiers).astype(np.float64)
    lead = rank[asked.kinds["part"][asked.kind]] if len(entry_task) else np.zeros(0)
    if site.preemption.kind == "qos":
        levels = np.array([*preemptor_levels(site), 0], np.float64)
        lead = lead + 2.0 * len(tiers) * levels[asked.people.qos][entry_task]
    return lead


def preemptor_levels(site: Site) -> list[int]:
    """Return of each QOS how many others stand below each other under it, by whom each may preempt."""
    below = {one.name: one.preempts for one in site.qos}

    def level(name: str, seen: frozenset[str]) -> int:
        others = [other for other in below[name] if other not in seen and other in below]
        return 1 + max(level(other, seen | {other}) for other in others) if others else 0

    return [level(one.name, frozenset({one.name})) for one in site.qos]
