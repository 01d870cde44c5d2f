"""Small workloads for the event core with what makes trouble, in numbers that add up without rounding."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine import Cluster, NodeGroup, Workload
from scheduler_sim.engine.clusters.failures import Failure, FailureStream
from scheduler_sim.engine.contract import ENDINGS, REASONS, Attempts, Outcome
from scheduler_sim.engine.kernels.attempts import AttemptsKernel
from scheduler_sim.engine.kernels.core import state
from scheduler_sim.engine.kernels.core.kernel import CoreKernel
from scheduler_sim.engine.kernels.core.room import Room
from scheduler_sim.engine.kernels.core.rules import Rules
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray
from tests.engine.reference_attempts import Attempt, ReferenceRules
from tests.engine.reference_core import ReferenceCore
from tests.engine.reference_machine import Task

Columns = dict[str, npt.NDArray[Any]]
"""Whole numbers and seconds, by name."""

Nodes = tuple[int, int, int]
"""How many there are, and the cores and GPUs of one."""

DISCIPLINES = {"score": state.SCORE, "srtf": state.SRTF, "srsf": state.SRSF, "las": state.LAS, "rr": state.RR}
COSTS = {"none": state.RUN_ON, "suspend": state.KEEP, "checkpoint": state.TO_CHECKPOINT, "requeue": state.FROM_START}
BACKFILLS = {"none": 0, "list": 1, "easy": 2, "conservative": 3}
LIMITS = {"run": state.ON_RUN, "kill": state.ON_KILL, "requeue": state.ON_REQUEUE}


def sixteenths(generator: np.random.Generator, most: int, length: int, least: int = 0) -> FloatArray:
    return generator.integers(least, most + 1, length) / 16.0


Value = TypeVar("Value")


def one_of(generator: np.random.Generator, values: Sequence[Value]) -> Value:
    return values[int(generator.integers(len(values)))]


def draw(
    seed: int, discipline: str, backfill: str, preemption: str
) -> tuple[Columns, list[list[int]], int, ReferenceRules]:
    """Return the columns of a small case on a pool and the rules that it is played by."""
    generator = np.random.default_rng(seed)
    n = int(generator.integers(1, 13))
    processors = int(2 ** generator.integers(0, 4))
    columns: Columns = {
        "arrival": np.sort(sixteenths(generator, 16 * int(generator.integers(1, 40)), n)),
        "work": np.where(generator.random(n) < 0.1, 0.0, sixteenths(generator, 320, n)),
        "cpus": 2 ** generator.integers(0, int(np.log2(processors)) + 1, n),
        "base": generator.integers(0, 4, n).astype(float),
        "slope": np.zeros(n),
    }
    if generator.random() < 0.3:
        columns["arrival"] = np.floor(columns["arrival"])
        columns["work"] = np.floor(columns["work"])
    exact = generator.random() < 0.5
    columns["estimate"] = columns["work"] if exact else sixteenths(generator, 400, n)
    if discipline == "score" and generator.random() < 0.3:
        columns["slope"] = generator.integers(0, 3, n) / 4.0
    by_arrival = discipline == "score" and generator.random() < 0.3
    if by_arrival:
        columns["base"] = columns["arrival"].copy()
        columns["slope"] = np.zeros(n)
    parents: list[list[int]] = [[] for _ in range(n)]
    if generator.random() < 0.3:
        for row in range(1, n):
            if generator.random() < 0.4:
                parents[row] = [int(generator.integers(0, row))]
    overhead = float(generator.choice([0.0, 0.0, 0.5, 2.0, 8.0]))
    charge_first = bool(generator.random() < 0.5)
    limits = tuple(sorted(float(limit) for limit in generator.choice([2, 4, 8, 16, 32, 64], 2, replace=False)))
    promote = one_of(generator, (None, None, 0.5, 1.0, 4.0))
    rules = ReferenceRules(
        discipline,
        backfill,
        preemption,
        overhead=overhead,
        charge_first=charge_first,
        limits=limits,
        promote=promote if may_promote(overhead, limits, columns["cpus"]) else None,
        quantum=float(generator.choice([8.5, 10.0, 32.0])),
        limit=str(generator.choice(["run", "run", "kill", "requeue"])),
        max_requeues=int(generator.integers(0, 4)),
        requeue_at=str(generator.choice(["old", "end"])),
        by_arrival=by_arrival,
    )
    if generator.random() < 0.4:
        outages, begin = [], 0.0
        for _ in range(int(generator.integers(1, 6))):
            begin += float(sixteenths(generator, 320, 1)[0])
            over = begin + float(sixteenths(generator, 100, 1, least=1)[0])
            outages.append((begin, over, 0))
            begin = over
        rules = replace(rules, outages=tuple(outages), max_failures=one_of(generator, (None, None, 1, 2)))
    if backfill == "conservative":
        rules = replace(rules, depth=one_of(generator, (None, None, 1, 2)))
    if preemption == "checkpoint" or generator.random() < 0.3:
        rules = replace(
            rules,
            interval=float(generator.choice([1.0, 2.5, 4.0])),
            write=float(generator.choice([0.0, 0.25, 1.0])),
            read=float(generator.choice([0.0, 0.5])),
            growth=float(generator.choice([1.0, 1.0, 2.0])),
        )
    return columns, parents, processors, rules


def may_promote(overhead: float, limits: tuple[float, ...], sizes: IntArray) -> bool:
    """Tell whether a task that is promoted does something before it is demoted; it might start over for ever."""
    return bool(overhead + 0.5 < limits[0] / sizes.max())


def draw_on_nodes(
    seed: int, discipline: str, backfill: str, preemption: str, in_place: bool
) -> tuple[Columns, list[list[int]], Nodes, ReferenceRules]:
    """Return columns, parents, a cluster of alike nodes and the rules of a small case; cores are whole."""
    columns, parents, _, rules = draw(seed, discipline, backfill, preemption)
    generator = np.random.default_rng([seed, 1])
    nodes, cores, gpus = (int(number) for number in generator.integers((1, 1, 0), (5, 5, 5)))
    n = len(parents)
    by_gpus = (generator.random(n) < 0.7) & (gpus > 0)
    columns["gpus"] = np.where(by_gpus, generator.integers(1, max(nodes * gpus, 1) + 1, n), 0)
    columns["cpus"] = np.where(by_gpus, generator.integers(0, 3, n), generator.integers(1, nodes * cores + 1, n))
    many = columns["gpus"] > gpus
    columns["cpus"] = np.where(by_gpus & ~many, np.minimum(columns["cpus"], cores), columns["cpus"])
    size = np.where(by_gpus, columns["gpus"], columns["cpus"])
    rules = replace(
        rules,
        promote=rules.promote if may_promote(rules.overhead, rules.limits, size) else None,
        outages=tuple((start, end, int(generator.integers(0, nodes))) for start, end, _ in rules.outages),
        spread=discipline == "las",
        in_place=in_place,
    )
    return columns, parents, (nodes, cores, gpus), rules


def reference_on_nodes(
    columns: Columns, parents: list[list[int]], nodes: Nodes, rules: ReferenceRules
) -> ReferenceCore:
    """Play a case in thousandths of cores, as the core counts them."""
    count, cores, gpus = nodes
    thousandths = columns | {"cpus": columns["cpus"] * 1000}
    return reference(thousandths, parents, [(cores * 1000, gpus)] * count, rules, one_core=1000)


def reference(
    columns: Columns, parents: list[list[int]], nodes: list[tuple[int, int]], rules: ReferenceRules, one_core: int = 1
) -> ReferenceCore:
    tasks = []
    for row, (cpus, gpus) in enumerate(zip(columns["cpus"].tolist(), gpus_of(columns).tolist(), strict=True)):
        tasks.append(
            Task(
                row,
                float(columns["arrival"][row]),
                float(columns["work"][row]),
                float(columns["estimate"][row]),
                int(cpus),
                int(gpus),
                size=int(gpus) or int(cpus) // one_core,
                base=float(columns["base"][row]),
                slope=float(columns["slope"][row]),
                parents=set(parents[row]),
            )
        )
    return ReferenceCore(tasks, nodes, rules).play()


def gpus_of(columns: Columns) -> IntArray:
    return columns["gpus"] if "gpus" in columns else np.zeros(len(columns["cpus"]), np.int64)


def workload_of(columns: Columns, parents: list[list[int]]) -> Workload:
    return Workload.from_columns(
        arrival_time=columns["arrival"],
        runtime=columns["work"],
        duration_estimate=columns["estimate"],
        cpus=columns["cpus"],
        gpus=gpus_of(columns),
        dependencies=[[parent + 1 for parent in mine] for mine in parents],
    )


def assert_steps_change_nothing(
    steps: AttemptsKernel, tasks: int, step: float, whole: tuple[Outcome, Attempts]
) -> None:
    """Play in steps of `step` seconds and two events, with a buffer that is full when one attempt lies in it."""
    outcome, attempts = whole
    steps._arrays.settings[steps.ROOM] = 0
    found: list[Attempt] = []
    time = 0.0
    while steps.finished < tasks:
        time += step
        full = True
        while full:
            steps.advance(until_time=time, max_events=2)
            full = steps.full or (steps.clock < time and steps.finished < tasks)
            found += spans(steps.drain())
    assert sorted(found) == spans(attempts)
    np.testing.assert_array_equal(steps.outcome().finish_time, outcome.finish_time)


def listed_failures(outages: Sequence[tuple[float, float, int]]) -> FailureStream | None:
    """Return the stream of failures that a file would list, None for none."""
    if not outages:
        return None
    listed = [Failure(start, end - start, node=node) for start, end, node in outages]
    nodes = 1 + max(node for _, _, node in outages)
    return FailureStream(listed, [None] * nodes, begin=0.0, seed=(0,))


def kernel(columns: Columns, parents: list[list[int]], processors: int | Nodes, rules: ReferenceRules) -> CoreKernel:
    """Return the kernel of a case; `processors` of a pool, or (nodes, cores, GPUs)."""
    workload = workload_of(columns, parents)
    n, where = len(workload), state.POOL
    if isinstance(processors, tuple):
        count, cores, gpus = processors
        cluster = Cluster("nodes", (NodeGroup("node", count=count, cores=cores, gpus=gpus),))
        where = state.SPREAD if rules.spread else state.NODES
        room = Room.of_nodes(workload, cluster, spread=rules.spread)
    else:
        room = Room.of_pool(workload, processors)
    cost = state.KEEP if rules.discipline != "score" else COSTS[rules.preemption]
    return CoreKernel(
        workload=workload,
        rules=Rules(
            discipline=DISCIPLINES[rules.discipline],
            backfill=BACKFILLS[rules.backfill],
            cost=cost,
            where=where,
            in_place=rules.in_place or where == state.POOL,
            charge_first=rules.charge_first,
            overhead=np.full(n, rules.overhead),
            limits=rules.limits,
            promotion=np.inf if rules.promote is None else rules.promote,
            quantum=rules.quantum,
            on_limit=LIMITS[rules.limit],
            max_requeues=rules.max_requeues,
            max_failures=rules.max_failures,
            to_end=rules.requeue_at == "end",
            by_arrival=rules.by_arrival,
            interval=rules.interval,
            write=rules.write,
            read=rules.read,
            growth=rules.growth,
            depth=2**62 if rules.depth is None else rules.depth,
            failures=listed_failures(rules.outages),
        ),
        offered=workload.arrival_time,
        speed=np.ones(n),
        base=columns["base"],
        slope=columns["slope"],
        room=room,
    )


def played(core: AttemptsKernel) -> tuple[Outcome, Attempts]:
    """Play a kernel to its end and return its outcome and attempts."""
    batches = []
    while True:
        core.advance(until_time=np.inf, max_events=2**62)
        full = core.full
        batches.append(core.drain())
        if not full:
            return core.outcome(), Attempts.joined(batches)


def spans(attempts: Attempts) -> list[Attempt]:
    """Return attempts as sorted tuples."""
    return sorted(
        zip(
            attempts.row.tolist(),
            attempts.number.tolist(),
            attempts.start_time.tolist(),
            attempts.end_time.tolist(),
            attempts.node.tolist(),
            attempts.device.tolist(),
            [REASONS[code] for code in attempts.reason.tolist()],
            strict=True,
        )
    )


def assert_equal(expected: ReferenceCore, outcome: Outcome, attempts: Attempts) -> None:
    tasks = expected.tasks
    assert outcome.history is not None
    assert outcome.start_time.tolist() == [task.first_start for task in tasks]
    assert outcome.finish_time.tolist() == [task.end for task in tasks]
    assert [ENDINGS[code] for code in outcome.history.ending.tolist()] == [task.outcome for task in tasks]
    assert outcome.history.attempts.tolist() == [task.attempts for task in tasks]
    assert outcome.history.service_time.tolist() == [task.service for task in tasks]
    assert outcome.history.held_time.tolist() == [task.held_seconds for task in tasks]
    several = [attempt for attempt in expected.attempts if tasks[attempt[0]].attempts > 1]
    assert spans(attempts) == sorted(several)
    ends = [task.end for task in tasks]
    assert outcome.completion_order.tolist() == sorted(range(len(tasks)), key=lambda row: (ends[row], row))
