"""A power cap that starts of tasks keep: what devices draw, and the steps of the cap, in whole millionths of a watt.

Whole numbers add up the same in any order, so that whether a task may start never hangs on a rounding.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.demand import demands
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.series import StepSeries
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload

MICRO = 1_000_000
"""Parts of a watt."""

NO_CAP = 2**62
"""What no cluster draws; a series that allows more caps nothing."""


def busy_power(cluster: Cluster, device: str) -> IntArray:
    """Return what a thousandth of a device draws more when it is busy than when it is idle, shape (groups,).

    Args:
        device: `cpu` or `gpu`.
    """
    more = cluster.of_groups(f"{device}_busy_watts") - cluster.of_groups(f"{device}_idle_watts")
    return np.round(more * (MICRO // 1000)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class PowerCap:
    """A cap over time.

    Attributes:
        times: when each of n steps begins, shape (n,).
        power: what may be drawn in it, shape (n,).
        span: after which the steps begin again, 0 for never.
        step: number of a step that begins no later than the first event; from n on, and below 0, they are those of
            further rounds.
    """

    times: FloatArray
    power: IntArray
    span: float
    step: int

    @classmethod
    def of(cls, series: StepSeries, cluster: Cluster, workload: Workload) -> Self:
        """Return the cap by a series, which caps nothing where it says nothing.

        Raises:
            InvalidPolicy: the cluster states no watts; a task would draw more than the cap allows in the end, or ever
                where it repeats.
        """
        if not cluster.states_watts:
            raise InvalidPolicy(f"{cluster.name} states no watts, so that no start can keep a power cap.")
        times = series.times
        power = np.minimum(np.floor(series.values * MICRO + 0.5), NO_CAP).astype(np.int64)
        if series.beyond == "repeat":
            first = workload.arrival_time[0] if len(workload) else 0.0
            rounds = int(np.floor((first - series.begin) / series.span))
            found = cls(times, power, series.span, rounds * len(times) - 1)
            allowed = int(power.max())
        elif series.beyond == "hold":
            found = cls(np.append(-np.inf, times[1:]), power, 0.0, 0)
            allowed = int(power[-1])
        else:
            steps = np.concatenate(([-np.inf], times, [series.end]))
            return cls(steps, np.concatenate(([NO_CAP], power, [NO_CAP])), 0.0, 0)
        # The pieces of a gang are rounded up one by one, and may be more together than the task asks for.
        asked = demands(workload, cluster)
        cpu = np.maximum(asked.cpu, asked.full_nodes * asked.full_cpu + asked.last_cpu)
        gpu = np.maximum(asked.gpu, asked.full_nodes * asked.full_gpus * 1000 + asked.last_gpu)
        # Where the cap chooses among steps of frequency, at the one that draws least.
        levels = cluster.steps_down
        busy = [[max(int(busy_power(one, device).max()), 0) for device in ("cpu", "gpu")] for one in levels]
        least = np.min([cpu * cores + gpu * gpus for cores, gpus in busy], axis=0)
        drawn = least + round(cluster.idle_watts * MICRO)
        over = np.flatnonzero(drawn > allowed)
        if len(over):
            row = int(over[0])
            raise InvalidPolicy(
                f"{len(over)} tasks might wait for power for ever: task {workload.task_id[row]} makes the cluster draw "
                f"{drawn[row] / MICRO:,.6g} W, and the cap allows {allowed / MICRO:,.6g} W "
                f"{'at most' if series.beyond == 'repeat' else 'in the end'}."
            )
        return found
