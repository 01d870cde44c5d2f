"""Small workloads for the event core with what makes trouble, in numbers that add up without rounding."""

import numpy as np
from reference_core import ReferenceCore, Task

from scheduler_sim.engine import Cluster, NodeGroup, Workload
from scheduler_sim.engine.contract import ENDINGS, REASONS, Attempts
from scheduler_sim.engine.failures import Failure, FailureStream
from scheduler_sim.engine.kernels.core import state
from scheduler_sim.engine.kernels.core.kernel import CoreKernel
from scheduler_sim.engine.kernels.core.room import Room
from scheduler_sim.engine.kernels.core.rules import Rules

DISCIPLINES = {"score": state.SCORE, "srtf": state.SRTF, "srsf": state.SRSF, "las": state.LAS, "rr": state.RR}
COSTS = {"none": state.RUN_ON, "suspend": state.KEEP, "checkpoint": state.TO_CHECKPOINT, "requeue": state.FROM_START}
BACKFILLS = {"none": 0, "list": 1, "easy": 2, "conservative": 3}
LIMITS = {"run": state.ON_RUN, "kill": state.ON_KILL, "requeue": state.ON_REQUEUE}


def sixteenths(generator, most, length, least=0):
    return generator.integers(least, most + 1, length) / 16.0


def draw(seed, discipline, backfill, preemption):
    """Return the columns of a small case on a pool and the rules that it is played by."""
    generator = np.random.default_rng(seed)
    n = int(generator.integers(1, 13))
    processors = int(2 ** generator.integers(0, 4))
    columns = {
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
    parents = [[] for _ in range(n)]
    if generator.random() < 0.3:
        for row in range(1, n):
            if generator.random() < 0.4:
                parents[row] = [int(generator.integers(0, row))]
    rules = {
        "overhead": float(generator.choice([0.0, 0.0, 0.5, 2.0, 8.0])),
        "charge_first": bool(generator.random() < 0.5),
        "limits": tuple(float(limit) for limit in generator.choice([2, 4, 8, 16, 32, 64], 2, replace=False)),
        "promote": generator.choice([None, None, 0.5, 1.0, 4.0]),
        "quantum": float(generator.choice([8.5, 10.0, 32.0])),
        "limit": str(generator.choice(["run", "run", "kill", "requeue"])),
        "max_requeues": int(generator.integers(0, 4)),
        "requeue_at": str(generator.choice(["old", "end"])),
        "by_arrival": by_arrival,
        "outages": [],
    }
    rules["limits"] = tuple(sorted(rules["limits"]))
    if rules["overhead"] + 0.5 >= rules["limits"][0] / columns["cpus"].max():
        rules["promote"] = None  # Or it might start over for ever and make no progress.
    if generator.random() < 0.4:
        begin = 0.0
        for _ in range(int(generator.integers(1, 6))):
            begin += float(sixteenths(generator, 320, 1)[0])
            over = begin + float(sixteenths(generator, 100, 1, least=1)[0])
            rules["outages"].append((begin, over, 0))
            begin = over
        rules["max_failures"] = generator.choice([None, None, 1, 2])
    if backfill == "conservative":
        rules["depth"] = generator.choice([None, None, 1, 2])
    if preemption == "checkpoint" or generator.random() < 0.3:
        rules["interval"] = float(generator.choice([1.0, 2.5, 4.0]))
        rules["write"] = float(generator.choice([0.0, 0.25, 1.0]))
        rules["read"] = float(generator.choice([0.0, 0.5]))
        rules["growth"] = float(generator.choice([1.0, 1.0, 2.0]))
    return columns, parents, processors, rules


def draw_on_nodes(seed, discipline, backfill, preemption):
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
    if rules["overhead"] + 0.5 >= rules["limits"][0] / size.max():
        rules["promote"] = None
    rules["outages"] = [(a, b, int(generator.integers(0, nodes))) for a, b, _ in rules["outages"]]
    return columns, parents, (nodes, cores, gpus), rules


def reference_on_nodes(columns, parents, nodes, discipline, backfill, preemption, rules, in_place):
    """Play a case in thousandths of cores, as the core counts them."""
    count, cores, gpus = nodes
    thousandths = columns | {"cpus": columns["cpus"] * 1000}
    return reference(
        thousandths, parents, [(cores * 1000, gpus)] * count, discipline, backfill, preemption, rules,
        spread=discipline == "las", in_place=in_place,
    )  # fmt: skip


def reference(columns, parents, nodes, discipline, backfill, preemption, rules, **more):
    tasks = [
        Task(
            row,
            columns["arrival"][row],
            columns["work"][row],
            columns["estimate"][row],
            int(columns["cpus"][row]),
            int(columns.get("gpus", np.zeros(len(parents)))[row]),
            base=columns["base"][row],
            slope=columns["slope"][row],
            parents=parents[row],
        )
        for row in range(len(parents))
    ]
    for task in tasks:
        task.size = task.gpus if task.gpus else task.cpus // (1000 if "in_place" in more else 1)
    given = dict(rules)
    seconds = given.pop("overhead")
    given["overhead"] = lambda _: seconds
    return ReferenceCore(tasks, nodes, discipline, backfill, preemption, **given, **more).play()


def workload_of(columns, parents):
    n = len(parents)
    return Workload.from_columns(
        arrival_time=columns["arrival"],
        runtime=columns["work"],
        duration_estimate=columns["estimate"],
        cpus=columns["cpus"],
        gpus=columns.get("gpus", np.zeros(n)),
        dependencies=[[parent + 1 for parent in mine] for mine in parents],
    )


def listed_failures(outages):
    """Return the stream of failures that a file would list, None for none."""
    if not outages:
        return None
    listed = [Failure(start, end - start, node=node) for start, end, node in outages]
    nodes = 1 + max(node for _, _, node in outages)
    return FailureStream(listed, [None] * nodes, begin=0.0, seed=(0,))


def kernel(columns, parents, processors, discipline, backfill, preemption, rules, in_place=True):
    """Return the kernel of a case; `processors` of a pool, or (nodes, cores, GPUs)."""
    workload = workload_of(columns, parents)
    n, where = len(workload), state.POOL
    if isinstance(processors, tuple):
        count, cores, gpus = processors
        cluster = Cluster("nodes", (NodeGroup("node", count=count, cores=cores, gpus=gpus),))
        where = state.SPREAD if discipline == "las" else state.NODES
        room = Room.of_nodes(workload, cluster, spread=where == state.SPREAD)
    else:
        room = Room.of_pool(workload, processors)
    cost = state.KEEP if discipline != "score" else COSTS[preemption]
    return CoreKernel(
        workload=workload,
        rules=Rules(
            discipline=DISCIPLINES[discipline],
            backfill=BACKFILLS[backfill],
            cost=cost,
            where=where,
            in_place=in_place,
            charge_first=rules["charge_first"],
            overhead=np.full(n, rules["overhead"]),
            limits=rules["limits"],
            promotion=np.inf if rules["promote"] is None else float(rules["promote"]),
            quantum=rules["quantum"],
            on_limit=LIMITS[rules["limit"]],
            max_requeues=rules["max_requeues"],
            max_failures=rules.get("max_failures"),
            to_end=rules["requeue_at"] == "end",
            by_arrival=rules["by_arrival"],
            interval=rules.get("interval"),
            write=rules.get("write", 0.0),
            read=rules.get("read", 0.0),
            growth=rules.get("growth", 1.0),
            depth=2**62 if rules.get("depth") is None else int(rules["depth"]),
            failures=listed_failures(rules["outages"]),
        ),
        offered=workload.arrival_time,
        speed=np.ones(n),
        base=columns["base"],
        slope=columns["slope"],
        room=room,
    )


def played(core):
    """Play a kernel to its end and return its outcome and attempts."""
    batches = []
    while True:
        core.advance(until_time=np.inf, max_events=2**62)
        full = core.full
        batches.append(core.drain())
        if not full:
            return core.outcome(), Attempts.joined(batches)


def spans(attempts):
    """Return attempts as sorted tuples."""
    columns = (attempts.row, attempts.number, attempts.start_time, attempts.end_time, attempts.node, attempts.device)
    rows = zip(*(column.tolist() for column in columns), attempts.reason.tolist(), strict=True)
    return sorted((*row[:-1], REASONS[row[-1]]) for row in rows)


def assert_equal(expected, outcome, attempts):
    tasks = expected.tasks
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
