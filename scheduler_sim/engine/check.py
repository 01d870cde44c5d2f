"""Try policies of one's own: `python -m scheduler_sim.engine.check mine.py`.

Each policy that the file registers, that an installed package has under the name, or that a program is
(--policy-program), plays small random workloads. Checked are that it comes back and plays them to their end, that
nobody holds more than there is, that it does the same a second time, and that what it does by an instant does not
depend on what comes later; that the event loops start what a plain loop starts by the same scores; and with --like that
it starts every task when and where a shipped policy does.
"""

import argparse
import faulthandler
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.presets import dgx, load_cluster, pool
from scheduler_sim.engine.contract import Outcome
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.plain_rules import plainly
from scheduler_sim.engine.policies import Policy, parse_policy, split_outside
from scheduler_sim.engine.policies.asking import asked
from scheduler_sim.engine.policies.loading import load_policies
from scheduler_sim.engine.policies.own import program
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

CASES = 50
LIMIT_SECONDS = 60.0

NOBODY_LOOKS = 15.0
"""Seconds after which code that lets no other thread run is ended, beyond the limit."""


def check(
    policy: Policy,
    *,
    cases: int = CASES,
    seed: int = 0,
    like: Policy | None = None,
    clusters: Sequence[Cluster] | None = None,
) -> list[str]:
    """Return what is wrong with a policy, at most one sentence a cluster; none where nothing was found.

    Args:
        cases: how many random workloads it plays on each cluster.
        seed: of the workloads.
        like: what it has to play as; None for nothing.
        clusters: on what it plays; None for a pool and nodes with GPUs.
    """
    found: list[str] = []
    chosen = (pool(8), dgx(3)) if clusters is None else clusters
    wrong_on: set[int] = set()
    for number in range(cases):
        for place, cluster in enumerate(chosen):
            if place in wrong_on:
                continue
            generator = np.random.default_rng([seed, number, cluster.nodes])
            workload = _random(generator, cluster)
            try:
                wrong = _check_one(policy, workload, cluster) or _compare(policy, like, workload, cluster)
            except EngineError as error:
                wrong = str(error)
            if wrong:
                found.append(f"Case {number} on {cluster.name}: {wrong}")
                wrong_on.add(place)
    return found


def _check_one(policy: Policy, workload: Workload, cluster: Cluster) -> str:
    first = _played(policy, workload, cluster)
    outcome = first.outcome()
    if not first.done:
        ended = np.zeros(len(workload), bool)
        ended[outcome.completion_order] = True
        left = np.flatnonzero(~ended)
        ready = outcome.ready_time[left[0]]
        since = "" if np.isnan(ready) else f", which is ready at {ready:,.15g} s,"
        others = f" and {len(left) - 1:,} others" if len(left) > 1 else ""
        return f"it leaves task {workload.task_id[left[0]]}{since}{others} waiting for ever."
    again = _played(policy, workload, cluster).outcome()
    if row := _first_other(outcome, again):
        return f"it starts {_start(workload, outcome, *row)}, and {_where(again, *row)} when it plays the same again."
    if len(early := np.flatnonzero(outcome.start_time < outcome.ready_time)):
        row = early[0]
        return f"it starts {_start(workload, outcome, row)}, before it is ready at {outcome.ready_time[row]:,.15g} s."
    spans = first.spans()
    for what, held, there in (("cores", spans.cpus, cluster.cores), ("GPUs", spans.gpus, cluster.gpus)):
        most, place = _most_held(spans.start_time, spans.end_time, held)
        if most > there + 1e-9:
            task = workload.task_id[spans.row[place]]
            return f"with task {task} at {spans.start_time[place]:,.15g} s tasks hold {most:g} {what}, of {there:g}."
    if policy.order.looks_ahead or policy.clairvoyant:
        return ""
    return _look_ahead(policy, workload, cluster, outcome)


def _look_ahead(policy: Policy, workload: Workload, cluster: Cluster, outcome: Outcome) -> str:
    """Say what depends on what nobody knows then: tasks that come later, and run times of those that start later."""
    half = len(workload) // 2
    until = workload.arrival_time[half - 1]
    longer = replace(workload, runtime=workload.runtime + 1000.0 * (outcome.start_time > until))
    for changed, why in (
        (workload.head(half), "without the tasks that arrive later"),
        (longer, "where tasks that start later run longer"),
    ):
        other = _played(policy, changed, cluster).outcome()
        n = len(changed)
        before = np.fmin(outcome.start_time[:n], other.start_time) < until
        differs = np.flatnonzero(before & (outcome.start_time[:n] != other.start_time))
        if len(differs):
            row = int(differs[0])
            return f"it starts {_start(workload, outcome, row)}, and {_where(other, row)} {why}."
    return ""


def _compare(policy: Policy, like: Policy | None, workload: Workload, cluster: Cluster) -> str:
    """Say where it starts a task otherwise than a plain loop does by its scores, or than what it is to be like."""
    simulation = Simulation(workload, cluster, policy, seed=1)
    references = [(plainly(policy, simulation.scores(), cluster), "by its own scores in a plain loop")]
    references += [] if like is None else [(like, f"under {like.name}")]
    outcome: Outcome | None = None
    for reference, called in references:
        if reference is None:
            continue
        if outcome is None:
            simulation.advance()
            outcome = simulation.outcome()
        other = _played(reference, workload, cluster).outcome()
        if row := _first_other(outcome, other):
            return f"it starts {_start(workload, outcome, *row)}; {called} it starts {_where(other, *row)}."
    return ""


def _first_other(one: Outcome, other: Outcome) -> tuple[int, ...]:
    """Return the row of the first task by time that starts otherwise, or elsewhere; nothing where none does."""
    differs = one.start_time != other.start_time
    for name in ("node", "device"):
        differs |= getattr(one, name) != getattr(other, name)
    rows = np.flatnonzero(differs)
    if not len(rows):
        return ()
    return (int(rows[np.argmin(np.fmin(one.start_time, other.start_time)[rows])]),)


def _start(workload: Workload, outcome: Outcome, row: int) -> str:
    return f"task {workload.task_id[row]} {_where(outcome, row)}"


def _where(outcome: Outcome, row: int) -> str:
    device = f", GPU {outcome.device[row]}" if outcome.device[row] >= 0 else ""
    return f"at {outcome.start_time[row]:,.15g} s on node {outcome.node[row]}{device}"


def _most_held(start: FloatArray, end: FloatArray, held: FloatArray) -> tuple[float, int]:
    """Return the most that is held at once, and whose start makes it so.

    What ends at an instant has given back what it held.
    """
    runs = np.flatnonzero(end > start)
    if not len(runs):
        return 0.0, -1
    times, change = np.concatenate((start[runs], end[runs])), np.concatenate((held[runs], -held[runs]))
    order = np.lexsort((change, times))
    total = np.cumsum(change[order])
    most = int(np.argmax(total))
    return float(total[most]), int(np.concatenate((runs, runs))[order[most]])


def _played(policy: Policy, workload: Workload, cluster: Cluster) -> Simulation:
    simulation = Simulation(workload, cluster, policy, seed=1)
    simulation.advance()
    return simulation


def _random(generator: np.random.Generator, cluster: Cluster) -> Workload:
    n = int(generator.integers(4, 25))
    runtime = generator.integers(0, 30, n).astype(np.float64)
    most = max(int(max(group.gpus for group in cluster.groups)), 0)
    wanted = [0, 0, *(count for count in (1, 2, 8) if count <= most)]
    gpus = generator.choice(wanted, n).astype(np.float64) if cluster.gpus else np.zeros(n)
    cores = min(8, int(min(group.cores for group in cluster.groups)))
    cpus = generator.integers(1, cores + 1, n).astype(np.float64)
    return Workload.from_columns(
        arrival_time=np.cumsum(generator.integers(0, 6, n)),
        runtime=runtime,
        duration_estimate=runtime * generator.choice([1.0, 1.5, 3.0], n),
        cpus=cpus,
        gpus=gpus,
        user=generator.choice(["ann", "bob", "cyd"], n).tolist(),
    )


class _Watch(Thread):
    """Ends the process with a sentence where code of the user's does not come back from what it is asked about.

    It looks from a thread: Python lets others run every few milliseconds, and compiled scores hold nobody up. Code
    that lets nobody run is ended too, with Python's own words on where it was.
    """

    def __init__(self, limit: float) -> None:
        super().__init__(daemon=True)
        self.policy, self._limit, self._over = "", limit, Event()

    def start(self) -> None:
        """Begin to look, also where nobody lets this thread run even once."""
        self._await_nobody()
        super().start()

    def _await_nobody(self) -> None:
        faulthandler.dump_traceback_later(self._limit + NOBODY_LOOKS, exit=True, file=sys.__stderr__ or 2)

    def run(self) -> None:
        """Look until it is over."""
        since, last = time.monotonic(), asked()
        while not self._over.wait(min(self._limit / 8, 0.5)):
            self._await_nobody()
            if (now := asked()) is None or now != last:
                since, last = time.monotonic(), now
            elif time.monotonic() - since > self._limit:
                place = now[1] if now[1].startswith(("at ", "when ")) else f"at scoring {now[1]}"
                os.write(1, f"{self.policy}: it does not come back within {self._limit:g} s {place}\n".encode())
                os._exit(1)
        faulthandler.cancel_dump_traceback_later()

    def end(self) -> None:
        """Stop looking."""
        self._over.set()
        self.join()


def main(arguments: Sequence[str] | None = None) -> int:
    """Check policies; 0 where nothing is wrong, 1 where something is, 2 where they cannot be loaded."""
    parser = argparse.ArgumentParser(
        prog="python -m scheduler_sim.engine.check", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "mine",
        nargs="?",
        help="a Python file that registers policies (docs/library.md), or the name of an installed one",
    )
    parser.add_argument(
        "--policy-program", metavar="COMMAND", help="the command line of a program that is a policy, in place of a file"
    )
    parser.add_argument(
        "--policies", metavar="LIST", help="what to check, as mine+easy@best_fit; by default what the file registers"
    )
    parser.add_argument("--like", metavar="POLICY", help="a policy, as sjf+easy, that has to give the same schedules")
    parser.add_argument(
        "--cluster", metavar="PRESET|FILE", help="on what is played; by default hpc-8 and three nodes with GPUs"
    )
    parser.add_argument("--cases", type=int, default=CASES, metavar="N", help=f"random workloads (default {CASES})")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the workloads (default 0)")
    parser.add_argument(
        "--limit",
        type=float,
        default=LIMIT_SECONDS,
        metavar="SECONDS",
        help=f"that a function, or a decision, may take (default {LIMIT_SECONDS:g})",
    )
    given = parser.parse_args(arguments)
    if given.cases < 1 or given.seed < 0 or not given.limit > 0:
        parser.error("--cases takes whole numbers from 1 up, --seed from 0 up, --limit seconds above 0.")
    if (given.mine is None) == (given.policy_program is None):
        parser.error("Give a file, a name or --policy-program COMMAND.")
    try:
        policies, like, clusters = _read(given)
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    watch, wrong = _Watch(given.limit), 0
    watch.start()
    try:
        for policy in policies:
            watch.policy = policy.name
            found = check(policy, cases=given.cases, seed=given.seed, like=like, clusters=clusters)
            wrong += bool(found)
            count = given.cases * (2 if clusters is None else len(clusters))
            told = found[0] if found else f"nothing wrong in {count} random workloads"
            sys.stdout.write(f"{policy.name}: {told}\n")
            sys.stdout.flush()
    finally:
        watch.end()
    return 1 if wrong else 0


def _read(given: argparse.Namespace) -> tuple[list[Policy], Policy | None, list[Cluster] | None]:
    """Return what is checked, what it has to be like, and on what it plays.

    Raises:
        EngineError: something of it cannot be loaded or means nothing.
    """
    if given.policy_program is not None:
        names = [program(given.policy_program)]
    elif given.mine.endswith(".py") or Path(given.mine).is_file():
        names = load_policies(given.mine)
    else:
        # Reading a name loads what installed packages register.
        names = [parse_policy(given.mine).name]
    policies = [parse_policy(name) for name in (split_outside(given.policies, ",") if given.policies else names)]
    like = parse_policy(given.like) if given.like else None
    return policies, like, [load_cluster(given.cluster)] if given.cluster else None


if __name__ == "__main__":
    sys.exit(main())
