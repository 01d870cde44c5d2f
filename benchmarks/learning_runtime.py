"""Predicted run times on one trace: their errors, and what they do to a policy that uses them.

    python -m benchmarks.learning_runtime TRACE --processors N

The first 80% of the trace is learned from. The whole trace is then played, the last 20% made denser if asked for, and
figures are those of the last 20%: the mean error in seconds and in factors (the mean absolute difference of logarithms)
and the mean bounded slowdown. `predicted` is told to each policy at each arrival, from what had finished in that very
run; `past as recorded` are the same model's predictions with the ends that the log holds for a past, which no scheduler
of another schedule could know.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.project import described
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import pool
from scheduler_sim.engine.measuring.metrics import TaskFigures
from scheduler_sim.engine.predictors.runtime import RuntimeModel, fit_runtime, predict_runtime
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.workloads.estimates import told_to_all
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

LEARNED_FROM = 0.8


def errors(estimate: FloatArray, late: Workload) -> str:
    """Return the mean error of estimates in seconds and of their logarithms."""
    error = np.abs(estimate - late.runtime).mean()
    return f"error {error:9.1f} s, log error {np.abs(np.log1p(estimate) - np.log1p(late.runtime)).mean():5.3f}"


def main() -> None:
    """Fit, play and print."""
    parser = described(__doc__)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--processors", type=int, required=True)
    parser.add_argument("--denser", type=float, default=1.0, help="the last arrivals so many times as dense")
    parser.add_argument("--policies", default="fcfs+easy,sjf+easy,saf+easy")
    parser.add_argument("--forget", type=float, default=0.0, help="the share of stated estimates to take away first")
    options = parser.parse_args()
    workload = read_trace(options.trace).workload
    if options.forget:
        workload = without_estimates(workload, options.forget)
    split = int(LEARNED_FROM * len(workload))
    text = fit_runtime(workload, split, seed=0)
    arrival, first = workload.arrival_time, workload.arrival_time[split]
    played = replace(
        workload, arrival_time=np.where(arrival > first, first + (arrival - first) / options.denser, arrival)
    )
    late = workload.take(np.arange(split, len(workload)))
    stated = int(late.estimate_known.sum())
    print(f"{len(late)} later tasks of {options.trace.name}; {stated} state an estimate")
    told: dict[str, FloatArray | None] = {
        "predicted": None,
        "past as recorded": predict_runtime(text, workload),
        "the median": np.full(len(workload), np.median(workload.runtime[:split])),
        "exact": workload.runtime,
    }
    if stated:
        told = {"as stated": workload.duration_estimate, **told}
    for name, estimates in told.items():
        shown = []
        for policy in engine.parse_policies(options.policies):
            simulation = engine.Simulation(
                workload=played if estimates is None else told_to_all(played, estimates),
                cluster=pool(options.processors),
                policy=policy,
                predictor=RuntimeModel.parse(text) if estimates is None else None,
            )
            simulation.advance()
            slowdown = TaskFigures.of(played, simulation.outcome()).bounded_slowdown[split:].mean()
            own = f" ({errors(simulation.workload.duration_estimate[split:], late)})" if estimates is None else ""
            shown.append(f"{policy.name} {slowdown:.2f}{own}")
        about = "" if estimates is None else f"{errors(estimates[split:], late)}; "
        print(f"  {name:16s} {about}bounded slowdown {', '.join(shown)}")


def without_estimates(workload: Workload, share: float) -> Workload:
    """Return the workload with the estimates of a random share of its tasks unknown."""
    known = np.random.default_rng(0).random(len(workload)) >= share
    largest = workload.duration_estimate[known].max(initial=0.0)
    return replace(
        workload,
        estimate_known=workload.estimate_known & known,
        duration_estimate=np.where(known, workload.duration_estimate, largest),
    )


if __name__ == "__main__":
    main()
