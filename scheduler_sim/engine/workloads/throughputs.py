"""Rates of job types on kinds of GPU as measured: not every job gains as much as another from a newer GPU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from scheduler_sim.engine.errors import InvalidWorkload
from scheduler_sim.engine.workloads.columns import FloatArray, Labels


@dataclass(frozen=True)
class Throughputs:
    """Units of work a second of a whole job, by its type, the GPUs that it holds, and their kind.

    Attributes:
        kinds: of GPU, as clusters call them.
        rates: by (job type, GPUs), a rate for each kind; 0 where such a job cannot run.
        pairs: by two job types, in the order of their names, the rates of both while two jobs of one GPU share one, for
            each kind; 0 where they cannot.
    """

    kinds: tuple[str, ...]
    rates: Mapping[tuple[str, int], tuple[float, ...]]
    pairs: Mapping[tuple[str, str], tuple[tuple[float, float], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.kinds)) < len(self.kinds) or not self.kinds:
            raise InvalidWorkload("Throughputs are of no kind of GPU, or name one twice.")
        for (name, gpus), rates in self.rates.items():
            if len(rates) != len(self.kinds):
                raise InvalidWorkload(f"Throughputs of {name} on {gpus} GPUs: {len(rates)} rates, not one a kind.")
            if not all(np.isfinite(rate) and rate >= 0 for rate in rates) or not any(rates):
                raise InvalidWorkload(f"Throughputs of {name} on {gpus} GPUs are not finite, negative or all 0.")
        for (one, other), both in self.pairs.items():
            if one > other or len(both) != len(self.kinds):
                raise InvalidWorkload(f"Throughputs of {one} beside {other} are not a pair of rates a kind.")
            if not all(np.isfinite(rate) and rate >= 0 for pair in both for rate in pair):
                raise InvalidWorkload(f"Throughputs of {one} beside {other} are not finite, or negative.")

    def of(self, group: Labels, gpus: FloatArray) -> FloatArray:
        """Return the rates of tasks by their type, which is their group, shape (n, kinds); NaN where there is none."""
        names, found = group.names, np.full((len(gpus), len(self.kinds)), np.nan)
        for code, count in {*zip(group.codes.tolist(), gpus.tolist(), strict=True)}:
            rates = self.rates.get((names[code], int(count)))
            if rates is not None:
                found[(group.codes == code) & (gpus == count)] = rates
        return found

    def beside(self, names: Sequence[str]) -> FloatArray:
        """Return the rate of a job of each type beside one of each other on one GPU, shape (t, t, kinds)."""
        place = {name: number for number, name in enumerate(names)}
        found = np.zeros((len(names), len(names), len(self.kinds)))
        for (one, other), both in self.pairs.items():
            if one in place and other in place:
                found[place[one], place[other]], found[place[other], place[one]] = np.transpose(both)
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the description that `from_json` takes back."""
        rows = [[name, gpus, *rates] for (name, gpus), rates in sorted(self.rates.items())]
        described: dict[str, Any] = {"kinds": list(self.kinds), "rates": rows}
        if self.pairs:
            described["pairs"] = [[*names, *np.ravel(both).tolist()] for names, both in sorted(self.pairs.items())]
        return described

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Build throughputs from a description such as `as_json` gives.

        Raises:
            InvalidWorkload: anything else.
        """
        try:
            rates = {(str(name), int(gpus)): tuple(map(float, row)) for name, gpus, *row in document["rates"]}
            pairs = {
                (str(one), str(other)): tuple(zip(map(float, row[::2]), map(float, row[1::2]), strict=True))
                for one, other, *row in document.get("pairs", ())
            }
            return cls(tuple(map(str, document["kinds"])), rates, pairs)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            if isinstance(error, InvalidWorkload):
                raise
            raise InvalidWorkload("Throughputs are not described by kinds and rows of type, GPUs and rates.") from error
