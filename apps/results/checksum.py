"""The checksum of a run's placements: the same on every machine and database."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

FLOATS = (
    "gpu_fraction",
    "start_time",
    "finish_time",
    "actual_time",
    "wait_time",
    "energy_joules",
    "cost_usd",
)
INTEGERS = ("node", "device")
CHECKED = (*FLOATS, *INTEGERS)
"""The stored columns that the checksum covers, beside the policy's name and the task's number."""


def results_checksum(parts: Iterable[tuple[str, np.ndarray, Mapping[str, Any]]]) -> str:
    """Return the SHA-256 of placements, as hexadecimal text.

    It covers the exported columns, sorted by policy and task number; no primary keys, and nothing that two runs of
    the same experiment may differ in, such as names and model versions. Column after column of each policy is taken
    as its exact 64-bit little-endian bytes, so that no rounding to text is involved.

    Args:
        parts: for each policy its name, the tasks' numbers, and the columns named in `CHECKED`, all of one length.
            Policies and rows may come in any order.
    """
    digests = {scheduler: _part_digest(task_ids, columns) for scheduler, task_ids, columns in parts}
    whole = hashlib.sha256()
    for scheduler in sorted(digests):
        whole.update(scheduler.encode() + b"\0")
        whole.update(digests[scheduler])
    return whole.hexdigest()


def _part_digest(task_ids: np.ndarray, columns: Mapping[str, Any]) -> bytes:
    order = np.argsort(task_ids, kind="stable")
    digest = hashlib.sha256(np.asarray(task_ids, "<i8")[order].tobytes())
    for name in CHECKED:
        values = np.asarray(columns[name], "<i8" if name in INTEGERS else "<f8")
        # Adding 0.0 turns -0.0 into 0.0: databases need not keep the sign of zero.
        digest.update((values if name in INTEGERS else values + 0.0)[order].tobytes())
    return digest.digest()
