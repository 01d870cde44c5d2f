"""Columns of texts and numbers, a value a task."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

Rows = IntArray | slice
"""Tasks by their rows; all of them are a slice, which copies nothing."""


@dataclass(frozen=True, eq=False)
class Labels:
    """A text column as integer codes into a sorted list of distinct names.

    Attributes:
        codes: shape (n,), int64, an index into `names`.
        names: the distinct texts in ascending order.
    """

    codes: IntArray
    names: tuple[str, ...]

    @classmethod
    def from_texts(cls, texts: Sequence[str] | npt.NDArray[Any]) -> Self:
        """Encode n texts."""
        values = list(map(str, texts))
        names = sorted(set(values))
        places = {name: place for place, name in enumerate(names)}
        return cls(codes=np.fromiter(map(places.__getitem__, values), np.int64, len(values)), names=tuple(names))

    @classmethod
    def blank(cls, length: int) -> Self:
        """Return `length` empty texts."""
        return cls(codes=np.zeros(length, np.int64), names=("",))

    def take(self, rows: IntArray) -> Self:
        """Return the texts of `rows`, in that order."""
        return replace(self, codes=self.codes[rows])

    def texts(self) -> npt.NDArray[np.object_]:
        """Return the n texts as an object array."""
        return np.asarray(self.names, dtype=object)[self.codes]

    def __len__(self) -> int:
        return len(self.codes)
