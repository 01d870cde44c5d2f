"""Small cases of nodes where tasks stop and go on, in numbers that add up without rounding."""

from copy import deepcopy
from dataclasses import replace
from functools import cache

import numpy as np

from scheduler_sim.engine import Options, Simulation
from scheduler_sim.engine.contract import ENDINGS, REASONS
from scheduler_sim.engine.kernels.core import state
from scheduler_sim.engine.kernels.core.rules import Rules
from scheduler_sim.engine.kernels.stopping.kernel import StoppingKernel
from scheduler_sim.engine.policies import ORDERS
from scheduler_sim.engine.policies.openings import Openings
from scheduler_sim.engine.policies.preemption import RUN_ON
from tests.engine.core_cases import COSTS, LIMITS, listed_failures, played, spans
from tests.engine.gang_cases import spans_of
from tests.engine.power_cases import asleep, capped
from tests.engine.reference_attempts import ReferenceRules
from tests.engine.reference_stopping import ReferenceStopping
from tests.engine.test_nodes_reference import random_cluster, random_workload, with_racks

WHOLE_SIDES = ("cpu_only", "gpu_only")
"""Placements that put each task on one side."""

NO_END = ("drf", "min_min", "max_min", "sufferage")
"""Orders that choose again after each start: their queue has no end."""


@cache
def _tasks_and_nodes(seed, hybrid_share):
    """Return a workload, a cluster, and the generator that goes on from there."""
    generator = np.random.default_rng([seed, 5])
    cluster = with_racks(random_cluster(generator), seed)
    workload = random_workload(generator, cluster, hybrid_share)
    # Powers of two, so that split tasks take times that add up too.
    return replace(workload, compute_intensity=np.round(workload.compute_intensity)), cluster, generator


def draw(seed, policy):
    """Return a workload, a cluster, options and the rules of a case."""
    workload, cluster, generator = _tasks_and_nodes(seed, 0.5 if policy.placement.name in WHOLE_SIDES else 0.0)
    generator = deepcopy(generator)
    if policy.preemption.name != "none":
        # Long enough that tasks which come later find others running in their way.
        lengths = {name: 4.0 * getattr(workload, name) for name in ("runtime", "duration_estimate")}
        workload = replace(workload, **lengths)
    if policy.preemption.name == "suspend":
        groups = tuple(replace(group, memory_mb=None) for group in cluster.groups)
        cluster = replace(cluster, groups=groups)
    chosen = generator.random(12)
    rules = {
        "overhead": float(generator.choice([0.0, 0.0, 0.5, 2.0])),
        "limit": str(generator.choice(["run", "run", "kill", "requeue"])),
        "max_requeues": int(generator.integers(1, 4)),
        "requeue_at": "end" if chosen[0] < 0.3 and policy.order.name not in NO_END else "old",
        "preemption": policy.preemption.name,
        "outages": [],
        "max_failures": [None, None, 1, 2][int(4 * chosen[1])],
    }
    if policy.preemption.name == "checkpoint" or chosen[2] < 0.4:
        rules["interval"] = float(generator.choice([1.0, 1.5, 2.5]))
        rules["write"] = float(generator.choice([0.0, 0.25, 0.5]))
        rules["read"] = float(generator.choice([0.0, 0.5]))
        rules["growth"] = float(generator.choice([1.0, 1.0, 2.0]))
    if chosen[3] < 0.9:
        for _ in range(int(generator.integers(4, 13))):
            begin = float(generator.integers(0, 112)) / 8
            length = float(generator.integers(0, 80)) / 8
            rules["outages"].append((begin, begin + length, int(generator.integers(0, cluster.nodes))))
    options = Options(
        conservative_depth=(None, 1, 1, None, 2)[seed % 5],
        split_model=("concurrent", "sequential")[seed % 2],
        kill_at_estimate=rules["limit"] != "run",
    )
    return workload, cluster, options, rules


def kernel(simulation, rules, *, quiet=False):
    """Return the kernel of a simulation under rules; `quiet` where nothing interrupts a task."""
    policy, options = simulation.policy, simulation.options
    if quiet:
        played_by = Rules(
            backfill=policy.backfill.code, on_limit=state.ON_KILL if options.kill_at_estimate else state.ON_RUN
        )
    else:
        played_by = Rules(
            backfill=policy.backfill.code,
            cost=COSTS[rules["preemption"]],
            pausing=COSTS[rules.get("pausing", "suspend")],
            overhead=np.full(len(simulation.workload), rules["overhead"]),
            on_limit=LIMITS[rules["limit"]],
            max_requeues=rules["max_requeues"],
            max_failures=rules["max_failures"],
            to_end=rules["requeue_at"] == "end",
            by_arrival=bool(np.array_equal(simulation.scores().base, simulation.workload.arrival_time)),
            interval=rules.get("interval"),
            write=rules.get("write", 0.0),
            read=rules.get("read", 0.0),
            growth=rules.get("growth", 1.0),
            failures=listed_failures(rules["outages"]),
        )
    return StoppingKernel(simulation.problem(), played_by)


def simulation_of(policy, workload, cluster, options, seed, signals=None):
    """Return what scores and choices are taken from: the policy without what it may stop."""
    policy = replace(policy, preemption=RUN_ON)
    return Simulation(workload, cluster, policy, seed=seed, options=options, signals=signals)


def random_openings(arrival, generator):
    """Return one to four spans a task, the first from its arrival on or later, in eighths of a second."""
    spans = []
    for time in arrival:
        edges = np.cumsum(generator.integers(1, 24, 2 * int(generator.integers(1, 5)) - 1))
        edges -= edges[0] * (generator.random() < 0.5)
        spans.append(np.append(time + edges / 8, np.inf).reshape(-1, 2))
    offsets = np.concatenate(([0], np.cumsum([len(one) for one in spans])))
    begins, ends = np.concatenate(spans).T
    return Openings(offsets, np.ascontiguousarray(begins), np.ascontiguousarray(ends))


def compare(policy, seed, *, pauses=False, power=""):
    """Play a case by the kernel and by the reference; return why each written attempt ended, None for no tasks.

    Args:
        pauses: tasks run only in random spans.
        power: `sleep` where nodes sleep, `cap` where starts keep a power cap, both in one text for both.
    """
    workload, cluster, options, rules = draw(seed, policy)
    if not len(workload):
        return None
    signals, generator = None, np.random.default_rng([seed, 11])
    if power:
        sleeping = asleep(cluster, generator, seed)
        cluster = (
            sleeping
            if "sleep" in power
            else replace(sleeping, groups=tuple(replace(group, sleep=None) for group in sleeping.groups))
        )
    if "cap" in power:
        options, signals = capped(workload, cluster, options, generator, ("hold", "repeat", "refuse")[seed % 3])
    # Its own kernel is not looked at: any order will do for that.
    simulation = simulation_of(replace(policy, order=ORDERS["fcfs"]), workload, cluster, options, seed, signals)
    simulation.policy = replace(policy, preemption=RUN_ON)
    if pauses:
        generator = np.random.default_rng([seed, 6])
        rules["pausing"] = str(generator.choice(["suspend", "checkpoint"]))
        scores = replace(simulation.scores(), openings=random_openings(workload.arrival_time, generator))
        scores = replace(scores, not_before=scores.openings.first)
        simulation.scores = lambda: scores
    core = kernel(simulation, rules)
    outcome, attempts = played(core)
    as_rules = ReferenceRules("score", policy.backfill.name, **rules)
    expected = ReferenceStopping(simulation, as_rules).play()
    assert outcome.ready_time.tolist() == [
        ready if first is None else first for ready, first in zip(expected.ready, expected.first_ready, strict=True)
    ]
    assert outcome.start_time.tolist() == expected.first_start, seed
    assert outcome.finish_time.tolist() == expected.finish, seed
    assert outcome.gpu_fraction.tolist() == expected.fraction, seed
    history = outcome.history
    assert history is not None
    assert [ENDINGS[code] for code in history.ending.tolist()] == expected.ending, seed
    assert history.attempts.tolist() == expected.attempts, seed
    assert history.service_time.tolist() == expected.service, seed
    assert history.held_time.tolist() == expected.held_seconds, seed
    several = [span for span in expected.spans if expected.attempts[span[0]] > 1]
    assert spans(attempts) == sorted(several), seed
    assert spans_of(core.drain_pieces()) == sorted(expected.gangs), seed
    once = [span for span in expected.spans if expected.attempts[span[0]] == 1]
    for row, _, _, _, node, device, _ in once:
        assert (outcome.node[row], outcome.device[row]) == (node, device), seed
    order = sorted(range(len(workload)), key=lambda row: (expected.finish[row], row))
    assert outcome.completion_order.tolist() == order, seed
    return [REASONS[code] for code in attempts.reason.tolist()]
