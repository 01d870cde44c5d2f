"""Over which widths tasks may be played, and how fast they are on each."""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.contract import Options
from scheduler_sim.engine.errors import InvalidWorkload
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.speedups import ELASTICITIES, read_speedup
from scheduler_sim.engine.workloads.workload import Workload

RIGID, MOLDABLE, MALLEABLE = range(len(ELASTICITIES))


def counts_gpus(workload: Workload) -> bool:
    """Return whether what policies that change widths share out are GPUs: where a task asks for some; else cores."""
    return bool(workload.gpus.any())


@dataclass(frozen=True, eq=False)
class Elasticity:
    """Widths of n tasks in devices: GPUs where they ask for some, else processors; shape (n,) each.

    Attributes:
        kind: a place of `speedups.ELASTICITIES`.
        least, asked, most: widths.
        overhead: seconds that each attempt after the first holds devices without progress, as tasks state it; NaN
            where they do not.
        overheads: seconds of those that do not, by the devices that the attempt holds, from 0 to the widest.
        curve: where the task's rates begin in `rates`; rates[curve + w] is the work that it does in a second on w
            devices beside that on what it asks for: 1 there, 0 where it cannot run.
        rates: of all curves, one after the other.
    """

    kind: IntArray
    least: IntArray
    asked: IntArray
    most: IntArray
    overhead: FloatArray
    overheads: FloatArray
    curve: IntArray
    rates: FloatArray

    @classmethod
    def of(
        cls,
        workload: Workload,
        *,
        devices: IntArray | int,
        per_node: int,
        options: Options | None = None,
        largest_node: int | None = None,
    ) -> "Elasticity":
        """Read them off what tasks ask for; a task that says nothing is rigid.

        Args:
            devices: of the cluster, or those that each task may use; nothing grows wider. per_node: of each node.
            options: say what a change of width costs tasks that do not.
            largest_node: devices of the nodes on which a task's run time is meant, where those here are smaller.

        Raises:
            InvalidWorkload: a task whose speed-up gives no speed on what it asks for.
        """
        stated = workload.requests or Requests.blank(len(workload))
        # Who holds a part of a device is on one.
        asked = np.maximum(np.where(workload.gpus > 0, workload.gpus, workload.cpus).astype(np.int64), 1)
        known = np.array([ELASTICITIES.index(name or "rigid") for name in stated.elasticity.names], np.int64)
        kind = known[stated.elasticity.codes]
        bends = kind != RIGID
        least = np.where(bends, np.minimum(np.maximum(stated.least_width, 1), asked), asked)
        most = np.where(bends, np.maximum(np.minimum(stated.most_width, devices), asked), asked)
        overhead = np.where(stated.resize_time > 0, stated.resize_time, np.nan)
        held = np.arange(int(most.max(initial=0)) + 1, dtype=np.float64)
        # Tasks of one model and width share a curve.
        model = np.where(bends, stated.speedup.codes, -1)
        shapes, member = np.unique(np.column_stack([model, asked]), axis=0, return_inverse=True)
        member = member.reshape(-1)
        widest = np.zeros(len(shapes), np.int64)
        np.maximum.at(widest, member, most)
        curves, lowest, highest = [], [], []
        for (code, width), longest in zip(shapes.tolist(), widest.tolist(), strict=True):
            text = "" if code < 0 else stated.speedup.names[code]
            speedup = read_speedup(text)
            speeds = speedup(np.arange(1.0, longest + 1.0), per_node)
            beside = speeds[width - 1]
            if largest_node is not None and largest_node != per_node:
                beside = speedup(np.array([float(width)]), largest_node)[0]
            if not min(speeds[width - 1], beside) > 0:
                raise InvalidWorkload(f"The speed-up {text} gives no speed on {width} devices, which a task asks for.")
            # Between the nearest widths without a speed on either side of what it asks for.
            below, above = np.flatnonzero(~(speeds[:width] > 0)), np.flatnonzero(~(speeds[width:] > 0))
            lowest.append(int(below[-1]) + 2 if len(below) else 1)
            highest.append(width + int(above[0]) if len(above) else len(speeds))
            curves.append(np.concatenate([[0.0], speeds / beside]))
        if curves:
            least = np.maximum(least, np.array(lowest)[member])
            most = np.minimum(most, np.array(highest)[member])
        firsts = np.concatenate([[0], np.cumsum(widest + 1)])[:-1]
        return cls(
            kind=kind,
            least=least,
            asked=asked,
            most=most,
            overhead=overhead,
            overheads=(options or Options()).restart_overhead.seconds(held),
            curve=firsts[member].astype(np.int64) if len(shapes) else member,
            rates=np.concatenate(curves) if curves else np.zeros(1),
        )

    def of_task(self, row: int) -> FloatArray:
        """Return the rates of one task from width 0 to its most."""
        first = int(self.curve[row])
        return self.rates[first : first + int(self.most[row]) + 1]

    def change_cost(self, row: int, widths: IntArray) -> FloatArray:
        """Return the seconds without progress of an attempt of a task on `widths` that is not its first."""
        stated = self.overhead[row]
        found: FloatArray = self.overheads[widths] if np.isnan(stated) else np.full(len(widths), stated)
        return found

    def highest_rates(self) -> FloatArray:
        """Return the highest rate of each task over its widths, shape (n,)."""
        return np.array(
            [self.of_task(row)[least:].max() for row, least in enumerate(self.least.tolist())], np.float64
        ).reshape(-1)

    def least_areas(self) -> FloatArray:
        """Return the fewest device-seconds in which each task does a second's worth of its run time, shape (n,)."""
        found = np.zeros(len(self.kind))
        for row, least in enumerate(self.least.tolist()):
            rates = self.of_task(row)[least:]
            widths = np.arange(least, least + len(rates))
            found[row] = np.divide(widths, rates, out=np.full(len(rates), np.inf), where=rates > 0).min()
        return found
