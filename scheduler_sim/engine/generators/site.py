"""Jobs as people submit them to a site: partitions, nodes, limits, arrays, dependencies, QOS, accounts.

Submissions come through a week of busy and quiet hours; a submission is one job or a job array. Who submits follows
Zipf's law, and each user has run times of a length of their own. Time limits are round numbers above what the job
takes, often the partition's longest one, as Tsafrir, Etsion and Feitelson found ("Modeling user runtime estimates",
JSSPP 2005). The shares are plausible, not measured at one site; they are parameters.

The generator draws, in this order, each for all users, submissions or tasks before the next: arrays and their lengths,
gaps, users, their run times, partitions, shapes, memory, limits, run times, failures, what else a job may state, and
dependencies. Times are whole seconds, so that the last bits of a mathematical library cannot show.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scheduler_sim.engine.generators.draws import numbered, scale_to_span, through_cycle, zipf
from scheduler_sim.engine.generators.registry import Generator, Parameters, parameter, part, register
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Labels, Parents, Workload

HOUR = 3600.0
LIMITS = np.array([600, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400, 172_800, 259_200], np.float64)
"""Time limits that people give, seconds."""

BATCH, DEBUG, GPU = range(3)
PARTITIONS = ("batch", "debug", "gpu")
LONGEST = np.array([259_200.0, 1800.0, 172_800.0])
"""The partitions' longest time limits, seconds."""

FEATURES = ("skylake", "icelake")
"""Of the older and the newer half of the nodes without GPUs."""

MB_PER_CORE = 4000
MB_PER_GPU = 64_000
_BUSY, _EVENING, _WEEKEND = 2.0, 0.7, 0.4
_DEBUG_NODES = 2


@dataclass(frozen=True)
class SiteParameters(Parameters):
    """The size of the site, and shares of what its users submit."""

    nodes: int = parameter(100, "nodes without GPUs", kind=int, low=1, high=10**5)
    cores_per_node: int = parameter(64, "cores of every node", kind=int, low=1, high=4096)
    gpu_nodes: int = parameter(8, "nodes with GPUs", kind=int, low=0, high=10**5)
    gpus_per_node: int = parameter(4, "GPUs of such a node", kind=int, low=1, high=64)
    hourly: float = parameter(
        60.0, "mean submissions an hour, over the week; replaced by `load` where that is given", low=1e-6, high=1e7
    )
    load: float | None = parameter(
        None, "offered load on all cores of the site to reach by scaling the arrivals", low=1e-6, high=1000
    )
    users: int = parameter(40, "number of users; the k-th submits in proportion to 1/k", kind=int, low=1, high=10**5)
    accounts: int = parameter(8, "accounts, to which the users belong in turn", kind=int, low=1, high=10**4)
    gpu_share: float = part(0.15, "share of submissions to the partition gpu")
    debug_share: float = part(0.1, "share of the others that go to the partition debug")
    multi_node_share: float = part(0.25, "share of submissions for whole nodes, often several")
    array_share: float = part(0.05, "share of submissions that are job arrays")
    array_mean: float = parameter(20.0, "mean number of tasks of an array", low=2, high=10**5)
    dependency_share: float = part(0.05, "share of submissions that wait for their user's last")
    held_share: float = part(0.02, "share of submissions with a begin time, up to 12 hours on")
    cancel_share: float = part(0.03, "share of submissions given up if they wait long")
    timeout_share: float = part(0.04, "share of submissions that run into their limit")
    fail_share: float = part(0.05, "share of the other tasks that end in failure")
    urgent_share: float = part(0.05, "share of submissions of the QOS urgent")

    @property
    def processors(self) -> int:
        """Cores of the site."""
        return (self.nodes + self.gpu_nodes) * self.cores_per_node


def generate(tasks: int, parameters: SiteParameters, generator: np.random.Generator) -> Workload:
    """Draw jobs that ask for partitions, nodes and more, with the limits that people give.

    Raises:
        InvalidParameter: a load that cannot be reached because all tasks arrive at once.
    """
    arrays = generator.random(tasks) < parameters.array_share
    lengths = np.where(arrays, 1 + generator.geometric(1.0 / (parameters.array_mean - 1.0), tasks), 1)
    count = int(np.searchsorted(np.cumsum(lengths), tasks)) + 1
    arrays, lengths = arrays[:count], lengths[:count]
    owner = np.repeat(np.arange(count), lengths)[:tasks]
    points = np.cumsum(generator.standard_exponential(count)) * HOUR / parameters.hourly
    users = zipf(count, parameters.users, generator)
    typical = generator.normal(7.5, 1.2, parameters.users)[users]
    partition = _partitions(count, parameters, generator)
    asked = _shapes(partition, parameters, generator)
    runtimes, limits, timed_out = _times(typical, partition, owner, parameters, generator)

    held = _held(asked)
    if parameters.load is not None:
        work = float(np.sum(runtimes * held["cpus"][owner]))
        points = points * scale_to_span(
            points, work / (parameters.load * parameters.processors), _weekly, parameters.load
        )
    arrivals = np.floor(_weekly(points))

    stated = _rest(arrivals, partition, limits, asked, parameters, generator)
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    counted = np.bincount(owner, minlength=count)
    stated["array"] = np.where(arrays & (counted > 1), first + 1, 0)
    stated["array_limit"] = np.where((generator.random(count) < 0.3) & (stated["array"] > 0), 10, 0)
    fails = timed_out[owner] | (generator.random(tasks) < parameters.fail_share)
    parents, needs_success = _dependencies(users, owner, first, counted, parameters, generator)
    requests = Requests.blank(count, **asked, **stated, needs_success=needs_success).take(owner)
    workload = Workload.from_columns(
        arrival_time=arrivals[owner],
        runtime=runtimes,
        duration_estimate=limits[owner],
        user=Labels(codes=users[owner], names=numbered("user", parameters.users)),
        group=Labels(codes=(users % parameters.accounts)[owner], names=numbered("account", parameters.accounts)),
        queue=Labels(codes=partition[owner], names=PARTITIONS),
        requests=replace(requests, fails=fails),
        cpus=held["cpus"][owner],
        gpus=held["gpus"][owner],
        memory_mb=held["memory_mb"][owner],
    )
    # Parents lie above their children, so the rows are in canonical order and cannot be circular.
    return replace(workload, parents=parents)


def site_document(parameters: SiteParameters) -> dict[str, Any]:
    """Return a description of the site that the jobs are for, as docs/sites.md says."""
    old = (parameters.nodes + 1) // 2
    without = [("c", 1, old, FEATURES[0], 10), ("c", old + 1, parameters.nodes, FEATURES[1], 20)]
    cores = parameters.cores_per_node
    groups: list[dict[str, Any]] = [
        {
            "hosts": f"{letter}[{low:05d}-{high:05d}]",
            "cores": cores,
            "memory_mb": MB_PER_CORE * cores,
            "features": [feature],
            "weight": weight,
        }
        for letter, low, high, feature, weight in without
        if high >= low
    ]
    names = [f"c[00001-{parameters.nodes:05d}]"]
    partitions: list[dict[str, Any]] = [
        {"name": "batch", "hosts": names[0], "is_default": True, "max_time": LONGEST[BATCH]},
        {"name": "debug", "hosts": names[0], "max_time": LONGEST[DEBUG], "max_nodes": _DEBUG_NODES, "tier": 2},
    ]
    if parameters.gpu_nodes:
        hosts = f"g[00001-{parameters.gpu_nodes:05d}]"
        groups.append(
            {
                "hosts": hosts,
                "cores": cores,
                "memory_mb": MB_PER_CORE * cores + MB_PER_GPU * parameters.gpus_per_node,
                "gpus": parameters.gpus_per_node,
                "gpu_type": "a100",
                "weight": 50,
            }
        )
        partitions.append({"name": "gpu", "hosts": hosts, "max_time": LONGEST[GPU]})
    accounts = numbered("account", parameters.accounts)
    people = numbered("user", parameters.users)
    return {
        "name": "synthetic-site",
        "groups": groups,
        "partitions": partitions,
        "qos": [{"name": "normal"}, {"name": "urgent", "priority": 100}],
        "accounts": [
            *({"name": name, "qos": ["normal", "urgent"], "default_qos": "normal"} for name in accounts),
            *({"name": accounts[number % len(accounts)], "user": user} for number, user in enumerate(people)),
        ],
        "priority": {
            "kind": "multifactor",
            "age_weight": 1000,
            "fair_share_weight": 10_000,
            "job_size_weight": 500,
            "qos_weight": 5000,
        },
    }


def _weekly(points: FloatArray) -> FloatArray:
    """Turn seconds of a mean hour into instants of a week that begins on Monday at midnight."""
    hours = np.arange(7 * 24)
    working = (hours % 24 >= 8) & (hours % 24 < 18)
    weights = np.where(hours >= 5 * 24, _WEEKEND, np.where(working, _BUSY, _EVENING))
    return through_cycle(points, weights / weights.mean(), HOUR)


def _partitions(count: int, parameters: SiteParameters, generator: np.random.Generator) -> IntArray:
    gpu = generator.random(count) < (parameters.gpu_share if parameters.gpu_nodes else 0.0)
    debug = generator.random(count) < parameters.debug_share
    chosen: IntArray = np.where(gpu, GPU, np.where(debug, DEBUG, BATCH)).astype(np.int64)
    return chosen


def _power_of_two(most: IntArray, generator: np.random.Generator) -> IntArray:
    """Draw powers of two up to `most`, each as likely as any other, by submission."""
    steps = np.floor(np.log2(most)) + 1
    drawn: IntArray = np.exp2(np.floor(generator.random(len(most)) * steps)).astype(np.int64)
    return drawn


def _shapes(partition: IntArray, parameters: SiteParameters, generator: np.random.Generator) -> dict[str, Any]:
    """Draw nodes, tasks, cores, GPUs and memory by submission, as columns of `Requests`."""
    count, cores = len(partition), parameters.cores_per_node
    on_gpus = partition == GPU
    whole = generator.random(count) < parameters.multi_node_share
    largest = np.array([max(parameters.nodes // 4, 1), min(_DEBUG_NODES, parameters.nodes), 1])
    largest[GPU] = max(parameters.gpu_nodes // 4, 1)
    nodes = np.where(whole, _power_of_two(largest[partition], generator), 1)
    width = _power_of_two(np.full(count, cores), generator)
    gpus = _power_of_two(np.full(count, parameters.gpus_per_node), generator)
    gpus = np.where(on_gpus, np.where(whole, parameters.gpus_per_node, gpus), 0)
    threaded = generator.random(count) < 0.5
    # Jobs of several processes on one node or anywhere; those of whole nodes fill them.
    processes = np.where(on_gpus, np.minimum(gpus, cores), np.where(whole, cores, width))
    single = ~whole & ~on_gpus
    anywhere = single & ~threaded & (generator.random(count) < 0.4)
    memory = generator.choice([np.nan, 1000.0, 2000.0, float(MB_PER_CORE)], count)
    by_node = on_gpus | (~single & (generator.random(count) < 0.5))
    return {
        "nodes": np.where(anywhere, 0, nodes),
        "tasks": np.where(single & ~threaded, width, 0),
        "tasks_per_node": np.where(single, 0, processes),
        "cores_per_task": np.where(
            on_gpus, max(cores // parameters.gpus_per_node, 1), np.where(single & threaded, width, 1)
        ),
        "gpus_per_node": gpus.astype(np.float64),
        "memory_mb_per_core": np.where(by_node, np.nan, memory),
        "memory_mb_per_node": np.where(
            on_gpus, gpus * float(MB_PER_GPU), np.where(by_node, cores * MB_PER_CORE / 2.0, np.nan)
        ),
        "exclusive": whole & ~on_gpus & (generator.random(count) < 0.5),
    }


def _held(asked: dict[str, Any]) -> dict[str, FloatArray]:
    """Return the cores, GPUs and MB of whole submissions by what they ask for."""
    nodes = np.maximum(asked["nodes"], 1)
    processes = np.where(asked["tasks"] > 0, asked["tasks"], nodes * np.maximum(asked["tasks_per_node"], 1))
    cpus = (processes * asked["cores_per_task"]).astype(np.float64)
    memory = np.where(
        np.isnan(asked["memory_mb_per_node"]), cpus * asked["memory_mb_per_core"], nodes * asked["memory_mb_per_node"]
    )
    return {"cpus": cpus, "gpus": nodes * asked["gpus_per_node"], "memory_mb": np.nan_to_num(memory, nan=0.0)}


def _times(
    typical: FloatArray,
    partition: IntArray,
    owner: IntArray,
    parameters: SiteParameters,
    generator: np.random.Generator,
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Draw run times by task, and limits by submission and whether it runs into its own."""
    count, longest = len(typical), LONGEST[partition]
    usual = typical + generator.standard_normal(count)
    expected = np.minimum(np.exp(usual), longest)
    wanted = expected * (1.0 + 4.0 * generator.random(count))
    limits = LIMITS[np.minimum(np.searchsorted(LIMITS, wanted), len(LIMITS) - 1)]
    limits = np.where(generator.random(count) < 0.2, longest, np.minimum(limits, longest))
    timed_out = generator.random(count) < parameters.timeout_share
    drawn = np.floor(np.exp(usual[owner] + 0.3 * generator.standard_normal(len(owner))))
    runtimes = np.clip(drawn, 1.0, limits[owner])
    return np.where(timed_out[owner], limits[owner], runtimes), limits, timed_out


def _rest(
    arrivals: FloatArray,
    partition: IntArray,
    limits: FloatArray,
    asked: dict[str, Any],
    parameters: SiteParameters,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """Draw features, QOS, begin times and what else a submission may state, as columns of `Requests`."""
    count = len(arrivals)

    def some(share: float) -> BoolArray:
        chosen: BoolArray = generator.random(count) < share
        return chosen

    def seconds(most: float) -> FloatArray:
        return 60.0 + np.floor(most * generator.random(count))

    newer = some(0.05) & (partition == BATCH) & (asked["nodes"] <= parameters.nodes // 2) & (parameters.nodes > 1)
    short = (partition == BATCH) & (limits <= LONGEST[DEBUG]) & (asked["nodes"] <= _DEBUG_NODES)
    urgent, held = some(parameters.urgent_share), some(parameters.held_share)
    eligible = np.where(held, arrivals + seconds(12 * HOUR), np.nan)
    patience = np.where(some(parameters.cancel_share), seconds(24 * HOUR), np.nan)
    return {
        "features": Labels(codes=newer.astype(np.int64), names=("", FEATURES[1])),
        "partitions": Labels(codes=(short & some(0.3)).astype(np.int64), names=("", "batch,debug")),
        "qos": Labels(codes=urgent.astype(np.int64), names=("normal", "urgent")),
        "eligible_time": eligible,
        "cancel_time": np.where(held, eligible, arrivals) + patience,
        "nice": np.where(some(0.02), 100, 0),
        "requeueable": some(0.9),
    }


def _dependencies(
    users: IntArray,
    owner: IntArray,
    first: IntArray,
    counted: IntArray,
    parameters: SiteParameters,
    generator: np.random.Generator,
) -> tuple[Parents, BoolArray]:
    """Let some submissions wait for all tasks of their user's last one; return whether they need its success, too."""
    count = len(users)
    waits = generator.random(count) < parameters.dependency_share
    needs = generator.random(count) < 0.7
    order = np.argsort(users, kind="stable")
    last = np.full(count, -1, np.int64)
    same = users[order[1:]] == users[order[:-1]]
    last[order[1:][same]] = order[:-1][same]
    waits &= (last >= 0) & (counted == 1)
    edges = np.where(waits, counted[last], 0)[owner]
    offsets = np.concatenate(([0], np.cumsum(edges))).astype(np.int64)
    starts = np.repeat(first[last[owner]], edges)
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], edges)
    return Parents(offsets=offsets, rows=starts + within), waits & needs


SITE = register(
    Generator(
        name="site",
        description="jobs of a site's users: partitions, nodes, limits, arrays, dependencies, QOS, accounts",
        parameters=SiteParameters,
        generate=generate,
        site=site_document,
    )
)
