"""Nodes, partitions, settings and reservations as `scontrol show` prints them, with or without -o.

Source: https://slurm.schedmd.com/scontrol.html (22.05 to 24.11).
"""

import re
from collections.abc import Iterator
from typing import Any

from scheduler_sim.engine.clock import microseconds
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites import slurm_settings, values
from scheduler_sim.engine.sites.reading import Draft, Place
from scheduler_sim.engine.sites.slurm_conf import OF_PARTITION, Setting, partition_of, take_gres
from scheduler_sim.engine.sites.slurm_recurring import floats, note_flags, repeats

_PAIR = re.compile(r"([A-Za-z][\w:/-]*)=(.*?)(?=\s+[A-Za-z][\w:/-]*=|$)", re.DOTALL)

_EPOCH = re.compile(r"[0-9]{9,11}")

_AWAY = ("DOWN", "DRAIN", "FAIL", "MAINT", "FUTURE")


def read_nodes(text: str, draft: Draft, *, name: str) -> None:
    """Take what `scontrol show node` printed into a site.

    Raises:
        InvalidCluster: a text that is none of it.
    """
    for place, stated in _records(text, draft, name, "NodeName"):
        node: dict[str, Any] = {}
        cores = stated.get("CPUTot") or stated.get("CPUEfctv") or ""
        node["cores"] = place.read("CPUTot", cores, int)
        memory = place.read("RealMemory", stated.get("RealMemory", ""), values.number)
        if memory:
            node["memory_mb"] = memory
        if features := values.words(stated.get("AvailableFeatures", "")):
            node["features"] = list(features)
        node["weight"] = place.read("Weight", stated.get("Weight", "1"), int)
        found = place.read("Gres", stated.get("Gres", ""), values.gpus)
        if found is not None:
            take_gres(node, found)
        if any(part.startswith(_AWAY) for part in stated.get("State", "").split("+")):
            place.note(f"{stated['NodeName']} State={stated['State']}", "taken as a node that works")
        draft.places["groups", stated["NodeName"]] = place
        draft.nodes[stated["NodeName"]] = {key: value for key, value in node.items() if value is not None}


def read_partitions(text: str, draft: Draft, *, name: str) -> None:
    """Take what `scontrol show partition` printed into a site; arguments and errors as of `read_nodes`."""
    for place, stated in _records(text, draft, name, "PartitionName"):
        settings = {
            key.lower(): Setting(key, value, place)
            for key, value in stated.items()
            if key.lower() in OF_PARTITION and value.lower() not in ("(null)", "n/a")
        }
        partition_of(draft, stated["PartitionName"], settings)


def read_config(text: str, draft: Draft, *, name: str) -> None:
    """Take what `scontrol show config` printed into a site; arguments and errors as of `read_nodes`."""
    found = False
    for number, line in enumerate(text.splitlines(), 1):
        key, equals, value = line.partition("=")
        if equals and re.fullmatch(r"[\w ]+", key.strip()):
            found = True
            slurm_settings.apply(draft, Place(draft, name, number), key.strip(), value.strip())
    if not found:
        raise InvalidCluster(f"{name} is nothing that scontrol show config prints: it has no line like Key = Value.")


def read_reservations(text: str, draft: Draft, *, name: str, zero_at: float | None) -> None:
    """Take what `scontrol show reservation` printed into a site; arguments and errors as of `read_nodes`.

    Args:
        zero_at: the instant of time 0 of the site, in seconds since 1970; None where there are no reservations.
    """
    if text.strip() == "No reservations in the system":
        return
    if zero_at is None:
        raise InvalidCluster(f"{name} holds reservations, which need the instant that is time 0 of the workload.")
    left_out = 0
    for place, stated in _records(text, draft, name, "ReservationName"):
        called = stated["ReservationName"]
        span = [place.read(key, stated.get(key, ""), instant) for key in ("StartTime", "EndTime")]
        if None in span:
            continue
        flags = list(values.words(stated.get("Flags", "")))
        put_off, gaps = repeats(flags, span[1])
        if span[1] <= span[0] or (span[1] <= zero_at and not gaps):
            left_out += 1
            continue
        if stated.get("Nodes", "(null)") == "(null)":
            place.note(called, "names no nodes")
            continue
        if floats(place, called, flags):
            continue
        note_flags(place, called, flags)
        if len(gaps) > 1 and _EPOCH.fullmatch(stated["EndTime"]):
            place.note(f"{called} EndTime={stated['EndTime']}", "tells no local day: the weekday is taken as of UTC")
        if put_off:
            place.note(called, f"comes on other days than that of StartTime={stated['StartTime']}, which is left out")
        if gaps and span[0] + put_off - zero_at >= max(gaps):
            place.note(called, f"comes again from {stated['StartTime']} on; when it came before, sacctmgr tells")
        if "CoreIDs" in stated:
            place.note(called, "is of some cores of its nodes: all of them are taken")
        if stated.get("Groups", "(null)") != "(null)":
            place.note(f"Groups={stated['Groups']}", "who is in them is not known: whoever names it may use it")
        draft.places["reservations", called] = place
        draft.reservations[called] = {
            "name": called,
            "start_time": span[0] + put_off - zero_at,
            "end_time": span[1] + put_off - zero_at,
            "hosts": stated["Nodes"],
            "partition": next(iter(values.words(stated.get("PartitionName", ""))), ""),
            "users": list(values.words(stated.get("Users", ""))),
            "accounts": list(values.words(stated.get("Accounts", ""))),
            "flags": flags,
            "repeat_times": gaps,
        }
    note_left_out(draft, name, left_out)


def note_left_out(draft: Draft, name: str, count: int) -> None:
    """Say of a file how many of its reservations the workload never meets, where there are any."""
    if count:
        Place(draft, name, 0).note(f"{count:,} reservations", "ended before time 0 or have no length: left out")


def instant(text: str) -> float:
    """Return a date and time of Slurm's, or whole seconds as SLURM_TIME_FORMAT=%s prints, in seconds since 1970.

    Raises:
        ValueError: it is none.
    """
    if _EPOCH.fullmatch(text):
        return float(text)
    found = microseconds(text)
    if found is None:
        raise ValueError(text)
    return found[0] / 1e6


def _records(text: str, draft: Draft, name: str, first: str) -> Iterator[tuple[Place, dict[str, str]]]:
    """Yield each record that begins with the key `first`, with the place of its first line."""
    block: list[str] = []
    began = 0
    found = False
    for number, line in enumerate([*text.splitlines(), f"{first}="], 1):
        if line.startswith(f"{first}="):
            if block:
                found = True
                yield Place(draft, name, began), dict(_pairs(" ".join(block)))
            block, began = [], number
        if block or line.startswith(f"{first}="):
            block.append(line.strip())
    if not found:
        raise InvalidCluster(f"{name} is nothing that scontrol prints: it has no line that begins with {first}=.")


def _pairs(record: str) -> Iterator[tuple[str, str]]:
    for key, value in _PAIR.findall(record):
        yield key, value.strip()
