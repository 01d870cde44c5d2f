"""How fast workloads play on a large site: Slurm's two loops with a queue of thousands, and other policies beside it.

python -m benchmarks.site_speed [--tasks 100000] [--days 7] [--policies slurm,fcfs+list] [--into docs/sites.md]
"""

import argparse
from dataclasses import dataclass, field
from os import getloadavg
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from scheduler_sim.engine import Simulation, parse_policies
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.workloads.columns import Labels
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

NODES = 1000
USERS = 200
ACCOUNTS = 20
PUBLIC_SIMULATORS = "17 simulated days an hour (as the public Slurm simulators state)"

DAY = 86_400.0
SAMPLED_EVERY = 1800.0
"""Seconds between two samples of the queue."""

HEADER = (
    "| policy and days | tasks ended | waiting on average | at most | backfill passes | tried a pass | seconds | "
    "of the processor | tasks a second | days an hour |\n|---|---|---|---|---|---|---|---|---|---|"
)
"""The head of the table, by which it is found in a document; seconds without another word are those of the clock."""

SLURM = "slurm(bf_max_job_test=500,bf_interval=30)"


def large_site() -> Site:
    """Return 1,000 nodes of three kinds in six partitions, with 200 users in 20 accounts."""
    groups = [
        {"hosts": "c[0001-0700]", "cores": 64, "memory_mb": 256_000, "weight": 10},
        {"hosts": "m[001-200]", "cores": 64, "memory_mb": 1_024_000, "features": ["bigmem"], "weight": 20},
        {"hosts": "g[001-100]", "cores": 64, "memory_mb": 512_000, "gpus": 4, "gpu_type": "a100", "weight": 50},
    ]
    partitions = [
        {"name": "batch", "hosts": "c[0001-0700],m[001-200]", "is_default": True, "max_time": 172_800},
        {"name": "long", "hosts": "c[0001-0300]", "max_time": 604_800},
        {"name": "debug", "hosts": "c[0001-0020]", "max_time": 3_600, "tier": 10},
        {"name": "bigmem", "hosts": "m[001-200]", "max_time": 172_800},
        {"name": "gpu", "hosts": "g[001-100]", "max_time": 172_800},
        {"name": "all", "hosts": "ALL", "max_time": 86_400},
    ]
    accounts = [{"name": f"a{number:02}", "shares": 1 + number % 5} for number in range(ACCOUNTS)]
    users = [{"name": f"a{number % ACCOUNTS:02}", "user": f"u{number:03}"} for number in range(USERS)]
    return Site.from_json(
        {
            "name": "large",
            "groups": groups,
            "partitions": partitions,
            "accounts": [*accounts, *users],
            "qos": [{"name": "normal", "priority": 10}, {"name": "high", "priority": 100}],
            "priority": {
                "kind": "multifactor",
                "age_weight": 1000,
                "fair_share_weight": 10_000,
                "job_size_weight": 500,
                "qos_weight": 2000,
            },
        }
    )


def _submissions(random: np.random.Generator, count: int, span: float) -> FloatArray:
    """Return so many instants in order, more of them in the day than at night, in the week than at its end."""
    hours = np.arange(int(np.ceil(span / 3600.0)))
    hour, day = hours % 24, hours // 24
    weight = np.where((hour >= 8) & (hour < 19), 1.6, 0.5) * np.where(day % 7 >= 5, 0.5, 1.2)
    # A deadline falls into the second week: the queue grows for days, and is worked off until the month ends.
    weight *= np.array([0.9, 1.3, 0.95, 0.85])[np.minimum(day // 7, 3)]
    edges = np.append(hours * 3600.0, span)
    passed = np.append(0.0, np.cumsum(weight) / weight.sum())
    times: FloatArray = np.interp(np.sort(random.random(count)), passed, edges)
    return times


def month(tasks: int, *, load: float = 1.0, seed: int = 1) -> Workload:
    """Return tasks that users submit in batches of alike ones: 100,000 are about a month of the site.

    Most take one node or a part of one, a fifth up to 32 whole ones; `load` is what they take of all cores on average.
    """
    random = np.random.default_rng(seed)
    users = random.zipf(1.4, tasks) % USERS
    batch = np.cumsum(random.random(tasks) < 0.2)
    first = np.searchsorted(batch, np.arange(batch[-1] + 1))
    one = first[batch]
    part = random.choice(["batch", "batch", "batch", "long", "debug", "bigmem", "gpu", "all"], tasks)[one]
    users = users[one]
    single = (random.random(tasks) < 0.75)[one]
    nodes = np.where(single, 1, 2 ** random.integers(0, 6, tasks)[one])
    nodes = np.where(part == "debug", np.minimum(nodes, 4), nodes)
    nodes = np.where(part == "gpu", np.minimum(nodes, 8), nodes)
    cores = np.where(single, 2 ** random.integers(0, 7, tasks)[one], 64)
    hours = random.choice([1, 2, 4, 8, 12, 24, 48], tasks, p=[0.2, 0.2, 0.2, 0.15, 0.1, 0.1, 0.05])[one].astype(float)
    hours = np.where(part == "debug", 1.0, np.where(part == "all", np.minimum(hours, 24.0), hours))
    limit = hours * 3600.0
    runtime = limit * random.beta(1.2, 2.5, tasks)
    span = float((runtime * nodes * cores).sum()) / (NODES * 64 * load)
    requests = Requests.blank(
        tasks,
        nodes=nodes,
        tasks=nodes * cores,
        cores_per_task=np.ones(tasks, np.int64),
        memory_mb_per_core=np.full(tasks, 2000.0),
        gpus_per_node=np.where(part == "gpu", random.integers(1, 5, tasks)[one], 0).astype(float),
        qos=Labels.from_texts(random.choice(["normal", "normal", "normal", "high"], tasks)[one]),
    )
    arrival = _submissions(random, batch[-1] + 1, span)[batch] + np.arange(tasks) * 1e-3
    return Workload.from_columns(
        arrival_time=arrival,
        runtime=runtime,
        duration_estimate=limit,
        cpus=nodes * cores,
        gpus=np.where(part == "gpu", nodes, 0),
        queue=part.tolist(),
        user=[f"u{user:03}" for user in users.tolist()],
        group=[f"a{user % ACCOUNTS:02}" for user in users.tolist()],
        requests=requests,
    )


@dataclass
class Stretch:
    """What was played since the last line: samples of the queue, and seconds of the clock and of the processor."""

    queue: list[int] = field(default_factory=list)
    begun: float = field(default_factory=perf_counter)
    begun_processor: float = field(default_factory=process_time)

    def line(self, label: str, days: float, tasks: int, passes: int, tried: int) -> str:
        """Return a row of the table for so many simulated days."""
        seconds, processor = perf_counter() - self.begun, process_time() - self.begun_processor
        return (
            f"| {label} | {tasks:,} | {np.mean(self.queue):,.0f} | {max(self.queue):,} | {passes:,} | "
            f"{tried / max(passes, 1):.0f} | {seconds:.1f} | {processor:.1f} | {tasks / seconds:,.0f} | "
            f"{days / seconds * 3600:,.0f} |"
        )


def play(simulation: Simulation, name: str, days: float) -> list[str]:
    """Play a simulation for so many simulated days; print and return a row a week and one of all."""
    kernel = simulation.kernel

    def counts() -> tuple[int, int, int]:
        return (kernel.finished, *getattr(kernel, "passes", (0, 0)))

    rows: list[str] = []

    def tell(row: str) -> None:
        print(row, flush=True)
        rows.append(row)

    whole, week, before, time, last = Stretch(), Stretch(), (0, 0, 0), 0.0, 0.0
    while not simulation.done and time < days * DAY:
        time += SAMPLED_EVERY
        simulation.advance(until_time=time)
        whole.queue.append(kernel.queued)
        week.queue.append(kernel.queued)
        if simulation.done or time % (7 * DAY) < SAMPLED_EVERY or time >= days * DAY:
            done = counts()
            since = [now - then for now, then in zip(done, before, strict=True)]
            tell(week.line(f"{last / DAY:.0f} to {time / DAY:.0f}", (time - last) / DAY, *since))
            week, before, last = Stretch(), done, time
    tell(whole.line(f"{name}, all {time / DAY:.0f}", time / DAY, *counts()))
    if simulation.done:
        outcome = simulation.outcome()
        print(f"{name}: mean wait {float(np.mean(outcome.start_time - outcome.ready_time)) / 3600:.2f} h")
    return rows


def write_into(document: Path, rows: list[str]) -> None:
    """Write rows in place of those of the table of a document that has the head of this one's.

    Raises:
        SystemExit: there is no such table.
    """
    before, head, behind = document.read_text().partition(HEADER + "\n")
    if not head:
        raise SystemExit(f"{document} has no table with the head of this one's.")
    left = behind.splitlines(keepends=True)
    while left and left[0].startswith("|"):
        left.pop(0)
    document.write_text(before + head + "".join(f"{row}\n" for row in rows) + "".join(left))


def main() -> None:
    """Print a line a week and one a policy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--load", type=float, default=1.0)
    parser.add_argument("--days", type=float, default=np.inf, help="simulated days to play (default: all)")
    parser.add_argument("--policies", default=SLURM)
    parser.add_argument("--into", type=Path, help="document whose table of this head gets the rows in place of its own")
    arguments = parser.parse_args()
    site = large_site()
    workload = month(arguments.tasks, load=arguments.load)
    warm = month(300)
    print(f"{len(workload):,} tasks, {site.cluster.nodes:,} nodes; public: {PUBLIC_SIMULATORS}; load {getloadavg()}")
    print(HEADER)
    rows: list[str] = []
    for policy in parse_policies(arguments.policies):
        Simulation(warm, site.cluster, policy, site=site).advance(until_time=np.inf)
        rows += play(Simulation(workload, site.cluster, policy, site=site), policy.name, arguments.days)
    if arguments.into is not None:
        write_into(arguments.into, rows)


if __name__ == "__main__":
    main()
