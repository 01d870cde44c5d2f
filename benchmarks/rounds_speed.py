"""How fast kinds of GPU are shared out in rounds, also beside Gavel's own simulator on the same jobs in one session.

python -m benchmarks.rounds_speed THROUGHPUTS [--jobs 500] [--gpus 36,36,36] [--policies fifo_perf,gandiva_fair]
                                  [--gavel CHECKOUT --python PYTHON] [--repeats 3]

THROUGHPUTS is Gavel's simulation_throughputs.json; CHECKOUT its repository, of which nothing is kept here, and PYTHON
an interpreter with cvxpy, ecos, numpy, scipy and psutil. Both sides are timed in processor seconds, by turns, without
reading, starting up and compiling, so that other work on the machine counts little; medians are shown.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time

import numpy as np

from benchmarks.project import described
from scheduler_sim.engine import Cluster, NodeGroup, Simulation, Workload, parse_policy
from scheduler_sim.engine.traces import read_kinds
from scheduler_sim.engine.workloads.columns import Labels
from scheduler_sim.engine.workloads.throughputs import Throughputs

KINDS = ("v100", "p100", "k80")
POLICIES = (
    "fifo_perf,gandiva_fair,max_min_fairness,max_min_fairness_perf,min_total_duration_perf,finish_time_fairness_perf"
)
GAVELS = {"gandiva_fair": "isolated", "las": "max_min_fairness"}
"""What policies are called there; the others have one name."""

THERE = """
import contextlib, io, json, logging, os, sys, time, types
import numpy as np

folder, trace, policy, gpus = sys.argv[1:]
np.int = int
for name in ("matrix_completion", "runtime", "runtime.rpc"):
    sys.modules[name] = types.ModuleType(name)
for name in ("scheduler_server", "scheduler_client"):
    setattr(sys.modules["runtime.rpc"], name, None)
os.chdir(folder)
sys.path.insert(0, folder)
import scheduler, utils

logging.disable(logging.CRITICAL)
jobs, arrivals = utils.parse_trace(trace)
cluster = dict(zip(("v100", "p100", "k80"), map(int, gpus.split(","))))
settles = utils.get_policy(policy, solver="ECOS", seed=0)
table = folder + "/simulation_throughputs.json"
played = scheduler.Scheduler(settles, throughputs_file=table, simulate=True, seed=0, time_per_iteration=360)
began = time.process_time()
with contextlib.redirect_stdout(io.StringIO()):
    played.simulate(cluster, arrivals, jobs, num_gpus_per_server=dict.fromkeys(cluster, 1))
seconds = time.process_time() - began
times = [one for one in played._job_completion_times.values() if one is not None]
print(json.dumps([seconds, sum(times) / len(times), len(times)]), flush=True)
os._exit(0)
"""
"""Plays a trace there; what it imports and never calls in a simulation (RPC, estimation of rates) is left out."""


def draw(table: Throughputs, jobs: int, gpus: int, *, load: float, seed: int) -> Workload:
    """Return jobs as Gavel draws them: 30 min to 7 days on a v100, 70 % of them on one GPU, the rest on 2, 4 or 8."""
    random = np.random.default_rng(seed)
    known = {count: [key for key, row in table.rates.items() if key[1] == count and all(row)] for count in (1, 2, 4, 8)}
    counts = random.choice([1, 2, 4, 8], jobs, p=[0.7, 0.1, 0.15, 0.05])
    types = [known[count][random.integers(len(known[count]))] for count in counts.tolist()]
    rates = np.array([table.rates[key] for key in types])[:, [table.kinds.index(kind) for kind in KINDS]]
    long = random.random(jobs) < 0.2
    minutes = 10 ** np.where(long, random.uniform(3, 4, jobs), random.uniform(1.5, 3, jobs))
    steps = np.ceil(rates[:, 0] * minutes * 60)
    span = float((steps / rates.mean(1) * counts).sum()) / (gpus * load)
    return Workload.from_columns(
        arrival_time=np.round(np.sort(random.uniform(0, span, jobs)), 3),
        runtime=steps / rates[:, 0],
        size=steps,
        gpus=counts,
        group=Labels.from_texts([name for name, _ in types]),
        throughputs=table,
    )


def ours(workload: Workload, cluster: Cluster, policy: str) -> tuple[float, Simulation]:
    """Return the seconds that a simulation takes, and the simulation."""
    began = process_time()
    simulation = Simulation(workload, cluster, parse_policy(policy))
    simulation.advance()
    return process_time() - began, simulation


def theirs(workload: Workload, gpus: str, policy: str, checkout: Path, python: str) -> tuple[float, float]:
    """Return the seconds that Gavel's simulator takes, and its mean job completion time."""
    with tempfile.NamedTemporaryFile("w", suffix=".trace") as file:
        rows = zip(workload.group.texts(), workload.size, workload.gpus, workload.arrival_time, strict=True)
        for kind, steps, count, arrival in rows:
            fields = (kind, "true", "", "-n", "0", int(steps), int(count), "1", "-1", repr(float(arrival)))
            print(*fields, sep="\t", file=file)
        file.flush()
        folder = str(checkout.resolve() / "scheduler")
        command = [python, "-c", THERE, folder, file.name, GAVELS.get(policy, policy), gpus]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, mean, count = json.loads(printed.splitlines()[-1])
    if count != len(workload):
        print(f"Gavel's simulator completed {count} of {len(workload)} jobs under {policy}.", file=sys.stderr)
    return seconds, mean


def main() -> None:
    """Print a line a policy."""
    parser = described(__doc__)
    parser.add_argument("throughputs", type=Path)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--gpus", default="36,36,36", help="of v100, p100, k80")
    parser.add_argument("--per-node", type=int, default=1, help="GPUs of a node")
    parser.add_argument("--load", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--policies", default=POLICIES)
    parser.add_argument("--gavel", type=Path)
    parser.add_argument("--python", default=sys.executable)
    asked = parser.parse_args()
    table = read_kinds(asked.throughputs)
    if table is None:
        sys.exit(f"{asked.throughputs} has no rates by kind of GPU.")
    counts = [int(count) for count in asked.gpus.split(",")]
    groups = [
        NodeGroup(kind, count // asked.per_node, asked.per_node, gpus=asked.per_node, gpu_type=kind)
        for kind, count in zip(KINDS, counts, strict=True)
        if count
    ]
    cluster = Cluster("kinds", tuple(groups))
    workload = draw(table, asked.jobs, sum(counts), load=asked.load, seed=asked.seed)
    for policy in ("gandiva_fair", "max_min_fairness"):
        ours(workload.head(20), cluster, policy)  # compiles
    print(f"{asked.jobs:,} jobs on {sum(counts):,} GPUs; load of the machine {os.getloadavg()[0]:.1f}", flush=True)
    for policy in asked.policies.split(","):
        here, there = [], []
        for _ in range(asked.repeats):
            here.append(ours(workload, cluster, policy))
            if asked.gavel is not None:
                there.append(theirs(workload, asked.gpus, policy, asked.gavel, asked.python))
        seconds, simulation = statistics.median(one for one, _ in here), here[0][1]
        mean = float((simulation.outcome().finish_time - workload.arrival_time).mean())
        line = f"{policy:28} {seconds:9.3f} s {len(workload) / seconds:9,.0f} jobs/s  mean JCT {mean / 3600:8.3f} h"
        if there:
            taken, of_there = statistics.median(one for one, _ in there), there[0][1]
            line += f"  Gavel {taken:9.3f} s, mean JCT {of_there / 3600:8.3f} h: {taken / seconds:7.1f} times"
        print(line, flush=True)


if __name__ == "__main__":
    main()
