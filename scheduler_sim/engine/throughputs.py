"""Rates of job types on kinds of GPU as measured: not every job gains as much as another from a newer GPU."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from scheduler_sim.engine.columns import FloatArray, Labels
from scheduler_sim.engine.errors import InvalidWorkload


@dataclass(frozen=True)
class Throughputs:
    """Units of work a second of a whole job, by its type, the GPUs that it holds, and their kind.

    Attributes:
        kinds: of GPU, as clusters call them.
        rates: by (job type, GPUs), a rate for each kind; 0 where such a job cannot run.
    """

    kinds: tuple[str, ...]
    rates: Mapping[tuple[str, int], tuple[float, ...]]

    def __post_init__(self) -> None:
        if len(set(self.kinds)) < len(self.kinds) or not self.kinds:
            raise InvalidWorkload("Throughputs are of no kind of GPU, or name one twice.")
        for (name, gpus), rates in self.rates.items():
            if len(rates) != len(self.kinds):
                raise InvalidWorkload(f"Throughputs of {name} on {gpus} GPUs: {len(rates)} rates, not one a kind.")
            if not all(np.isfinite(rate) and rate >= 0 for rate in rates) or not any(rates):
                raise InvalidWorkload(f"Throughputs of {name} on {gpus} GPUs are not finite, negative or all 0.")

    def of(self, group: Labels, gpus: FloatArray) -> FloatArray:
        """Return the rates of tasks by their type, which is their group, shape (n, kinds); NaN where there is none."""
        names, found = group.names, np.full((len(gpus), len(self.kinds)), np.nan)
        for code, count in {*zip(group.codes.tolist(), gpus.tolist(), strict=True)}:
            rates = self.rates.get((names[code], int(count)))
            if rates is not None:
                found[(group.codes == code) & (gpus == count)] = rates
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the description that `from_json` takes back."""
        rows = [[name, gpus, *rates] for (name, gpus), rates in sorted(self.rates.items())]
        return {"kinds": list(self.kinds), "rates": rows}

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Build throughputs from a description such as `as_json` gives.

        Raises:
            InvalidWorkload: anything else.
        """
        try:
            rates = {(str(name), int(gpus)): tuple(map(float, row)) for name, gpus, *row in document["rates"]}
            return cls(tuple(map(str, document["kinds"])), rates)
        except (TypeError, KeyError, ValueError) as error:
            if isinstance(error, InvalidWorkload):
                raise
            raise InvalidWorkload("Throughputs are not described by kinds and rows of type, GPUs and rates.") from error
