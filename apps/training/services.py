"""Taking in labelled data, and letting go of it."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from django.db import transaction

from apps.results.errors import DomainError
from apps.training.managers import TrainingDataQuerySet
from apps.training.models import TrainingData
from scheduler_sim.accounts import audit
from scheduler_sim.engine.predictors.hybrid import hybrid_features

HISTORY_COLUMNS = ("size", "compute_intensity", "memory_required", "optimal_gpu_fraction", "optimal_time")
"""Columns that an old history must have; `task_id` and any others are passed over."""

_BATCH_ROWS = 50_000
_SHOWN_FAULTS = 5
_BOUNDS = {
    "size": (0.0, math.inf),
    "compute_intensity": (0.0, 1.0),
    "memory_required": (0.0, math.inf),
    "optimal_gpu_fraction": (0.0, 1.0),
    "optimal_time": (0.0, math.inf),
}


class InvalidHistory(DomainError):
    """A history file that cannot be taken in; the sentence names the line and the value."""


def history_import(*, path: Path) -> int:
    """Store the rows of an old system's csv as training data, all of them or none, and return how many.

    Every value is read as a number and nothing else; the features are computed anew from the three that were measured.

    Raises:
        InvalidHistory: the file is missing, empty, not text, lacks a column, or holds a value that has no meaning.
    """
    stored = 0
    with transaction.atomic():
        for batch in _batches(path):
            values = dict(zip(HISTORY_COLUMNS, np.array(batch, np.float64).T.copy(), strict=True))
            features = hybrid_features(
                size=values["size"],
                compute_intensity=values["compute_intensity"],
                memory_mb=values["memory_required"],
            )
            labels = {name: values[name] for name in ("optimal_gpu_fraction", "optimal_time")}
            stored += TrainingData.objects.bulk_create_columns({**features, **labels})
        if not stored:
            raise InvalidHistory(f"{path} holds no rows.")
    return stored


def training_data_delete(*, rows: TrainingDataQuerySet) -> int:
    """Delete rows of training data and return how many; in pieces, so that readers and writers get in between."""
    deleted = 0
    audit.record(audit.Action.DELETE, "training data", called="old rows")
    while keys := list(rows.order_by("id").values_list("id", flat=True)[:_BATCH_ROWS]):
        deleted += rows.filter(id__lte=keys[-1]).delete()[0]
    return deleted


def _batches(path: Path) -> Iterator[list[list[float]]]:
    batch: list[list[float]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in _rows(path, file):
                batch.append(row)
                if len(batch) == _BATCH_ROWS:
                    yield batch
                    batch = []
    except UnicodeDecodeError as error:
        raise InvalidHistory(f"{path} is not UTF-8 text.") from error
    except csv.Error as error:
        raise InvalidHistory(f"{path} is not a csv file: {error}.") from error
    except OSError as error:
        raise InvalidHistory(f"{path} cannot be read: {error.strerror}.") from error
    if batch:
        yield batch


def _rows(path: Path, file: Iterator[str]) -> Iterator[list[float]]:
    lines = csv.reader(file)
    header = [name.strip() for name in next(lines, [])]
    if not header:
        raise InvalidHistory(f"{path} is empty.")
    if missing := [name for name in HISTORY_COLUMNS if name not in header]:
        raise InvalidHistory(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(header)}.")
    places = [header.index(name) for name in HISTORY_COLUMNS]
    faults: list[str] = []
    for line in lines:
        if not line:
            continue
        row, fault = _numbers(line, places)
        if fault:
            faults.append(f"line {lines.line_num}: {fault}")
            if len(faults) == _SHOWN_FAULTS:
                break
        else:
            yield row
    if faults:
        raise InvalidHistory(f"{path} cannot be taken in; {'; '.join(faults)}.")


def _numbers(line: list[str], places: list[int]) -> tuple[list[float], str]:
    """Return a line's numbers, or what is wrong with it."""
    row: list[float] = []
    for name, place in zip(HISTORY_COLUMNS, places, strict=True):
        if place >= len(line):
            return row, f"{name} is missing"
        try:
            value = float(line[place])
        except ValueError:
            return row, f"{name} is {line[place][:40]!r}, not a number"
        lowest, highest = _BOUNDS[name]
        if not (math.isfinite(value) and lowest <= value <= highest):
            return row, f"{name} is {line[place][:40]}, not from {lowest:g} to {highest:g}"
        row.append(value)
    return row, ""
