"""What of an entry's key stays as it is: scores of an order, or the parts of Slurm's priority that do not change."""

import numpy as np

from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.kernels.site.asks import Asks
from scheduler_sim.engine.kernels.site.priority import TERMS
from scheduler_sim.engine.kernels.site.rules import Rules
from scheduler_sim.engine.kernels.site.state import BY_FACTORS
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


def fixed_keys(problem: Problem, rules: Rules, entry_task: IntArray) -> FloatArray:
    """Return the key of each entry where it does not come of factors; larger keys go first."""
    if rules.is_slurm:
        return -entry_task.astype(np.float64)
    return -problem.scores.base[entry_task]


def fixed_terms(rules: Rules, asked: Asks, entry_task: IntArray, wanted: Requests) -> FloatArray:
    """Return what of each entry's priority stays: size, partition, QOS, resources, nice; shape (entries * 5,)."""
    terms = np.zeros((len(entry_task), TERMS))
    if not rules.settings[BY_FACTORS] or not len(entry_task):
        return terms.ravel()
    site, kinds = rules.site, asked.kinds[asked.kind]
    priority, cluster = site.priority, site.cluster
    cores = kinds["grain"] * kinds["size"] * kinds["units"] / MILLI
    nodes = kinds["least"]
    if priority.favor_small:
        size = ((cluster.nodes - nodes) / cluster.nodes + (cluster.cores - cores) / cluster.cores) / 2
    else:
        size = (nodes / cluster.nodes + cores / cluster.cores) / 2
    factors = np.array([one.priority for one in site.partitions], np.float64)
    partition = (factors / (factors.max() or 1.0))[kinds["part"]]
    terms[:, 0] = priority.job_size_weight * np.clip(size, 0.0, 1.0)
    terms[:, 1] = priority.partition_weight * partition
    terms[:, 2] = priority.qos_weight * _qos_factor(site, asked.people.qos)[entry_task]
    amounts = {
        "cpu": cores / max(cluster.cores, 1),
        "node": nodes / max(cluster.nodes, 1),
        "gres/gpu": (kinds["gpu"] * kinds["units"] + kinds["each_gpus"] * nodes) / max(cluster.gpus, 1),
    }
    for name, weight in priority.resource_weights.items():
        if name.lower() in amounts:
            terms[:, 3] += weight * np.minimum(amounts[name.lower()], 1.0)
    terms[:, 4] = -wanted.nice[entry_task]
    return terms.ravel()


def _qos_factor(site: Site, qos: IntArray) -> FloatArray:
    """Return the priority of each task's QOS beside the largest one."""
    largest = max((one.priority for one in site.qos), default=0) or 1
    values: FloatArray = np.array([one.priority for one in site.qos] + [0], np.float64) / largest
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
        first = np.array([*(bool(one.preempts) for one in site.qos), False], np.float64)
        lead = lead + 2.0 * len(tiers) * first[asked.people.qos][entry_task]
    return lead
