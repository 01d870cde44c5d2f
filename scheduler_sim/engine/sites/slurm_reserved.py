"""Reservations that are over, as `sacctmgr show reservation -P` prints them; `scontrol` shows those to come alone.

Source: https://slurm.schedmd.com/sacctmgr.html, RESERVATION SPECIFIC FORMAT (22.05 to 24.11).
"""

from scheduler_sim.engine.clusters.hosts import expand_hosts, fold_hosts, most_named
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites import slurm_show, values
from scheduler_sim.engine.sites.reading import Draft, Place
from scheduler_sim.engine.sites.slurm_accounts import table

COLUMNS = frozenset({"name", "tres", "timestart", "timeend"})
"""What tells the table from others that sacctmgr prints; all of them are printed without being asked for."""


def read_reservations(text: str, draft: Draft, *, name: str, zero_at: float | None) -> None:
    """Take the reservations that either of the two commands printed into a site.

    sacctmgr does not tell who might use one: whoever names it may. Without its column NodeNames the first nodes that
    have as many cores together are taken. A reservation that was changed has a row for each state; rows that follow
    each other on the same nodes are one.

    Args:
        zero_at: the instant of time 0 of the site, in seconds since 1970; None where there are no reservations.

    Raises:
        InvalidCluster: a text of neither, or reservations before time 0 is known.
    """
    heads = {head.strip().lower() for head in text.lstrip().partition("\n")[0].split("|")}
    if not heads >= COLUMNS:
        slurm_show.read_reservations(text, draft, name=name, zero_at=zero_at)
        return
    for place, row in table(text, draft, name, set(COLUMNS)):
        if draft.name and row.get("cluster", draft.name) != draft.name:
            place.note(row["name"], f"is of cluster {row['cluster']}")
            continue
        if zero_at is None:
            raise InvalidCluster(f"{name} holds reservations, which need the instant that is time 0 of the workload.")
        span = [place.read(key, row[key.lower()], slurm_show.instant) for key in ("TimeStart", "TimeEnd")]
        hosts = _hosts(draft, place, row)
        if None in span or not hosts:
            continue
        start, end = (instant - zero_at for instant in span)
        flags = list(values.words(row.get("flags", "")))
        _take(draft, place, {"start_time": start, "end_time": end, "hosts": hosts, "flags": flags}, row)


def _take(draft: Draft, place: Place, found: dict[str, object], row: dict[str, str]) -> None:
    """Add a reservation, or let the one of its name that ends when it begins last until its end."""
    called = row["name"]
    before = [one for key, one in draft.reservations.items() if key == called or key.startswith(f"{called} from ")]
    for one in before:
        if one["hosts"] == found["hosts"] and one["end_time"] == found["start_time"]:
            one["end_time"] = found["end_time"]
            return
    if before:
        place.note(called, "comes again: jobs that name it are taken to mean the first of that name")
        called = f"{called} from {row['timestart']}"
    draft.places["reservations", called] = place
    draft.reservations[called] = {"name": called, **found}


def _hosts(draft: Draft, place: Place, row: dict[str, str]) -> str:
    """Return a host list, empty with a note where there is none."""
    told = row.get("nodenames") or row.get("nodename", "")
    if told:
        missing = [one for one in expand_hosts(told, most=most_named(len(draft.nodes))) if one not in draft.nodes]
        if missing:
            place.note(", ".join(missing[:5]), "is no node of the site")
        return "" if missing else told
    asked = place.read("TRES", row["tres"], lambda text: values.resources(text).get("cpu", 0.0))
    names, cores = [], 0.0
    for host, node in draft.nodes.items():
        if asked is None or cores >= asked:
            break
        names.append(host)
        cores += node.get("cores") or 0
    if not names or cores != asked:
        place.note(row["name"], "names no nodes, and none come to its TRES: print it with format=...,NodeNames")
        return ""
    hosts = fold_hosts(names)
    place.note(row["name"], f"names no nodes: {hosts} are taken, whose cores come to its TRES")
    return hosts
