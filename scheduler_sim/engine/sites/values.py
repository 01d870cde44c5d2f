"""Values as Slurm writes them in its files and prints them."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from scheduler_sim.engine.clock import clock_seconds

Reader = Callable[[str], Any]
"""Returns what a text states; raises ValueError for a text of another form."""

UNSET = frozenset(("", "none", "n/a", "(null)", "unlimited", "infinite", "-1", "all", "invalid"))
"""Texts, in lower case, that state no limit."""

_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGTP]?)[B]?", re.IGNORECASE)
_AMOUNT = re.compile(r"[0-9]+[KMG]?", re.IGNORECASE)
_MEGABYTES = {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1024.0**2, "P": 1024.0**3}


def minutes(text: str) -> float | None:
    """Return seconds of a span of time whose bare number is minutes; None where it states no limit.

    Raises:
        ValueError: a text of another form.
    """
    if text.lower() in UNSET:
        return None
    bare = text.lower().removesuffix("min").strip()
    if bare.isdecimal():
        return 60.0 * int(bare)
    seconds = clock_seconds(text)
    if seconds is None:
        raise ValueError(text)
    return seconds


def seconds(text: str) -> float | None:
    """Return seconds of a span of time whose bare number is seconds; as `minutes` otherwise."""
    bare = text.lower().removesuffix("sec").strip()
    return float(bare) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", bare) else minutes(text)


def count(text: str) -> int | None:
    """Return a whole number; None where the text states no limit.

    Raises:
        ValueError: a text of another form.
    """
    return None if text.lower() in UNSET else int(text)


def number(text: str) -> float | None:
    """Return a number; as `count` otherwise."""
    return None if text.lower() in UNSET else float(text)


def yes(text: str) -> bool:
    """Return what a switch says; EXCLUSIVE-like words are not one.

    Raises:
        ValueError: neither yes nor no.
    """
    known = {"yes": True, "no": False, "1": True, "0": False, "true": True, "false": False}
    if text.lower() not in known:
        raise ValueError(text)
    return known[text.lower()]


def words(text: str) -> tuple[str, ...]:
    """Return the words of a list with commas; none where it states none."""
    return () if text.lower() in UNSET else tuple(word.strip() for word in text.split(",") if word.strip())


def memory(text: str) -> float | None:
    """Return megabytes; a bare number is megabytes, and K, M, G, T, P are powers of 1,024.

    Raises:
        ValueError: a text of another form.
    """
    if text.lower() in UNSET:
        return None
    found = _MEMORY.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return float(found[1]) * _MEGABYTES[found[2].upper()]


def resources(text: str) -> dict[str, float]:
    """Return amounts by resource of a text such as `cpu=320,mem=100G,gres/gpu:a100=4`; memory in megabytes.

    Raises:
        ValueError: a text of another form.
    """
    amounts: dict[str, float] = {}
    for word in words(text):
        name, equals, amount = word.partition("=")
        value = (memory if name == "mem" else number)(amount)
        if not equals:
            raise ValueError(text)
        if value is not None:
            amounts[name] = value
    return amounts


def minutes_of_resources(text: str) -> dict[str, float]:
    """Return resource-seconds by resource of a text in resource-minutes."""
    return {name: 60.0 * amount for name, amount in resources(text).items()}


def gpus(text: str) -> tuple[int, str, dict[str, float]]:
    """Return the GPUs of one node, their types separated by |, and its other generic resources.

    Args:
        text: as `gpu:a100:4(S:0-1),fs:100` or `gpu:4`.

    Raises:
        ValueError: a text of another form.
    """
    total = 0
    types: list[str] = []
    others: dict[str, float] = {}
    for word in words(re.sub(r"\([^)]*\)", "", text)):
        name, *rest = word.split(":")
        amount = _amount(rest[-1]) if rest and _AMOUNT.fullmatch(rest[-1]) else 1
        kinds = [part for part in rest if not _AMOUNT.fullmatch(part) and part != "no_consume"]
        if name != "gpu":
            others[name] = others.get(name, 0.0) + amount
            continue
        total += amount
        types.extend(kind for kind in kinds if kind not in types)
    return total, "|".join(types), others


def _amount(text: str) -> int:
    factors = {"K": 1024, "M": 1024**2, "G": 1024**3}
    factor = factors.get(text[-1:].upper(), 1)
    return int(text[:-1] if factor > 1 else text) * factor


def each(reader: Reader, **fields: str) -> dict[str, tuple[str, Reader]]:
    """Return a table of settings that are all read alike: by each one's name the field that it sets, and `reader`."""
    return {name: (field, reader) for name, field in fields.items()}


LIMITS: Mapping[str, tuple[str, Reader]] = {
    **each(resources, grptres="all_resources", maxtrespernode="job_node_resources"),
    **each(resources, maxtres="job_resources", maxtresperjob="job_resources"),
    **each(resources, mintres="job_least_resources", mintresperjob="job_least_resources"),
    **each(resources, maxtrespu="user_resources", maxtresperuser="user_resources"),
    **each(resources, maxtrespa="account_resources", maxtresperaccount="account_resources"),
    **each(minutes_of_resources, grptresmins="all_resource_seconds", grptresrunmins="all_running_resource_seconds"),
    **each(minutes_of_resources, maxtresmins="job_resource_seconds", maxtresminsperjob="job_resource_seconds"),
    **each(minutes, grpwall="all_time", maxwall="job_time", maxwalldurationperjob="job_time"),
    **each(count, grpjobs="all_jobs", grpsubmit="all_submitted", grpsubmitjobs="all_submitted"),
    **each(count, maxjobs="user_jobs", maxjobspu="user_jobs", maxjobsperuser="user_jobs"),
    **each(count, maxsubmit="user_submitted", maxsubmitjobs="user_submitted", maxsubmitpu="user_submitted"),
    **each(count, maxsubmitjobsperuser="user_submitted"),
    **each(count, maxjobspa="account_jobs", maxjobsperaccount="account_jobs"),
    **each(count, maxsubmitpa="account_submitted", maxsubmitjobsperaccount="account_submitted"),
}
"""Limits by the names that Slurm's tools print them under, in lower case, with how they are read."""
