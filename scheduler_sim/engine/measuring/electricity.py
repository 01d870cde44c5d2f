"""Carbon and price of the electricity that tasks and idle devices took: energy weighed by series over time, exactly.

Devices draw what stays the same between two events, and a series stays what it is between two time stamps, so that each
figure is a sum of products. The PUE's series, where there is one, raises energy to what the whole site takes.
"""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.measuring.usage import Usage
from scheduler_sim.engine.series import GRAMS_PER_KG, JOULES_PER_KWH, Signals, StepSeries, by_window, cut
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.workloads.columns import Rows
from scheduler_sim.engine.workloads.workload import FloatArray

_PER_JOULE = {"carbon": 1 / (JOULES_PER_KWH * GRAMS_PER_KG), "price": 1 / JOULES_PER_KWH}
"""What a joule makes of one unit of a series: kg of one g/kWh, USD of one USD/kWh."""


@dataclass(frozen=True, eq=False)
class Electricity:
    """What the electricity of a schedule came to in each of k windows, shape (k,) each; NaN where that is not known.

    Attributes:
        carbon_kg, electricity_usd: of what tasks kept busy.
        idle_carbon_kg, idle_electricity_usd: of all other devices.
        over_cap_time: seconds in which devices drew more than the cap, without what the PUE adds.
    """

    carbon_kg: FloatArray
    idle_carbon_kg: FloatArray
    electricity_usd: FloatArray
    idle_electricity_usd: FloatArray
    over_cap_time: FloatArray

    @classmethod
    def of(cls, usage: Usage, signals: Signals | None, edges: FloatArray) -> "Electricity":
        """Compute the figures of all windows.

        Args:
            edges: shape (k + 1,), ascending window limits on the workload's clock.
        """
        unknown = np.full(len(edges) - 1, np.nan)
        if signals is None or not usage.states_watts:
            return cls(unknown, unknown, unknown, unknown, unknown)
        found: list[FloatArray] = []
        for kind in ("carbon", "price"):
            factors = signals.factors(kind)
            cuts = cut(edges, factors) if factors else edges
            for joules in (usage.energy_joules, usage.idle_energy_joules):
                if not factors:
                    found.append(unknown)
                elif len(cuts) == 1:
                    # Nothing has ended yet.
                    found.append(np.zeros_like(unknown))
                else:
                    found.append(by_window(joules(cuts), cuts, factors, edges) * _PER_JOULE[kind])
        cap = signals.get("power_cap")
        carbon, idle_carbon, price, idle_price = found
        return cls(carbon, idle_carbon, price, idle_price, unknown if cap is None else _over_cap(usage, cap, edges))


def task_electricity(simulation: Simulation, kind: str, rows: Rows) -> FloatArray:
    """Return the kg of carbon (`carbon`) or the USD of electricity (`price`) of finished tasks `rows`.

    Of a task with several attempts it is the sum over them. NaN where it is not known. Shape (m,).
    """
    signals = simulation.signals
    factors = signals.factors(kind) if signals is not None else ()
    asked = simulation.workload.cpus[rows]
    if not factors or not simulation.cluster.states_watts or not len(asked):
        return np.full(len(asked), np.nan)
    usage, row = Usage.of(simulation), simulation.spans().row
    ends = np.maximum(usage.core_end, usage.gpu_end)
    begin, end = float(usage.start.min()), float(np.nanmax(ends))
    each = usage.cores_held * usage.core_watts * _weights(factors, begin, end, usage.core_start, usage.core_end)
    each = each + usage.gpus_held * usage.gpu_watts * _weights(factors, begin, end, usage.start, usage.gpu_end)
    of_all: FloatArray = np.bincount(row, each, minlength=len(simulation.workload)).astype(np.float64)
    return of_all[rows] * _PER_JOULE[kind]


def span_electricity(
    signals: Signals, kind: str, watts: FloatArray, start: FloatArray, finish: FloatArray
) -> FloatArray:
    """Return the kg of carbon (`carbon`) or the USD (`price`) of spans in which devices draw the same all the time.

    Args:
        watts, start, finish: shape (m,), seconds on the clock of the series; NaN where it is not known, shape (m,).
    """
    factors = signals.factors(kind)
    if not factors or not len(watts):
        return np.full(len(watts), np.nan)
    weights = _weights(factors, float(start.min()), float(finish.max()), start, finish)
    return watts * weights * _PER_JOULE[kind]


def _weights(
    factors: tuple[StepSeries, ...], begin: float, end: float, start: FloatArray, finish: FloatArray
) -> FloatArray:
    """Return the integral of the product of series over each span from `begin` to `end`, NaN where it is not known."""
    for one in factors:
        begin, end = one.known_between(begin, end)
    if not begin < end:
        # They have no time together: only a span of no length takes nothing for sure.
        return np.where(finish <= start, 0.0, np.nan)
    joined = factors[0]
    for other in factors[1:]:
        joined = joined.times_of(other, begin, end)
    return joined.integral(start, finish)


def _over_cap(usage: Usage, cap: StepSeries, edges: FloatArray) -> FloatArray:
    """Return for how many seconds of each window the devices drew more than the cap."""
    begin, end = edges[0], edges[-1]
    cores = usage.cores_held * (usage.core_watts - usage.core_idle_watts)
    gpus = usage.gpus_held * (usage.gpu_watts - usage.gpu_idle_watts)
    times = np.concatenate((usage.core_start, usage.core_end, usage.start, usage.gpu_end))
    steps = np.concatenate((cores, -cores, gpus, -gpus))
    if usage.rest is not None:
        times, steps = (np.concatenate(both) for both in zip((times, steps), usage.rest.steps(), strict=True))
    cuts = np.unique(np.concatenate((times[(times > begin) & (times < end)], cut(edges, (cap,)))))
    # A step at a time counts in the piece that begins there; those before the first window in all of its pieces.
    piece = np.clip(np.searchsorted(cuts, times, side="right") - 1, 0, len(cuts) - 1)
    drawn = usage.idle_watts + np.cumsum(np.bincount(piece, steps, minlength=len(cuts)))[:-1]
    allowed = cap.at(cuts[:-1])
    # Sums of many watts end a rounding above or below what they would be.
    over = drawn > allowed * (1 + 1e-12)
    length = np.where(np.isnan(allowed), np.nan, np.where(over, np.diff(cuts), 0.0))
    return by_window(length, cuts, (), edges)
