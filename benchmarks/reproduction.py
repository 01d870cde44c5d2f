"""Play what was published and print it beside what comes out here, as the tables of docs/reproduction.md.

    python -m benchmarks.reproduction ../shared
    python -m benchmarks.reproduction ../shared --only easy,rlscheduler

The folder holds `traces` (public logs, docs/reproduction.md says whence) and `oracles` (what the authors' own programs
gave). A row whose difference is larger than its tolerance makes the command end with status 1; where the rules
differ there is no tolerance, and the table says what differs.
"""

import hashlib
import heapq
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.fgd_inflation import allocation_ratio, gpu_nodes, in_order, inflate
from benchmarks.project import described
from scheduler_sim import engine as sim
from scheduler_sim.engine.clusters.network import Network
from scheduler_sim.engine.formulas import bounded_slowdown
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.workloads.throughputs import Throughputs
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

EXACT = 1e-6


@dataclass(frozen=True)
class Row:
    """One published figure beside ours.

    Attributes:
        published: NaN where only a direction was published.
        tolerance: the largest difference over the published figure that counts as the same; None where rules differ.
    """

    case: str
    policy: str
    published: float
    here: float
    tolerance: float | None

    @property
    def difference(self) -> float:
        """Ours over theirs, less 1."""
        return self.here / self.published - 1.0

    @property
    def outside(self) -> bool:
        """Whether the difference is larger than it may be."""
        return self.tolerance is not None and not abs(self.difference) <= self.tolerance


@dataclass(frozen=True)
class Table:
    """Rows of one source.

    Attributes:
        source: paper and year. trace: what is played. figure: what the columns hold, with its unit.
        differs: why ours is not theirs to the last digit.
    """

    source: str
    trace: str
    figure: str
    differs: str
    play: Callable[[Path], list[Row]]


def easy(shared: Path) -> list[Row]:
    """Play KTH-SP2 under EASY and its variants."""
    jobs = sim.read(shared / "traces/KTH-SP2-sc15.swf.gz")
    shortest, predicted = "fcfs+easy(order=sjf)", "fcfs+easy(order=sjf,predict=last_two)"
    published = [
        ("trace", "fcfs+easy", 92.576540),
        ("trace", shortest, 69.405401),
        ("trace", predicted, 63.500677),
        ("exact", "fcfs+easy", 71.722385),
        ("exact", shortest, 49.847719),
        ("doubled", "fcfs+easy", 79.930251),
        ("doubled", shortest, 58.912532),
    ]
    doubled = replace(jobs.workload, duration_estimate=2.0 * jobs.workload.duration_estimate)
    told: dict[str, tuple[sim.Workload, str]] = {
        "trace": (jobs.workload, "trace"),
        "exact": (jobs.workload, "exact"),
        "doubled": (doubled, "trace"),
    }
    return [
        Row(
            f"estimates: {case}",
            policy,
            theirs,
            sim.play(told[case][0], "hpc-100", policy, estimates=told[case][1]).figure("mean_bounded_slowdown"),
            None if case == "doubled" else 0.005,
        )
        for case, policy, theirs in published
    ]


def bound_starts(
    arrival: FloatArray, runtime: FloatArray, cpus: IntArray, score: FloatArray, processors: int, *, backfill: bool
) -> FloatArray:
    """Return when each job starts under RLScheduler's rule: who is chosen blocks the queue until it has started.

    Whenever a choice is due the waiting job of the lowest score is chosen. While it does not fit, backfilling starts
    others in order of arrival that fit and end before the chosen one is expected to start. Events are taken singly, an
    arrival before an end of the same instant.
    """
    start = np.full(len(arrival), np.nan)
    running: list[tuple[float, int]] = []
    queue, coming, free, now = [0], 1, processors, float(arrival[0])

    def begin(row: int) -> None:
        nonlocal free
        start[row] = now
        free -= int(cpus[row])
        heapq.heappush(running, (now + float(runtime[row]), row))
        queue.remove(row)

    def pass_event() -> None:
        nonlocal coming, free, now
        if coming < len(arrival) and (not running or arrival[coming] <= running[0][0]):
            now = max(now, float(arrival[coming]))
            queue.append(coming)
            coming += 1
        else:
            end, row = heapq.heappop(running)
            now = max(now, end)
            free += int(cpus[row])

    while queue:
        chosen = min(queue, key=lambda row: (score[row], row))
        expected, available = now, free
        for end, row in sorted(running):
            if available >= cpus[chosen]:
                break
            expected, available = end, available + int(cpus[row])
        while free < cpus[chosen]:
            for row in sorted(queue) if backfill else ():
                if row != chosen and cpus[row] <= free and now + runtime[row] < expected:
                    begin(row)
            pass_event()
        begin(chosen)
        while not queue and coming < len(arrival):
            pass_event()
    return start


def drawn_beginnings(count: int, length: int, seed: int, sequences: int = 10) -> list[int]:
    """Return where RLScheduler's comparison begins its sequences: Gym's generator of the time, seeded by a hash."""
    words = np.frombuffer(hashlib.sha512(str(seed).encode()).digest()[:8], "<u4")
    generator = np.random.RandomState(words.tolist())
    return [int(generator.randint(length, count - length - 1)) for _ in range(sequences)]


RLSCHEDULER = {
    "without backfilling": {"fcfs": 7273.77, "wfp3": 19753.53, "unicep": 22274.74, "sjf": 277.35, "f1": 258.37},
    "with backfilling": {"fcfs": 235.82, "wfp3": 133.87, "unicep": 307.23, "sjf": 73.31, "f1": 75.07},
}
"""Table V of the paper, Lublin-1, with the digits of the authors' repository."""


def _theirs(arrival: FloatArray, runtime: FloatArray, cpus: IntArray) -> dict[str, FloatArray]:
    """Return the scores as their program computes them: of a waiting job the start is -1, and so is its wait's sign."""
    wait = -1.0 - arrival
    return {
        "fcfs": arrival,
        "wfp3": -((wait / runtime) ** 3) * cpus,
        "unicep": -(wait + 1e-15) / (np.log2(cpus + 1e-15) * runtime),
        "sjf": runtime,
        "f1": np.log10(runtime) * cpus + 870.0 * np.log10(arrival),
    }


def _lublin(shared: Path) -> sim.Workload:
    return read_trace(shared / "traces/lublin_256.swf").workload


def rlscheduler(shared: Path) -> list[Row]:
    """Play ten sequences of 1,024 jobs by RLScheduler's rule."""
    jobs = _lublin(shared)
    found: dict[tuple[str, str], list[float]] = {}
    for first in drawn_beginnings(len(jobs), 1024, seed=1):
        part = slice(first, first + 1024)
        arrival, runtime, cpus = jobs.arrival_time[part], jobs.runtime[part], jobs.cpus[part].astype(np.int64)
        for (case, published), (name, score) in (
            (one, other) for one in RLSCHEDULER.items() for other in _theirs(arrival, runtime, cpus).items()
        ):
            assert name in published
            start = bound_starts(arrival, runtime, cpus, score, 256, backfill=case == "with backfilling")
            found.setdefault((case, name), []).append(bounded_slowdown(start + runtime - arrival, runtime).mean())
    return [
        # Half a unit of the last digit that they print.
        Row(case, name, theirs, statistics.fmean(found[case, name]), 0.005 / theirs)
        for case, published in RLSCHEDULER.items()
        for name, theirs in published.items()
    ]


def chosen_anew(shared: Path) -> list[Row]:
    """Play the same ten sequences by the registered policies."""
    jobs = _lublin(shared)
    rows = []
    parts = [jobs.take(np.arange(at, at + 1024)) for at in drawn_beginnings(len(jobs), 1024, seed=1)]
    for case, published in RLSCHEDULER.items():
        policies = [f"{name}+easy" if case == "with backfilling" else name for name in published]
        results = [sim.play(part, "hpc-256", policies) for part in parts]
        for policy, theirs in zip(policies, published.values(), strict=True):
            here = statistics.fmean(result.figure("mean_bounded_slowdown", policy) for result in results)
            rows.append(Row(case, policy, theirs, here, None))
    return rows


def fitted(shared: Path) -> list[Row]:
    """Play sequences of 15 days, one after the other, under the fitted scores and those they were compared with."""
    jobs = _lublin(shared)
    day = (jobs.arrival_time - jobs.arrival_time[0]) // (15 * 86_400.0)
    parts = [jobs.take(np.flatnonzero(day == number)) for number in range(int(day[-1]))]
    policies = ["fcfs", "wfp3", "unicep", "sjf", "f4", "f3", "f2", "f1"]
    results = [sim.play(part, "hpc-256", policies) for part in parts]
    return [
        Row(
            f"{len(parts)} sequences of 15 days",
            name,
            np.nan,
            statistics.median(result.figure("mean_bounded_slowdown", name) for result in results),
            None,
        )
        for name in policies
    ]


def preemption(shared: Path) -> list[Row]:
    """Play 992 jobs on 8 nodes of 8 GPUs under preemptive orders."""
    table = pd.read_csv(shared / "oracles/preemption/trace3_input.csv")
    jobs = sim.Workload.from_pandas(table[["task_id", "arrival_time", "runtime", "gpus"]])
    cluster = sim.Cluster("n8g8", (sim.NodeGroup("node", count=8, cores=64, gpus=8),))
    published = {"srtf": 193_081.796024, "srsf": 185_021.880164, "las": 347_213.248119}
    result = sim.play(jobs, cluster, list(published))
    here = {name: result.figure("mean_job_completion_time", name) for name in published}
    rows = [Row("as published", name, theirs, here[name], None) for name, theirs in published.items()]
    for name in published:
        given = pd.read_csv(shared / f"oracles/preemption/trace3_{name}_clean.csv")
        arrival = given["task_id"].map(table.set_index("task_id")["arrival_time"])
        rows.append(
            Row("overhead set to 0", name, float((given["finish"] - arrival).mean()), here[name], EXACT),
        )
    return rows


KINDS = ("v100", "p100", "k80")
ROUNDS = {
    "fifo_perf": ("fifo_perf", EXACT),
    "isolated": ("gandiva_fair", EXACT),
    "max_min_fairness": ("max_min_fairness", 0.05),
    "max_min_fairness_perf": ("max_min_fairness_perf", 0.05),
    "finish_time_fairness_perf": ("finish_time_fairness_perf", 0.05),
    "min_total_duration_perf": ("min_total_duration_perf", 0.01),
}
"""Gavel's name, ours, and how near the mean must come: noise of 1e-12 moves it by up to 3.7 % where shares tie."""


def rounds(shared: Path) -> list[Row]:
    """Play three times 60 jobs on 4 v100, 4 p100 and 4 k80 in rounds."""
    cluster = sim.Cluster(
        "gavel", tuple(sim.NodeGroup(kind, count=4, cores=4, gpus=1, gpu_type=kind) for kind in KINDS)
    )
    rows = []
    for trace, words in (
        ("static1", "at once, 1 GPU"),
        ("multi", "at once, 1 to 4 GPUs"),
        ("poisson", "over time, 1 GPU"),
    ):
        table = pd.read_csv(shared / f"oracles/gavel/{trace}_input.csv")
        rates = table[[f"steps_per_s_{kind}" for kind in KINDS]].to_numpy(float)
        group = [str(row) for row in rates.tolist()]
        given = zip(group, table["scale_factor"], rates.tolist(), strict=True)
        jobs = sim.Workload.from_columns(
            task_id=table["task_id"].to_numpy() + 1,
            arrival_time=table["arrival_time"].to_numpy(float),
            runtime=table["total_steps"].to_numpy() / rates[:, 0],
            size=table["total_steps"].to_numpy(float),
            gpus=table["scale_factor"].to_numpy(float),
            group=group,
            throughputs=Throughputs(KINDS, {(name, int(gpus)): tuple(row) for name, gpus, row in given}),
        )
        result = sim.play(jobs, cluster, [name for name, _ in ROUNDS.values()])
        theirs = pd.read_csv(shared / f"oracles/gavel/{trace}_completion_times.csv").mean()
        rows += [
            Row(words, name, float(theirs[gavel]), result.figure("mean_job_completion_time", name), tolerance)
            for gavel, (name, tolerance) in ROUNDS.items()
        ]
    return rows


def workflow_of(case: Mapping[str, Any]) -> tuple[sim.Workload, sim.Cluster]:
    """Return a paper's example: a node with a GPU of its own kind for each processor, so that rates state the times."""
    parents: dict[int, list[int]] = {task["task"]: [] for task in case["computation"]}
    sent: dict[int, list[float]] = {number: [] for number in parents}
    for edge in case["edges"]:
        parents[edge["target"]].append(edge["source"])
        sent[edge["target"]].append(edge["transfer_time_if_on_different_processors"])
    kinds = tuple(f"p{number}" for number in range(1, case["processors"] + 1))
    times = {f"t{task['task']}": task["time_on_processor"] for task in case["computation"]}
    jobs = sim.Workload.from_columns(
        task_id=list(parents),
        arrival_time=np.zeros(len(parents)),
        runtime=[statistics.mean(seconds) for seconds in times.values()],
        size=np.ones(len(parents)),
        gpus=np.ones(len(parents)),
        group=list(times),
        dependencies=list(parents.values()),
        dependency_mb=list(sent.values()),
        throughputs=Throughputs(kinds, {(name, 1): tuple(1 / one for one in row) for name, row in times.items()}),
    )
    nodes = tuple(sim.NodeGroup(kind, count=1, cores=1, gpus=1, gpu_type=kind) for kind in kinds)
    return jobs, sim.Cluster("processors", nodes, network=Network(bandwidth_mb_per_second=1.0))


def workflows(shared: Path) -> list[Row]:
    """Play the examples of HEFT's and PEFT's papers."""
    rows = []
    for name, policy, published in (
        ("topcuoglu2002", "heft(plan=insertion)", 80.0),
        ("arabnejad_barbosa2014", "heft(plan=insertion)", 133.0),
        ("arabnejad_barbosa2014", "peft(plan=insertion)", 122.0),
    ):
        case = json.loads((shared / f"oracles/workflows/{name}.json").read_text())
        here = sim.play(*workflow_of(case), policy).figure("makespan")
        rows.append(Row(case["name"], policy, published, here, EXACT))
    return rows


FGD = {
    "fgd(gain=percent)": (95.2, 0.01),
    "fgd": (95.2, None),
    "weighted_fit": (92.9, 0.01),
    "random": (86.3, 0.015),
}
"""Of their FGD, FGD, BestFit and Random, the mean at 100 % of the GPUs asked for, in per cent."""


def fragmentation(shared: Path) -> list[Row]:
    """Fill the GPU nodes of openb until as many GPUs were asked for as there are, ten times."""
    cluster = gpu_nodes(in_order(shared / "traces/openb_node_list_all_node.csv"))
    pods = read_trace(shared / "traces/openb_pod_list_default.csv", format="openb").workload
    inflated = [inflate(pods, cluster, 1.0, seed) for seed in range(10)]
    return [
        Row(
            "default list, ten seeds",
            placement,
            theirs,
            100 * statistics.median(allocation_ratio(one, cluster, placement, n) for n, one in enumerate(inflated)),
            tolerance,
        )
        for placement, (theirs, tolerance) in FGD.items()
    ]


TABLES: Mapping[str, Table] = {
    "easy": Table(
        "Gaussier, Glesser, Reis & Trystram, SC 2015 (EASY++: Tsafrir, Etsion & Feitelson, TPDS 2007)",
        "KTH-SP2-sc15.swf.gz, 28,481 jobs on 100 processors",
        "mean bounded slowdown",
        "Their program passes over the queue after each single event, ours once an instant.",
        easy,
    ),
    "rlscheduler": Table(
        "Zhang, Dai, He, Bao & Xie (RLScheduler), SC 2020, Table V, Lublin-1",
        "lublin_256.swf, ten sequences of 1,024 jobs, where their generator begins them (seed 1)",
        "mean bounded slowdown",
        "Nothing: their rule is played, a chosen job blocks the queue, and waits are taken from -1 on as their program "
        "does, which turns WFP3 and UNICEP upside down.",
        rlscheduler,
    ),
    "rlscheduler-anew": Table(
        "the same",
        "the same sequences",
        "mean bounded slowdown",
        "The policies here choose again at every event and take waits as they are; with backfilling EASY fills in the "
        "policy's own order, theirs in order of arrival.",
        chosen_anew,
    ),
    "fitted": Table(
        "Carastan-Santos & de Camargo, SC 2017",
        "lublin_256.swf",
        "median of the sequences' mean bounded slowdowns",
        "No figure is compared: the paper's own sequences are not played. Its finding is a direction, that the fitted "
        "scores F1 to F4 are below FCFS, WFP3, UNICEP and SJF on tasks of this model.",
        fitted,
    ),
    "preemption": Table(
        "Zhao et al. (Muri), SIGCOMM 2022, whose simulator is that of Gu et al. (Tiresias), NSDI 2019",
        "their trace 3, 992 jobs on 8 nodes of 8 GPUs",
        "mean job completion time, s",
        "As published, their program takes 4 to 46 s by model off each running job's progress in every interval "
        "between two events; with that set to 0 all is the same.",
        preemption,
    ),
    "rounds": Table(
        "Narayanan et al. (Gavel), OSDI 2020: what their simulator gives",
        "three draws of 60 jobs from their table of rates, on 4 v100, 4 p100, 4 k80",
        "mean job completion time, s",
        "Policies that solve a programme hang on ties, which solvers break differently.",
        rounds,
    ),
    "fragmentation": Table(
        "Weng et al. (FGD), USENIX ATC 2023",
        "openb_pod_list_default.csv on the 1,213 nodes with GPUs",
        "GPU allocation ratio, %",
        "`fgd` compares gains exactly; their program rounds them to whole per cent, as `fgd(gain=percent)` does. Pods "
        "come in other random orders.",
        fragmentation,
    ),
    "workflows": Table(
        "Topcuoglu, Hariri & Wu (HEFT), TPDS 13(3), 2002, and Arabnejad & Barbosa (PEFT), TPDS 25(3), 2014",
        "the ten tasks of each paper on three processors",
        "makespan",
        "Nothing differs: every start is theirs.",
        workflows,
    ),
}


def lines_of(rows: Sequence[Row]) -> list[str]:
    """Return rows as lines of a Markdown table, without its head."""
    lines = []
    for row in rows:
        known = not np.isnan(row.published)
        published, difference = (f"{row.published:,.2f}", f"{100 * row.difference:+.2f} %") if known else ("-", "-")
        kept = "rules differ" if known else "-"
        allowed = kept if row.tolerance is None else f"{100 * row.tolerance:.6f}".rstrip("0").rstrip(".") + " %"
        lines.append(f"| {row.case} | `{row.policy}` | {published} | {row.here:,.2f} | {difference} | {allowed} |")
    return lines


def main() -> int:
    """Print the tables and return 1 where a row is outside of its tolerance."""
    parser = described(__doc__)
    parser.add_argument("shared", type=Path, help="the folder with traces and oracles")
    parser.add_argument("--only", default=",".join(TABLES), help="comma-separated, default %(default)s")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    if unknown := [name for name in names if name not in TABLES]:
        parser.error(f"no table is called {unknown[0]!r}; there are {', '.join(TABLES)}")
    outside = False
    for name in names:
        table = TABLES[name]
        rows = table.play(arguments.shared)
        print(f"## {name}\n\n{table.source}. Played: {table.trace}. {table.differs}\n")
        print(
            f"| case | policy | published, {table.figure} | here | difference | tolerance |\n|---|---|---|---|---|---|"
        )
        print("\n".join(lines_of(rows)), flush=True)
        print()
        outside |= any(row.outside for row in rows)
    return int(outside)


if __name__ == "__main__":
    sys.exit(main())
