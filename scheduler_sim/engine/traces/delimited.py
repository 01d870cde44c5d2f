"""Delimited text as a table: rows are taken over some thousand at a time, and only columns that are wanted are kept."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.audit import EXAMPLES, Audit
from scheduler_sim.engine.traces.source import Source, refuse_columns, refuse_doubled
from scheduler_sim.engine.traces.table import Table
from scheduler_sim.engine.traces.texts import PIECE_ROWS, Texts

_PIECE_CHARACTERS = 8 * 1024**2
_DELIMITERS = (",", ";", "\t", "|")
_LONG_DELIMITERS = ("^|^", "||", "::")
_SEPARATOR = "\x1f"


class Metered:
    """Lines, and how many characters they held."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.characters = 0
        self._lines = lines

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.characters += len(line)
            yield line


class BrokenLines:
    """Lines that are no rows, told to the audit some thousand at a time."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._places: list[int] = []
        self._examples: dict[str, None] = {}

    def add(self, places: Iterable[int], example: str) -> None:
        """Count lines; the example says what is wrong with them, empty for none."""
        self._places.extend(places)
        if example and len(self._examples) < EXAMPLES:
            self._examples[example] = None
        if len(self._places) >= PIECE_ROWS:
            self.tell()

    def tell(self) -> None:
        """Tell the audit of those that it does not know yet."""
        self._audit.drop("broken_line", self._places, self._examples)
        self._places.clear()


class TableBuilder:
    """A table in the making."""

    def __init__(
        self, name: str, names: Sequence[str], lines: Metered, is_wanted: Callable[[str], bool] = lambda _name: True
    ) -> None:
        """Begin a table.

        Args:
            name: the file's name.
            names: of its columns.
            lines: what the rows are read from.
            is_wanted: tells the columns that are kept.

        Raises:
            InvalidTrace: a column name given twice, or too many columns.
        """
        refuse_columns(name, len(names))
        refuse_doubled(name, names)
        self.width = len(names)
        self._name, self._names, self._lines, self._taken = name, names, lines, 0
        self._kept = {place: Texts() for place, column in enumerate(names) if is_wanted(column)}
        self._rows: list[list[str]] = []
        self._places: list[int] = []
        self._where: list[np.ndarray] = []

    def add(self, row: list[str], place: int) -> None:
        """Add a row that has a field a column."""
        self._rows.append(row)
        self._places.append(place)
        if len(self._rows) >= PIECE_ROWS or self._lines.characters - self._taken > _PIECE_CHARACTERS:
            self._take()

    def finish(self) -> Table:
        """Return the table."""
        self._take()
        return Table(
            name=self._name,
            where=np.concatenate(self._where) if self._where else np.zeros(0, np.int64),
            columns={self._names[place]: texts for place, texts in self._kept.items()},
            names=self._names,
        )

    def _take(self) -> None:
        """Turn the rows that have come into pieces of the columns."""
        self._taken = self._lines.characters
        if not self._rows:
            return
        columns = list(zip(*self._rows, strict=True))
        self._rows.clear()
        for place, texts in self._kept.items():
            texts.append(columns[place])
        self._where.append(np.array(self._places, np.int64))
        self._places.clear()


def read_table(
    source: Source,
    audit: Audit,
    *,
    delimiter: str,
    header: Sequence[str] | None = None,
    quoted: bool = True,
    is_wanted: Callable[[str], bool] = lambda _name: True,
) -> Table:
    """Read delimited text; lines with another number of fields are counted as broken.

    A delimiter behind the last field of every line is no field.

    Args:
        source: the file.
        audit: where lines read and broken are counted.
        delimiter: one character or more.
        header: column names; None to take them from the first line.
        quoted: whether quotation marks enclose fields.
        is_wanted: tells by their names the columns that are kept.

    Raises:
        InvalidTrace: not UTF-8, a column name given twice, or too many columns.
    """
    lines = Metered(source.lines())
    cut: Iterable[str] = lines
    if len(delimiter) > 1:
        # The csv module takes one character; this one stands for "unit separator" and is in no text.
        long, delimiter = delimiter, _SEPARATOR
        cut = (line.replace(long, _SEPARATOR) for line in lines)
    # Strict, so that a quotation mark that is never closed is an error and not a field.
    reader = csv.reader(cut, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=True)
    broken = BrokenLines(audit)
    table = None if header is None else TableBuilder(source.name, list(header), lines, is_wanted)
    while True:
        before = reader.line_num
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            # An empty row has a wrong number of fields, whatever the header.
            row = []
            if reader.line_num == before:
                raise InvalidTrace(f"{source.name} cannot be read after line {before}.") from None
        else:
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
        if table is None:
            names = [name.strip() for name in row]
            if len(names) > 1 and not names[-1]:
                names.pop()
            table = TableBuilder(source.name, names, lines, is_wanted)
            continue
        if len(row) == table.width + 1 and not row[-1].strip():
            row.pop()
        if len(row) == table.width:
            audit.read += 1
            table.add(row, before + 1)
        else:
            # A quotation mark that is never closed swallows the lines after it: each of them is counted.
            audit.read += reader.line_num - before
            example = f"{len(row)} fields where there are {table.width} columns" if row else ""
            broken.add(range(before + 1, reader.line_num + 1), example)
    broken.tell()
    return (table or TableBuilder(source.name, [], lines)).finish()


def column_names(head: list[str], delimiter: str) -> list[str]:
    """Return the first line's fields, for recognising a format by its header."""
    return [name.strip().strip('"') for name in head[0].split(delimiter)]


def table_delimiter(line: str, fields: int | None = None) -> str:
    """Return the commonest of the usual delimiters in a line, or the one that cuts it into so many fields.

    Raises:
        InvalidTrace: `fields` are asked for, and no delimiter gives them.
    """
    if fields is None:
        return max(_DELIMITERS, key=line.count)
    for delimiter in [*_LONG_DELIMITERS, *_DELIMITERS]:
        pieces = line.split(delimiter)
        if len(pieces) == fields > 1 or (len(pieces) == fields + 1 and not pieces[-1].strip()):
            return delimiter
    found = line.count(table_delimiter(line)) + 1
    raise InvalidTrace(f"--columns names {fields} columns, and the first line has {found} fields.")
