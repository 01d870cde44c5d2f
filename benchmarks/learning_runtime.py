"""Predicted run times on one trace: their errors, and what they do to a policy that uses them.

    python -m benchmarks.learning_runtime TRACE --processors N

The first 80% of the trace is learned from; errors are those of the rest, in seconds and in factors (the mean absolute
difference of logarithms). The rest is then played, its arrivals made denser if asked for, with the trace's own
estimates, the predicted ones and the true ones.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from scheduler_sim import engine
from scheduler_sim.engine.metrics import TaskFigures
from scheduler_sim.engine.predictors.runtime import fit_runtime, predict_runtime
from scheduler_sim.engine.presets import pool
from scheduler_sim.engine.traces import read_trace


def main() -> None:
    """Fit, play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--processors", type=int, required=True)
    parser.add_argument("--denser", type=float, default=1.0, help="arrivals so many times as dense in what is played")
    parser.add_argument("--policies", default="fcfs+easy,sjf+easy,saf+easy")
    options = parser.parse_args()
    workload = read_trace(options.trace).workload
    split = int(0.8 * len(workload))
    predicted = predict_runtime(fit_runtime(workload, split, seed=0), workload)
    late = workload.take(np.arange(split, len(workload)))
    first = late.arrival_time[0]
    played = replace(late, arrival_time=first + (late.arrival_time - first) / options.denser)
    told = {
        "the trace's": late.duration_estimate,
        "predicted": predicted[split:],
        "median": np.full(len(late), np.median(workload.runtime[:split])),
        "exact": late.runtime,
    }
    print(f"{len(late)} later tasks of {options.trace.name}")
    for name, estimates in told.items():
        error = np.abs(estimates - late.runtime).mean()
        factor = np.abs(np.log1p(estimates) - np.log1p(late.runtime)).mean()
        slowdowns = []
        for policy in engine.parse_policies(options.policies):
            simulation = engine.Simulation(
                workload=replace(played, duration_estimate=estimates), cluster=pool(options.processors), policy=policy
            )
            simulation.advance()
            mean = TaskFigures.of(played, simulation.outcome()).bounded_slowdown.mean()
            slowdowns.append(f"{policy.name} {mean:.2f}")
        print(f"  {name:12s} error {error:9.1f} s, log error {factor:5.2f}; bounded slowdown {', '.join(slowdowns)}")


if __name__ == "__main__":
    main()
