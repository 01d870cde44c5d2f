"""The checksum of a run's placements and attempts: the same on every machine and database."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

MEASURED = ("start_time", "finish_time", "actual_time", "wait_time", "energy_joules", "cost_usd")
FLOATS = ("gpu_fraction", *MEASURED)
INTEGERS = ("node", "device")
CHECKED = (*FLOATS, *INTEGERS)
"""The stored columns that the checksum covers, beside the policy's name and the task's number."""


HISTORY = ("attempts", "service_time", "lost_time")
"""What a result tells of a task that may stop and go on; covered where the policy has attempts."""

ATTEMPT_COLUMNS = ("number", "start_time", "end_time", "node", "device", "cpus", "gpus", "reason")
"""What is stored of an attempt beside its run, its policy and its task, in the order in which it is shown."""

ATTEMPT_FLOATS = ("start_time", "end_time", "cpus", "gpus")
ATTEMPT_INTEGERS = ("number", "node", "device")
ATTEMPT_CHECKED = (*ATTEMPT_FLOATS, *ATTEMPT_INTEGERS)
"""The stored columns of an attempt that the checksum covers, beside the task's number and the reason."""


class Part(NamedTuple):
    """What one policy made.

    Attributes:
        scheduler: its name.
        task_ids: numbers of the tasks, shape (n,).
        columns: those named in `CHECKED`, shape (n,) each; with attempts also those of `HISTORY` and `outcome`.
        attempts: `task_id` (the tasks' numbers), those named in `ATTEMPT_CHECKED`, and `reason`, shape (m,) each; None
            or without rows where every task ran once.
    """

    scheduler: str
    task_ids: np.ndarray
    columns: Mapping[str, Any]
    attempts: Mapping[str, Any] | None = None


def results_checksum(parts: Iterable[Part]) -> str:
    """Return the SHA-256 of placements and attempts, as hexadecimal text.

    It covers the exported columns, sorted by policy, task number and number of the attempt; no primary keys, and
    nothing that two runs of the same experiment may differ in, such as names and model versions. Column after column
    of each policy is taken as its exact 64-bit little-endian bytes, so that no rounding to text is involved; words as
    their text, a line each. A policy without attempts counts as if there were none of their columns.

    Args:
        parts: one a policy. Policies and rows may come in any order.
    """
    return joined_checksum({part.scheduler: part_digest(part) for part in parts})


def joined_checksum(digests: Mapping[str, bytes]) -> str:
    """Return `results_checksum` of parts by their digests, which are keyed by the policy's name."""
    whole = hashlib.sha256()
    for scheduler in sorted(digests):
        whole.update(scheduler.encode() + b"\0")
        whole.update(digests[scheduler])
    return whole.hexdigest()


def part_digest(part: Part) -> bytes:
    """Return the SHA-256 of what one policy made; several may be worked out at a time."""
    order = _by(np.asarray(part.task_ids))
    digest = hashlib.sha256(_bytes(part.task_ids, order, whole=True))
    for name in CHECKED:
        digest.update(_bytes(part.columns[name], order, whole=name in INTEGERS))
    if part.attempts is not None and len(part.attempts["task_id"]):
        for name in HISTORY:
            digest.update(_bytes(part.columns[name], order, whole=name == "attempts"))
        digest.update(_lines(part.columns["outcome"], order))
        order = np.lexsort((part.attempts["number"], part.attempts["task_id"]))
        digest.update(_bytes(part.attempts["task_id"], order, whole=True))
        for name in ATTEMPT_CHECKED:
            digest.update(_bytes(part.attempts[name], order, whole=name in ATTEMPT_INTEGERS))
        digest.update(_lines(part.attempts["reason"], order))
    return digest.digest()


def _by(numbers: np.ndarray) -> np.ndarray | slice:
    """Return the places of numbers in ascending order, all of them as they are where they lie so."""
    return slice(None) if (numbers[1:] >= numbers[:-1]).all() else np.argsort(numbers, kind="stable")


def _bytes(column: Any, order: np.ndarray | slice, *, whole: bool) -> memoryview:
    values = np.asarray(column, "<i8" if whole else "<f8")[order]
    # Adding 0.0 turns -0.0 into 0.0: databases need not keep the sign of zero.
    return np.ascontiguousarray(values if whole else values + 0.0).data


def _lines(words: Any, order: np.ndarray | slice) -> bytes:
    return "\n".join(np.asarray(words, object)[order].tolist()).encode()
