"""A column of texts in little memory: pieces of some thousand rows, of which each holds a text that repeats once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scheduler_sim.engine.workloads.workload import IntArray, Labels

UNKNOWN = frozenset({"", "none", "null", "nan", "na", "n/a", "nat", "unknown", "<na>"})
"""Words that stand for a value that is not known, in any case."""

PIECE_ROWS = 20_000
"""Rows that a reader hands over at once, at most: their codes take two bytes each, or one."""

_MOST_CHARACTERS = 2**29 - 1
"""What certainly fits into Arrow's smaller type of texts, of at most four bytes each."""

_LONGEST_UNKNOWN = max(map(len, UNKNOWN))


class Piece(NamedTuple):
    """Some rows of a column.

    Attributes:
        first: the row number of the first of them.
        codes: shape (rows,), an index into `names`.
        names: the texts, in the order in which they first appear; few may be in it twice.
    """

    first: int
    codes: npt.NDArray[np.integer]
    names: list[str]

    def rows(self) -> Callable[[int], IntArray]:
        """Return a function that gives the row numbers of one text, by its place in `names`, ascending."""
        order = np.argsort(self.codes, kind="stable")
        ends = np.searchsorted(self.codes[order], np.arange(len(self.names) + 1))
        return lambda place: self.first + order[ends[place] : ends[place + 1]]


@dataclass
class Texts:
    """A column of texts without blanks around them, unknown ones empty; built piece by piece."""

    _codes: list[npt.NDArray[np.integer]] = field(default_factory=list)
    _names: list[pa.Array] = field(default_factory=list)
    _length: int = 0

    @classmethod
    def of(cls, values: Sequence[Any]) -> "Texts":
        """Return the column that holds these values as texts; None is unknown."""
        made = cls()
        for first in range(0, len(values), PIECE_ROWS):
            made.extend(values[first : first + PIECE_ROWS])
        return made

    def extend(self, values: Iterable[Any]) -> None:
        """Add rows of any values as texts; None is unknown."""
        places: dict[str, int] = {}
        codes = [places.setdefault("" if value is None else str(value), len(places)) for value in values]
        # A half of a surrogate pair, which JSON may hold, is no text that can be stored.
        self._add(np.array(codes, np.int64), [text.encode("utf-8", "replace").decode() for text in places])

    def append(self, values: Sequence[str]) -> None:
        """Add rows."""
        self.append_arrow(pa.array(values, pa.large_string()))

    def append_arrow(self, values: pa.Array) -> None:
        """Add rows of an Arrow array of texts, or of codes into texts; a null is unknown."""
        if pa.types.is_dictionary(values.type):
            codes = values.indices.cast(pa.int32()).fill_null(len(values.dictionary)).to_numpy()
            # Of names in any order, and perhaps many more than there are rows.
            used, first, places = np.unique(codes, return_index=True, return_inverse=True)
            order = np.argsort(first)
            names = pa.concat_arrays([values.dictionary, pa.nulls(1, values.dictionary.type)]).take(used[order])
            self._add(np.argsort(order)[places], names.to_pylist())
        else:
            encoded = values.fill_null("").dictionary_encode()
            self._add(encoded.indices.to_numpy(), encoded.dictionary.to_pylist())

    def _add(self, codes: npt.NDArray[np.integer], names: Sequence[str | None]) -> None:
        texts = [cleaned(name or "") for name in names]
        kind = pa.string() if sum(map(len, texts)) < _MOST_CHARACTERS else pa.large_string()
        self._codes.append(codes.astype(np.min_scalar_type(len(texts))))
        self._names.append(pa.array(texts, kind))
        self._length += len(codes)

    def __len__(self) -> int:
        return self._length

    def pieces(self) -> Iterator[Piece]:
        """Give the rows, a piece at a time."""
        first = 0
        for codes, names in zip(self._codes, self._names, strict=True):
            yield Piece(first, codes, names.to_pylist())
            first += len(codes)

    def at(self, row: int) -> str:
        """Return one text."""
        piece = next(piece for piece in self.pieces() if row < piece.first + len(piece.codes))
        return piece.names[int(piece.codes[row - piece.first])]

    def map(self, function: Callable[[str], Any], kind: type = np.float64) -> npt.NDArray[Any]:
        """Return what a function makes of each text, as numbers of this type."""
        found: npt.NDArray[Any] = np.empty(len(self), kind)
        for piece in self.pieces():
            made: npt.NDArray[Any] = np.fromiter(map(function, piece.names), kind, len(piece.names))
            found[piece.first : piece.first + len(piece.codes)] = made[piece.codes]
        return found

    def labels(self) -> Labels:
        """Return the texts as codes into their sorted names."""
        places: dict[str, int] = {}
        codes = np.empty(len(self), np.int64)
        for piece in self.pieces():
            own = np.fromiter((places.setdefault(text, len(places)) for text in piece.names), np.int64)
            codes[piece.first : piece.first + len(piece.codes)] = own[piece.codes]
        names = sorted(places)
        sorted_place = np.empty(len(names), np.int64)
        sorted_place[np.fromiter(map(places.__getitem__, names), np.int64, len(names))] = np.arange(len(names))
        return Labels(codes=sorted_place[codes], names=tuple(names))

    def objects(self) -> npt.NDArray[np.object_]:
        """Return the texts as an object array."""
        found = np.empty(len(self), object)
        for piece in self.pieces():
            names = np.empty(len(piece.names), object)
            names[:] = piece.names
            found[piece.first : piece.first + len(piece.codes)] = names[piece.codes]
        return found


def cleaned(text: str) -> str:
    """Return a text without blanks around it, empty where it stands for a value that is not known."""
    text = text.strip()
    return "" if len(text) <= _LONGEST_UNKNOWN and text.lower() in UNKNOWN else text
