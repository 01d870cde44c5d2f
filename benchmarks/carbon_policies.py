"""Carbon against wait: a log of jobs on a pool under a year of carbon intensity, with policies that hold jobs back.

`python -m benchmarks.carbon_policies LOG.swf.gz CARBON.csv.gz` prints a table for the docs. The series begins when the
log's clock does, whatever their years, and is repeated where the log goes on.
"""

import time
from pathlib import Path

import numpy as np

from benchmarks.project import described
from scheduler_sim import engine
from scheduler_sim.engine.clusters.hardware import CORE
from scheduler_sim.engine.clusters.overheads import Overhead
from scheduler_sim.engine.measuring import metrics
from scheduler_sim.engine.policies.delays import LEAST_CARBON, best_span, integrals
from scheduler_sim.engine.series import Signals, StepSeries
from scheduler_sim.engine.series.reading import read_series
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.workloads.estimates import replace_estimates
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

HOUR = 3600.0
HELD = ("carbon_threshold", "lowest_slot", "lowest_window", "carbon_time")
STOPPED = (("wait_awhile", "stops=suspend"), ("carbon_threshold", "stops=suspend"))
"""Orders that also stop tasks, with what lets them."""
RESTART = Overhead.read("300")
GRAMS = 3.6e6
"""Joules x g/kWh that make a gram."""


def main() -> None:
    """Play and print."""
    parser = described(__doc__)
    parser.add_argument("log", type=Path, help="jobs, as importworkload reads them")
    parser.add_argument("carbon", type=Path, help="carbon intensity, as importseries reads it")
    parser.add_argument("--processors", type=int, default=100, help="of the pool (default 100)")
    parser.add_argument("--delay", type=float, default=24.0, help="hours for which a job may be held (default 24)")
    parser.add_argument("--backfill", default="easy", help="behind each policy (default easy)")
    arguments = parser.parse_args()
    workload = read_trace(arguments.log).workload
    workload = workload.take(np.flatnonzero(workload.cpus <= arguments.processors))
    series = read_series(arguments.carbon, kind="carbon").steps
    series = StepSeries(series.times - series.begin, series.values, series.end - series.begin, "repeat")
    delay, backfill = f"delay={arguments.delay:g}", arguments.backfill
    exact = replace_estimates(workload, "exact", np.random.default_rng(0))
    free, costly = engine.Options(), engine.Options(restart_overhead=RESTART)
    rows = [("fcfs", "fcfs", workload, free)]
    rows += [(name, f"{name}({delay})", workload, free) for name in HELD]
    rows += [(f"{name}({more})", f"{name}({delay},{more})", workload, free) for name, more in STOPPED]
    for name in ("lowest_window", "wait_awhile"):
        rows.append((f"{name}(noise=0.2)", f"{name}({delay},noise=0.2)", workload, free))
        rows.append((f"{name}, true run times", f"{name}({delay})", exact, free))
    rows.append((f"wait_awhile, {RESTART} s a restart", f"wait_awhile({delay})", workload, costly))
    print(
        f"{len(workload):,} jobs, {arguments.processors} processors, {backfill}; held back up to {arguments.delay:g} h."
    )
    print(
        "| policy | carbon of jobs, kg | against fcfs | with idle, kg | mean wait, h | p95 wait, h | later, h | "
        "stops | makespan, d |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    base = 0.0
    seconds = []
    wait = 0.0
    for label, order, tasks, options in rows:
        begun = time.process_time()
        row = _played(tasks, f"{order}+{backfill}", series, arguments.processors, options)
        seconds.append(time.process_time() - begun)
        base, wait = base or row["carbon_kg"], wait or row["mean_job_completion_time"]
        print(
            f"| {label} | {row['carbon_kg']:,.1f} | {row['carbon_kg'] / base - 1:+.1%} | "
            f"{row['carbon_kg'] + row['idle_carbon_kg']:,.1f} | {row['mean_wait_time'] / HOUR:,.2f} | "
            f"{row['p95_wait_time'] / HOUR:,.2f} | {(row['mean_job_completion_time'] - wait) / HOUR:,.2f} | "
            f"{row['stops']:,.0f} | {row['makespan'] / 24 / HOUR:,.1f} |"
        )
    at_once, whole, parts = _bounds(workload, series, arguments.delay * HOUR)
    print(
        f"With room for every job and perfect forecasts and run times, starting at once emits {at_once:,.1f} kg, the "
        f"best start within {arguments.delay:g} h {whole:,.1f} kg ({whole / at_once - 1:+.1%}), and running in the "
        f"lowest pieces of the time until then {parts:,.1f} kg ({parts / at_once - 1:+.1%})."
    )
    print(f"{max(seconds):.1f} s of a processor for the slowest policy, compiling included.")


def _played(
    workload: Workload, policy: str, series: StepSeries, processors: int, options: engine.Options
) -> dict[str, float]:
    """Return the figures of one policy, and how often it stopped a task."""
    idle, busy = CORE.idle_watts, CORE.busy_watts
    group = engine.NodeGroup("processors", 1, processors, cpu_idle_watts=idle, cpu_busy_watts=busy)
    pool = engine.Cluster("pool", (group,))
    simulation = engine.Simulation(
        workload, pool, engine.parse_policy(policy), options=options, signals=Signals({"carbon": series})
    )
    simulation.advance()
    edges = np.array(metrics.whole_run(workload, [simulation.outcome()]))
    found = {name: float(value or 0.0) for name, value in metrics.summarise(simulation, edges=edges).row().items()}
    return {**found, "stops": float((simulation.history().attempts - 1).sum())}


def _bounds(workload: Workload, series: StepSeries, delay: float) -> tuple[float, float, float]:
    """Return the kg of all jobs at once, at each one's best start, and in each one's lowest pieces."""
    arrival, runtime = workload.arrival_time, workload.runtime
    steps = series.over(float(arrival.min()), float((arrival + runtime).max()) + delay + 1)
    best = best_span(
        steps.times,
        integrals(steps),
        steps.values,
        steps.end,
        arrival,
        np.full(len(workload), delay),
        runtime,
        LEAST_CARBON,
    )
    watts = workload.cpus * CORE.busy_watts / GRAMS / 1000

    def emitted(start: FloatArray) -> float:
        return float((watts * steps.integral(start, start + runtime)).sum())

    pieces = sum(
        watts[row] * _lowest(steps, arrival[row], arrival[row] + runtime[row] + delay, runtime[row])
        for row in range(len(workload))
    )
    return emitted(arrival), emitted(best), float(pieces)


def _lowest(steps: StepSeries, begin: float, end: float, length: float) -> float:
    """Return the least integral over so many seconds in pieces between two times."""
    times = np.concatenate(([begin], steps.cuts(begin, end), [end]))
    values = steps.at(times[:-1])
    order = np.argsort(values, kind="stable")
    lengths = np.diff(times)[order]
    used = np.clip(length - (np.cumsum(lengths) - lengths), 0.0, lengths)
    return float((used * values[order]).sum())


if __name__ == "__main__":
    main()
