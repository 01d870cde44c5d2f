"""What an episode is judged by."""

from scheduler_sim.engine.formulas import bounded_slowdown_compiled
from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workloads.workload import FloatArray

FIGURES = ("mean_bounded_slowdown", "mean_completion_time", "mean_wait_time")
"""Columns of the figures of an episode; the last two are seconds."""


@bare_kernel
def tell_figures(
    arrival: FloatArray, start: FloatArray, finish: FloatArray, duration: FloatArray, figures: FloatArray
) -> None:
    """Write the `FIGURES` of tasks that have all started for the last time, shape (n,) each."""
    count = len(arrival)
    slowdown, completion, wait = 0.0, 0.0, 0.0
    for i in range(count):
        slowdown += bounded_slowdown_compiled(finish[i] - arrival[i], duration[i])
        completion += finish[i] - arrival[i]
        wait += start[i] - arrival[i]
    figures[0], figures[1], figures[2] = slowdown / count, completion / count, wait / count
