"""What policies are told about durations: exact, as in the trace, or wrong in a controlled way.

Backfilling plans with estimates, so its results depend on how wrong they are (Mu'alem and Feitelson,
"Utilization, predictability, workloads, and user runtime estimates in scheduling the IBM SP2 with
backfilling", IEEE TPDS 12(6), 2001).
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.workloads.estimate_model import LONGEST_LIMIT, SHORTEST_LIMIT, draw_estimates
from scheduler_sim.engine.workloads.workload import LARGEST_INTEGER, FloatArray, Workload

KINDS = {
    "exact": "the true run time",
    "trace": "what the trace holds",
    "factor:F": "F times the true run time",
    "uniform:F": "the true run time times a number drawn uniformly from 1 to F for each task",
    "tsafrir": "few round values, as users state them, up to the longest run time; tsafrir:S up to S seconds",
}
"""Every form of `--estimates` and what it means."""

_WITH_FACTOR = ("factor", "uniform")
_MODEL = "tsafrir"
_DIGITS = 6


@dataclass(frozen=True)
class Estimates:
    """A parsed `--estimates` text.

    Attributes:
        kind: `exact`, `trace`, `factor`, `uniform` or `tsafrir`.
        factor: of `factor` and `uniform`, at least 1 for `uniform` and above 0 for `factor`.
        longest: of `tsafrir`, the longest estimate in whole seconds; None for what the run times need.
    """

    kind: str = "trace"
    factor: float = 1.0
    longest: int | None = None

    @property
    def drawn(self) -> bool:
        """True where the estimates are drawn at random, of all tasks together."""
        return self.kind == _MODEL or (self.kind == "uniform" and self.factor != 1.0)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `exact`, `trace`, `factor:F`, `uniform:F`, `tsafrir` or `tsafrir:S`.

        Raises:
            InvalidParameter: anything else, or a factor that is out of range.
        """
        kind, colon, number = text.strip().partition(":")
        if (kind in ("exact", "trace") and not colon) or (kind in _WITH_FACTOR and colon):
            return cls(kind, _factor(kind, number) if colon else 1.0)
        if kind == _MODEL:
            return cls(kind, longest=_longest(number) if colon else None)
        if kind in _WITH_FACTOR:
            raise InvalidParameter(f"Estimates {kind} need a factor, as in {kind}:2.")
        forms = ", ".join(KINDS)
        raise InvalidParameter(f"There are no estimates called {text!r}. Valid forms: {forms}.")

    def __str__(self) -> str:
        if self.longest is not None:
            return f"{self.kind}:{self.longest}"
        return f"{self.kind}:{self.factor:g}" if self.kind in _WITH_FACTOR else self.kind


def replace_estimates(workload: Workload, estimates: str | Estimates, generator: np.random.Generator) -> Workload:
    """Return the workload with other values in `duration_estimate`, which then are known of every task.

    - `exact`: the run time.
    - `trace`: unchanged, and unknown where the trace states none.
    - `factor:F`: F * run time. F below 1 gives estimates that are too short.
    - `uniform:F`: u * run time with u drawn uniformly from [1, F], one draw a task in canonical order. It is
      the f-model of Mu'alem and Feitelson, whose f is F - 1: they draw the estimate uniformly between the
      run time and (f + 1) times the run time.
    - `tsafrir`: drawn by `estimate_model.draw_estimates`, never below the run time.

    Estimates that are not the run time itself are rounded to the microsecond, those of `uniform` never below
    the run time.

    Raises:
        InvalidParameter: a text that `Estimates.parse` refuses, estimates beyond 2**53 seconds, or a run time above
            the longest estimate.
    """
    chosen = Estimates.parse(estimates) if isinstance(estimates, str) else estimates
    if chosen.kind == "trace":
        return workload
    if chosen.kind == _MODEL:
        return told_to_all(workload, draw_estimates(workload.runtime, chosen.longest, generator))
    if chosen.factor == 1.0:
        return told_to_all(workload, workload.runtime.copy())
    factors: FloatArray = np.full(len(workload), chosen.factor)
    if chosen.kind == "uniform":
        factors = 1.0 + (chosen.factor - 1.0) * generator.random(len(workload))
    with np.errstate(over="ignore"):
        told: FloatArray = np.round(workload.runtime * factors, _DIGITS)
    if chosen.kind == "uniform":
        told = np.maximum(told, workload.runtime)
    if len(told) and told.max() > LARGEST_INTEGER:
        raise InvalidParameter(f"Estimates {chosen} go beyond 2**53 seconds.")
    return told_to_all(workload, told)


def told_to_all(workload: Workload, estimate: FloatArray) -> Workload:
    """Return the workload with `estimate`, shape (n,), as what policies are told of every task."""
    return replace(workload, duration_estimate=estimate, estimate_known=np.ones(len(workload), bool))


def _factor(kind: str, number: str) -> float:
    try:
        factor = float(number)
    except ValueError:
        raise InvalidParameter(f"The factor of {kind} estimates must be a number, not {number!r}.") from None
    least = "at least 1" if kind == "uniform" else "above 0"
    if not math.isfinite(factor) or factor <= 0 or (kind == "uniform" and factor < 1):
        raise InvalidParameter(f"The factor of {kind} estimates must be finite and {least}, not {number}.")
    return factor


def _longest(number: str) -> int:
    if not (number.isascii() and number.isdecimal() and SHORTEST_LIMIT <= int(number) <= LONGEST_LIMIT):
        raise InvalidParameter(
            f"The longest estimate, as in tsafrir:86400, is {SHORTEST_LIMIT} to {LONGEST_LIMIT} whole seconds, "
            f"not {number!r}."
        )
    return int(number)
