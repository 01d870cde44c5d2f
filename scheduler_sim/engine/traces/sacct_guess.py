"""The columns of sacct's output without its header, as far as what they hold leaves no doubt.

Three instants in ascending order are the submission, the start and the end; what equals the end minus the start in
every row is the elapsed time; the one other duration is the time limit; the one column of whole numbers is the
number of cores. A file in which any of these is missing or twofold is not guessed.
"""

import re
from collections.abc import Sequence

from scheduler_sim.engine.clock import clock_seconds, microseconds
from scheduler_sim.engine.traces.table import MICROSECONDS
from scheduler_sim.engine.traces.texts import UNKNOWN

UNNAMED = "column {}"
"""What a column is called that is not read."""

_ROWS = 200
_DELIMITERS = ("|", "\t", "^|^", ";", ",")
JOB = re.compile(r"\d+(?:_(?:\d+|\[[^\]]*\]))?(?:\+\d+)?(?:\.\w+)?")
"""A job, a task of an array, a part of a heterogeneous job, or a step of one of them."""

_STATE = re.compile(
    r"(?:BOOT_FAIL|CANCELLED|COMPLETED|COMPLETING|DEADLINE|FAILED|NODE_FAIL|OUT_OF_MEMORY|PENDING|PREEMPTED|REQUEUED|"
    r"RESIZING|REVOKED|RUNNING|SUSPENDED|TIMEOUT)\+?(?: by .*)?"
)
_LIMIT_WORDS = frozenset({"unlimited", "partition_limit", "invalid"})
_INSTANTS = {3: ("Submit", "Start", "End"), 4: ("Submit", "Eligible", "Start", "End")}


def guess_columns(lines: Sequence[str]) -> tuple[list[str], str] | None:
    """Return the columns' names and the delimiter, or None where the first lines leave a doubt."""
    for delimiter in _DELIMITERS:
        rows = [[piece.strip() for piece in line.split(delimiter)] for line in lines[:_ROWS] if line.strip()]
        if rows and len(rows[0]) > 5 and all(len(row) == len(rows[0]) for row in rows):
            if all(not row[-1] for row in rows):
                rows = [row[:-1] for row in rows]
            names = _name([list(column) for column in zip(*rows, strict=True)])
            return None if names is None else (names, delimiter)
    return None


def _name(columns: list[list[str]]) -> list[str] | None:
    names = [UNNAMED.format(number) for number in range(1, len(columns) + 1)]
    if not all(JOB.fullmatch(text) for text in columns[0]):
        return None
    names[0] = "JobID"
    rest = range(1, len(columns))
    states = [at for at in rest if all(_STATE.fullmatch(text) for text in columns[at])]
    moments = {at: found for at in rest if (found := _moments(columns[at])) is not None}
    if len(states) != 1 or len(moments) not in _INSTANTS:
        return None
    names[states[0]] = "State"
    for at, name in zip(moments, _INSTANTS[len(moments)], strict=True):
        names[at] = name
    ordered = list(moments.values())
    if not all(_ascend([column[row] for column in ordered]) for row in range(len(columns[0]))):
        return None
    spans = [
        None if end is None or start is None else (end - start) / MICROSECONDS
        for start, end in zip(ordered[-2], ordered[-1], strict=True)
    ]
    durations = {at: spent for at in rest if at not in moments and (spent := _durations(columns[at])) is not None}
    wholes = [at for at in rest if all(text.isdecimal() for text in columns[at])]
    elapsed = [at for at, found in durations.items() if _equal(found, spans)]
    raw = [at for at in wholes if _equal([float(text) for text in columns[at]], spans)]
    limits = [at for at in durations if at not in elapsed]
    cores = [at for at in wholes if at not in raw]
    if len(elapsed) > 1 or len(raw) > 1 or not (elapsed or raw) or len(limits) > 1 or len(cores) != 1:
        return None
    for places, name in ((elapsed, "Elapsed"), (raw, "ElapsedRaw"), (limits, "Timelimit"), (cores, "NCPUS")):
        for place in places:
            names[place] = name
    return names


def _moments(texts: list[str]) -> list[float | None] | None:
    """Return instants, None for an unknown one; None where a text is another thing or all are unknown."""
    found: list[float | None] = []
    for text in texts:
        moment = microseconds(text) if "T" in text else None
        if moment is None and text.lower() not in UNKNOWN:
            return None
        found.append(None if moment is None else moment[0])
    return found if any(moment is not None for moment in found) else None


def _durations(texts: list[str]) -> list[float | None] | None:
    """Return durations written as clocks, None for no limit; None where a text is another thing."""
    found = [clock_seconds(text) for text in texts]
    known = any(seconds is not None for seconds in found)
    sound = all(
        seconds is not None or text.lower() in UNKNOWN | _LIMIT_WORDS
        for seconds, text in zip(found, texts, strict=True)
    )
    return found if known and sound else None


def _ascend(moments: list[float | None]) -> bool:
    known = [moment for moment in moments if moment is not None]
    return known == sorted(known)


def _equal(values: Sequence[float | None], spans: list[float | None]) -> bool:
    """Tell whether the values are the spans, in all rows that have one, and that some row tells it from 0."""
    pairs = [(value, span) for value, span in zip(values, spans, strict=True) if span is not None]
    return any(span for _, span in pairs) and all(value is not None and abs(value - span) <= 1 for value, span in pairs)
