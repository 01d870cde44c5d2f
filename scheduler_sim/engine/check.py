"""Try policies of one's own: `python -m scheduler_sim.engine.check mine.py`.

Each policy that the file registers plays small random workloads. Checked are that it plays them to their end, that
nobody holds more than there is, that it does the same a second time, and that what it does by an instant does not
depend on what comes later.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scheduler_sim.engine.cluster import Cluster
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.policies import Policy, parse_policy
from scheduler_sim.engine.policies.loading import load_policies
from scheduler_sim.engine.presets import dgx, pool
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.workload import FloatArray, Workload

CASES = 50


def check(policy: Policy, *, cases: int = CASES, seed: int = 0) -> list[str]:
    """Return what is wrong with a policy, one sentence each; none where nothing was found.

    Args:
        cases: how many random workloads it plays on a pool, and as many on nodes with GPUs.
        seed: of the workloads.
    """
    found: list[str] = []
    for number in range(cases):
        for cluster in (pool(8), dgx(3)):
            generator = np.random.default_rng([seed, number, cluster.nodes])
            workload = _random(generator, cluster)
            try:
                wrong = _check_one(policy, workload, cluster)
            except EngineError as error:
                wrong = str(error)
            if wrong:
                found.append(f"Case {number} on {cluster.name}: {wrong}")
                break
    return found


def _check_one(policy: Policy, workload: Workload, cluster: Cluster) -> str:
    first, again = _played(policy, workload, cluster), _played(policy, workload, cluster)
    outcome = first.outcome()
    if not first.done:
        return f"it leaves {len(workload) - first.finished} of {len(workload)} tasks waiting for ever."
    for name, words in (("start_time", "at other times"), ("node", "on other nodes"), ("device", "on other GPUs")):
        if not np.array_equal(getattr(outcome, name), getattr(again.outcome(), name)):
            return f"it starts tasks {words} when it plays the same again."
    if len(early := np.flatnonzero(outcome.start_time < outcome.ready_time)):
        return f"it starts task {workload.task_id[early[0]]} before it is ready."
    spans = first.spans()
    for what, held, there in (("cores", spans.cpus, cluster.cores), ("GPUs", spans.gpus, cluster.gpus)):
        most = _most_held(spans.start_time, spans.end_time, held)
        if most > there + 1e-9:
            return f"tasks hold {most:g} {what} at once, and there are {there:g}."
    if not (policy.order.looks_ahead or policy.clairvoyant):
        half = len(workload) // 2
        until = workload.arrival_time[half - 1]
        earlier = _played(policy, workload.head(half), cluster).outcome().start_time
        changed = np.flatnonzero(
            (np.minimum(earlier, outcome.start_time[:half]) < until) & (earlier != outcome.start_time[:half])
        )
        if len(changed):
            return f"when task {workload.task_id[changed[0]]} starts depends on tasks that arrive later."
        longer = replace(workload, runtime=workload.runtime + 1000.0 * (outcome.start_time > until))
        other = _played(policy, longer, cluster).outcome().start_time
        changed = np.flatnonzero((np.minimum(other, outcome.start_time) < until) & (other != outcome.start_time))
        if len(changed):
            return f"when task {workload.task_id[changed[0]]} starts depends on how long tasks run that start later."
    return ""


def _most_held(start: FloatArray, end: FloatArray, held: FloatArray) -> float:
    """Return the most that is held at once; what ends at an instant has given back what it held."""
    runs = end > start
    times = np.concatenate((start[runs], end[runs]))
    change = np.concatenate((held[runs], -held[runs]))
    order = np.lexsort((change, times))
    return float(np.cumsum(change[order]).max(initial=0.0))


def _played(policy: Policy, workload: Workload, cluster: Cluster) -> Simulation:
    simulation = Simulation(workload, cluster, policy, seed=1)
    simulation.advance()
    return simulation


def _random(generator: np.random.Generator, cluster: Cluster) -> Workload:
    n = int(generator.integers(4, 25))
    runtime = generator.integers(0, 30, n).astype(np.float64)
    gpus = generator.choice([0, 0, 1, 2, 8], n).astype(np.float64) if cluster.gpus else np.zeros(n)
    cpus = generator.integers(1, 9, n).astype(np.float64)
    return Workload.from_columns(
        arrival_time=np.cumsum(generator.integers(0, 6, n)),
        runtime=runtime,
        duration_estimate=runtime * generator.choice([1.0, 1.5, 3.0], n),
        cpus=cpus,
        gpus=gpus,
        user=generator.choice(["ann", "bob", "cyd"], n).tolist(),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the policies of a file; 0 where nothing is wrong, 1 where something is, 2 where it cannot be loaded."""
    parser = argparse.ArgumentParser(
        prog="python -m scheduler_sim.engine.check", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", help="a Python file that registers policies (docs/library.md)")
    parser.add_argument(
        "--policies", metavar="LIST", help="what to check, as mine+easy@best_fit; by default what the file registers"
    )
    parser.add_argument("--cases", type=int, default=CASES, metavar="N", help=f"random workloads (default {CASES})")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the workloads (default 0)")
    given = parser.parse_args(arguments)
    if given.cases < 1 or given.seed < 0:
        parser.error("--cases takes whole numbers from 1 up, --seed from 0 up.")
    try:
        names = load_policies(given.file)
        policies = [parse_policy(name) for name in (given.policies.split(",") if given.policies else names)]
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    wrong = 0
    for policy in policies:
        found = check(policy, cases=given.cases, seed=given.seed)
        wrong += bool(found)
        told = found[0] if found else f"nothing wrong in {2 * given.cases} random workloads"
        sys.stdout.write(f"{policy.name}: {told}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
