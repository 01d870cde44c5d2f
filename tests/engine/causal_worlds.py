"""Small random worlds, and the same world in which one task's true run time is another one."""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from scheduler_sim.engine import Cluster, NodeGroup, Options, Policy, Simulation, Workload
from scheduler_sim.engine.contract import Predictor
from scheduler_sim.engine.measuring.usage import holdings
from scheduler_sim.engine.predictors.runtime import RuntimeModel, fit_runtime

KINDS = ("pool", "node", "cluster", "gpus")
"""A pool of processors, one node with GPUs, nodes of two kinds, GPUs of two kinds; one for each family of kernels."""

STATED = ("all", "some", "none")
"""Of how many tasks the world states an estimate."""

TASKS = 10


@dataclass(frozen=True)
class World:
    """What is played, and the columns that it was made of."""

    columns: dict[str, Any]
    cluster: Cluster
    options: Options
    seed: int

    @cached_property
    def workload(self) -> Workload:
        return Workload.from_columns(**self.columns)

    def with_runtime(self, row: int, runtime: float) -> "World":
        """Return the world in which task `row` runs so long, and nothing else differs."""
        changed = self.columns["runtime"].copy()
        changed[row] = runtime
        return replace(self, columns=self.columns | {"runtime": changed})

    def play(self, policy: Policy, predictor: Predictor | None = None) -> Simulation:
        """Play the world to its end."""
        simulation = Simulation(
            self.workload, self.cluster, policy, seed=self.seed, options=self.options, predictor=predictor
        )
        simulation.advance()
        assert simulation.done
        return simulation


@cache
def world(kind: str, seed: int, stated: str = "all") -> World:
    """Return a random world; the same kind, seed and stated estimates give the same one."""
    generator = np.random.default_rng([KINDS.index(kind), seed])
    draw, n = generator.choice, TASKS
    columns: dict[str, Any] = {
        # In canonical order already, so that row i is the i-th of each column.
        "arrival_time": np.sort(draw([0.0, 0.0, 1.0, 2.0, 2.5, 4.0, 7.0, 11.0, 20.0], n)),
        "runtime": draw([0.0, 1.0, 2.0, 3.0, 5.0, 9.0, 14.0], n),
        "user": draw(["ann", "bob"], n),
        "queue": draw(["day", "night"], n),
        "deadline_time": draw([np.nan, 5.0, 9.0, 30.0], n),
        "cpus": draw([1, 1, 2, 3, 4], n),
    }
    estimates = draw([0.0, 1.0, 2.0, 4.0, 8.0, 16.0], n)
    if stated == "some":
        estimates[draw([True, False], n)] = np.nan
        estimates[0] = 4.0
    if stated != "none":
        columns["duration_estimate"] = estimates
    if generator.random() < 0.5:
        columns["size"] = draw([np.nan, 1.0, 5.0], n)
    options = Options(
        kill_at_estimate=bool(generator.random() < 0.3),
        split_model=str(draw(["concurrent", "sequential"])),
        conservative_depth=(None, 2)[int(generator.integers(2))],
    )
    if kind == "pool":
        return World(columns, Cluster("pool", (NodeGroup("pool", count=1, cores=4),)), options, seed)
    if kind == "gpus":
        columns |= {"gpus": draw([1, 1, 2], n), "cpus": np.zeros(n)}
        fast = NodeGroup("fast", count=1, cores=2, gpus=2, gpu_type="new", gpu_speed=2.0)
        cluster = Cluster("two kinds of GPU", (fast, replace(fast, name="slow", gpu_type="old", gpu_speed=1.0)))
        return World(columns, cluster, replace(options, kill_at_estimate=False), seed)
    hybrid = generator.random(n) < 0.5
    columns |= {
        "hybrid": hybrid,
        "gpus": np.where(hybrid, 1, draw([0, 0, 1], n)),
        "compute_intensity": draw([0.0, 0.3, 0.5, 1.0], n),
        "memory_mb": draw([0.0, 8.0, 300.0], n),
        "dependencies": [[j + 1 for j in range(max(i - 3, 0), i) if generator.random() < 0.15] for i in range(n)],
    }
    group = NodeGroup(
        "node", count=1, cores=4, gpus=2, bandwidth_mb_per_second=100.0, cpu_busy_watts=3.0, gpu_busy_watts=9.0,
        usd_per_core_hour=1.0, usd_per_gpu_hour=2.0,
    )  # fmt: skip
    if kind == "cluster":
        # Memory keeps a world off the kernel of one node; shares of GPUs need nodes.
        columns["gpus"] = np.where(columns["hybrid"], 1, draw([0, 0, 0.5, 1], n))
        other = replace(group, name="slow", cores=6, gpus=1, memory_mb=600.0, cpu_speed=0.5, usd_per_core_hour=0.2)
        cluster = Cluster("two kinds", (replace(group, memory_mb=500.0), other))
        return World(columns, cluster, options, seed)
    return World(columns, Cluster("one node", (group,)), options, seed)


@cache
def two_worlds(kind: str, seed: int, stated: str) -> tuple[World, World, int]:
    """Return a world, the same where a task has another run time, and the row of that task."""
    here = world(kind, seed, stated)
    row, runtime = other_runtime(seed)
    return here, here.with_runtime(row, runtime), row


def other_runtime(seed: int) -> tuple[int, float]:
    """Return a row and a run time to put there."""
    generator = np.random.default_rng([99, seed])
    return int(generator.integers(TASKS)), float(generator.choice([0.0, 0.5, 2.5, 6.0, 10.0, 40.0]))


def told_at(simulation: Simulation, row: int) -> float:
    """Return the first instant at which anybody can see how long a task runs: one of its sides has ended."""
    if simulation.policy.preempts:
        return float(simulation.outcome().finish_time[row])
    cores, gpus, _, _, cpu_held, gpu_held = (column[0] for column in holdings(simulation, np.array([row])))
    sides = [held for held, amount in ((cpu_held, cores), (gpu_held, gpus)) if amount > 0]
    return float(simulation.outcome().start_time[row] + min(sides))


def attempts_before(simulation: Simulation, instant: float) -> set[tuple[float, ...]]:
    """Return the attempts that ended before an instant, as (row, start, end, node, device)."""
    found = simulation.attempts()
    columns = (found.row, found.start_time, found.end_time, found.node, found.device)
    rows = zip(*(column[found.end_time < instant].tolist() for column in columns), strict=True)
    return set(rows)


def moved_too_early(one: Simulation, other: Simulation, row: int) -> list[tuple[int, str]]:
    """Return what was decided differently before the run time of task `row` could be seen, as (task row, column)."""
    first = min(told_at(one, row), told_at(other, row))
    a, b = one.outcome(), other.outcome()
    early = np.flatnonzero((a.start_time < first) | (b.start_time < first))
    over = np.flatnonzero((a.finish_time < first) | (b.finish_time < first))
    if one.policy.preempts:
        # The node is that of the last attempt, which may begin later.
        names: tuple[str, ...] = ("start_time",)
        ended = [attempts_before(simulation, first) for simulation in (one, other)]
        differing = [(int(row), "attempts") for row, *_ in ended[0] ^ ended[1]]
    else:
        names, differing = ("start_time", "node", "device", "gpu_fraction"), []
    columns = [(name, early) for name in names]
    return differing + [
        (int(place), name)
        for name, rows in [*columns, ("finish_time", over)]
        for place in rows[getattr(a, name)[rows] != getattr(b, name)[rows]]
    ]


@cache
def predictor(algorithm: str = "lightgbm") -> RuntimeModel:
    """Return a predictor that makes much of what users' tasks took before."""
    generator = np.random.default_rng(7)
    n = 400
    users = generator.integers(0, 2, n)
    drift = np.exp(np.cumsum(generator.normal(0, 0.4, n)) % 3)
    log = Workload.from_columns(
        arrival_time=np.cumsum(generator.integers(1, 30, n)).astype(float),
        runtime=np.round(drift * (1 + 3 * users)),
        duration_estimate=np.where(generator.random(n) < 0.7, 60.0, np.nan),
        user=[("ann", "bob")[user] for user in users],
    )
    return RuntimeModel.parse(fit_runtime(log, n, seed=0, algorithm=algorithm))
