"""Small pool workloads with what makes trouble: ties, zero lengths, estimates that are short, long or zero."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from hypothesis import strategies as st

from scheduler_sim.engine import Cluster, EngineError, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.codes import STATIC
from scheduler_sim.engine.kernels.cluster.kernel import ClusterKernel
from scheduler_sim.engine.policies import BACKFILLS, ORDERS, Scores
from tests.engine.reference_pool import reference_for


def pool(processors: int, cpu_speed: float = 1.0) -> Cluster:
    return Cluster("pool", (NodeGroup("pool", count=1, cores=processors, cpu_speed=cpu_speed),))


@cache
def pool_orders() -> tuple[str, ...]:
    """Return the names of every registered order that scores tasks by base and slope alone."""
    probe = Workload.from_columns(arrival_time=[0.0, 1.0], runtime=[1.0, 2.0])
    names = []
    for order in ORDERS:
        try:
            scores = Simulation(probe, pool(2), parse_policy(order.name)).scores()
        except EngineError:
            continue
        if scores.kind == STATIC and scores.not_before is None and np.isfinite(scores.base).all():
            names.append(order.name)
    return tuple(names)


BACKFILL_NAMES = BACKFILLS.names()

PREDICTING = tuple(
    f"easy({order}predict={name})" for name in ("last_two", "regression") for order in ("", "order=sjf,")
)

DURATIONS = [0.0, 0.1, 1 / 3, 1.0, 1.0, 2.0, 2.7, 10.0, 61.0]
ARRIVALS = [0.0, 0.0, 0.1, 0.2, 1 / 3, 1.0, 2.0, 3.0, 1e6 + 1 / 7]

# Made once: Hypothesis looks through a strategy again wherever it is made anew.
FAST = st.sampled_from([1.0, 1.3])
LENGTHS = st.integers(1, 12)
POOLS = st.integers(1, 8)
TASKS = st.tuples(
    st.sampled_from(ARRIVALS),
    st.sampled_from(DURATIONS),
    st.sampled_from([None] * len(DURATIONS) + DURATIONS),
    st.sampled_from(["", "a", "a", "b"]),
)
"""When a task comes, its run time, its estimate (None for an exact one) and whose it is."""
WIDTHS = {most: st.sampled_from([1] * most + [most] * most + list(range(1, most + 1))) for most in range(1, 9)}
"""Processors of a task, by those of the pool."""
ORDERED = {length: st.permutations(range(1, length + 1)) for length in range(1, 13)}
RULES = st.builds(Options, kill_at_estimate=st.booleans(), conservative_depth=st.sampled_from([None, None, 1, 2, 3]))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Workload, Cluster, Options]:
    """Return a workload, a cluster, options and the seed."""
    processors, length = draw(POOLS), draw(LENGTHS)
    drawn = [(*draw(TASKS), draw(WIDTHS[processors])) for _ in range(length)]
    arrival, runtime, told, user, cpus = (list(column) for column in zip(*drawn, strict=True))
    workload = Workload.from_columns(
        task_id=draw(ORDERED[length]),
        arrival_time=arrival,
        runtime=runtime,
        duration_estimate=[exact if one is None else one for one, exact in zip(told, runtime, strict=True)],
        cpus=cpus,
        user=user,
    )
    return workload, pool(processors, draw(FAST)), draw(RULES)


@dataclass
class ScoredSimulation(Simulation):
    """A simulation whose scores are given, as learned orders give them."""

    given: Scores | None = None

    def scores(self) -> Scores:
        assert self.given is not None
        return self.given


def with_scores(workload: Workload, cluster: Cluster, backfill: str, options: Options, scores: Scores) -> Simulation:
    """Return a simulation of scores of one's own; where they have others for backfilling, these are played too."""
    return ScoredSimulation(workload, cluster, parse_policy(f"fcfs+{backfill}"), options=options, given=scores)


def assert_equals_reference(simulation: Simulation) -> None:
    reference = reference_for(simulation)
    reference.play()
    rows = range(len(simulation.workload))
    simulation.advance()
    outcome = simulation.outcome()
    assert outcome.start_time.tolist() == [reference.start[row] for row in rows]
    assert outcome.finish_time.tolist() == [reference.finish[row] for row in rows]
    assert outcome.completion_order.tolist() == sorted(rows, key=lambda row: (reference.finish[row], row))


@cache
def lognormal_workload(length: int, processors: int, load: float, seed: int, estimate_factor: float = 1.0) -> Workload:
    """Return jobs of many sizes at an offered load, with estimates up to `estimate_factor` times too long."""
    generator = np.random.default_rng(seed)
    runtime = np.round(generator.lognormal(5.0, 2.0, length).clip(1, 50_000), 1)
    cpus = np.minimum(2 ** generator.integers(0, 8, length), processors)
    gaps = generator.exponential(1.0, length)
    arrival = np.round(np.cumsum(gaps * (runtime @ cpus) / (processors * load * gaps.sum())), 1)
    estimate = (
        np.round(runtime * generator.uniform(1.0, estimate_factor, length), 1) if estimate_factor > 1 else runtime
    )
    return Workload.from_columns(arrival_time=arrival, runtime=runtime, duration_estimate=estimate, cpus=cpus)


def on_nodes(simulation: Simulation, options: Options) -> ClusterKernel:
    """Return the kernel of many nodes for what `simulation` plays with another one."""
    return ClusterKernel(replace(simulation.problem(), options=options))


def play_in_steps(simulation: Simulation, seconds: float) -> None:
    """Play to the end, so many simulated seconds and at most three events at a time."""
    time = 0.0
    while not simulation.done:
        time += seconds
        simulation.advance(until_time=time, max_events=3)
