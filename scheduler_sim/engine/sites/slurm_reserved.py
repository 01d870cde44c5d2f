"""Reservations that are over, as sacctmgr prints them; `scontrol` shows those to come alone.

Source: https://slurm.schedmd.com/sacctmgr.html, RESERVATION SPECIFIC FORMAT (22.05 to 24.11).
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from scheduler_sim.engine.clusters.hosts import expand_hosts, fold_hosts, most_named
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites import slurm_show, values
from scheduler_sim.engine.sites.reading import Draft, Place
from scheduler_sim.engine.sites.slurm_accounts import COMMAND as ACCOUNTS
from scheduler_sim.engine.sites.slurm_accounts import table
from scheduler_sim.engine.sites.slurm_recurring import note_flags

COLUMNS = frozenset({"name", "tres", "timestart", "timeend"})
"""What tells the table from others that sacctmgr prints; all of them are printed without being asked for."""

COMMAND = "sacctmgr show reservation -P format=Cluster,Name,TRES,Start,End,Flags,NodeNames,Assocs"
"""What prints them; without `format` it tells neither nodes nor flags, nor who might use one."""


@dataclass
class _Reserved:
    """A reservation that is over, as one row or several that follow each other tell it.

    Attributes:
        begins: as the row says it.
        start, end: seconds from time 0.
        hosts: a host list.
        nodes: what it stands for.
    """

    place: Place
    name: str
    begins: str
    start: float
    end: float
    hosts: str
    nodes: frozenset[str]
    flags: list[str]
    users: list[str]
    accounts: list[str]


def read_reservations(text: str, draft: Draft, *, name: str, zero_at: float | None) -> None:
    """Take the reservations that either of the two commands printed into a site.

    Who might use one sacctmgr tells by the numbers of accounts and users (Assocs), which a table of them explains; else
    whoever names it may, as where nothing is told: it is open to all, or to all but some. Without the column NodeNames
    the first nodes that have as many cores together are taken. A reservation that was changed has a row for each state,
    in any order; those that follow each other on the same nodes are one. What ended before time 0 or has no length is
    left out.

    Args:
        zero_at: the instant of time 0 of the site, in seconds since 1970; None where there are no reservations.

    Raises:
        InvalidCluster: a text of neither, reservations before time 0 is known, or of several clusters where the
            site's is not known.
    """
    heads = {head.strip().lower() for head in text.lstrip().partition("\n")[0].split("|")}
    if not heads >= COLUMNS:
        slurm_show.read_reservations(text, draft, name=name, zero_at=zero_at)
        return
    rows = list(table(text, draft, name, set(COLUMNS)))
    clusters = sorted({row["cluster"].lower() for _, row in rows if row.get("cluster")})
    if not draft.name and len(clusters) > 1:
        raise InvalidCluster(
            f"{name} holds reservations of several clusters ({', '.join(clusters[:5])}): add slurm.conf or what "
            "scontrol show config prints, whose ClusterName tells which is meant."
        )
    if rows and "flags" not in heads:
        Place(draft, name, 1).note("no column Flags", f"no reservation has any: print it with {COMMAND}")
    found = []
    for place, row in rows:
        # The accounting writes names of clusters in lower case.
        if draft.name and row.get("cluster", draft.name).lower() != draft.name.lower():
            place.note(row["name"], f"is of cluster {row['cluster']}")
            continue
        if zero_at is None:
            raise InvalidCluster(f"{name} holds reservations, which need the instant that is time 0 of the workload.")
        span = [place.read(key, row[key.lower()], slurm_show.instant) for key in ("TimeStart", "TimeEnd")]
        hosts = _hosts(draft, place, row)
        if None in span or not hosts:
            continue
        start, end = (instant - zero_at for instant in span)
        nodes = frozenset(expand_hosts(hosts, most=most_named(len(draft.nodes))))
        flags = list(values.words(row.get("flags", "")))
        who = _who(draft, place, row)
        found.append(_Reserved(place, row["name"], row["timestart"], start, end, hosts, nodes, flags, *who))
    lasting = _joined([one for one in found if one.end > one.start])
    kept = [one for one in lasting if one.end > 0]
    slurm_show.note_left_out(draft, name, sum(one.end <= one.start for one in found) + len(lasting) - len(kept))
    _take(draft, kept)


def _joined(found: list[_Reserved]) -> list[_Reserved]:
    """Return reservations by name and start; those that follow each other at once, alike in all else, are one."""
    joined: list[_Reserved] = []
    last: dict[Any, _Reserved] = {}
    for one in sorted(found, key=lambda one: (one.name, one.start, one.end)):
        alike = (one.name, one.nodes, *one.users, "", *one.accounts)
        before = last.get(alike)
        if before is not None and one.start <= before.end:
            before.end = max(before.end, one.end)
        else:
            last[alike] = one
            joined.append(one)
    return joined


def _take(draft: Draft, kept: list[_Reserved]) -> None:
    """Add reservations, of which all but the first of a name are called by their start, too, and come after it.

    Where one begins before another of its name has ended it is not known which of them jobs mean: they mean the first.
    """
    starts = Counter((one.name, one.begins) for one in kept)
    ended: dict[str, float] = {}
    for one in kept:
        called, again = one.name, ""
        if called in draft.reservations:
            if one.start >= ended[one.name]:
                again = one.name
            else:
                one.place.note(called, "begins before it has ended: jobs that name it are taken to mean the first")
            called = f"{called} from {one.begins}"
            if starts[one.name, one.begins] > 1:
                called = f"{called} on {one.hosts}"
        if one.name not in ended:
            note_flags(one.place, one.name, one.flags)
        if again or one.name not in ended:
            ended[one.name] = one.end
        draft.places["reservations", called] = one.place
        draft.reservations[called] = {
            "name": called,
            "start_time": one.start,
            "end_time": one.end,
            "hosts": one.hosts,
            "users": one.users,
            "accounts": one.accounts,
            "flags": one.flags,
            "called": again,
        }


def _who(draft: Draft, place: Place, row: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return the users and the accounts that a row lists, with a note where that is not all that it says."""
    numbers = values.words(row.get("assocs", ""))
    listed = {draft.associations[number] for number in numbers if number in draft.associations}
    if unknown := [number for number in numbers if number not in draft.associations]:
        text = f"{row['name']} Assocs={','.join(unknown[:5])}"
        place.note(text, f"no table of accounts has this ID, so that whoever names it may use it: print {ACCOUNTS}")
        return [], []
    users = {user for _, user in listed if user}
    accounts = {account for account, user in listed if not user}
    if users and accounts:
        place.note(row["name"], "is of accounts and of users: whoever names it may use it")
        return [], []
    if listed < {pair for pair in draft.associations.values() if pair[1] in users}:
        # Of users with several accounts those that are listed.
        accounts = {account for account, _ in listed}
    return sorted(users), sorted(accounts)


def _hosts(draft: Draft, place: Place, row: dict[str, str]) -> str:
    """Return a host list, empty with a note where there is none."""
    told = row.get("nodenames") or row.get("nodename", "")
    if told:
        try:
            missing = [one for one in expand_hosts(told, most=most_named(len(draft.nodes))) if one not in draft.nodes]
        except InvalidCluster as error:
            place.note(row["name"], str(error))
            return ""
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
        place.note(row["name"], f"names no nodes, and none come to its TRES: print it with {COMMAND}")
        return ""
    hosts = fold_hosts(names)
    place.note(row["name"], f"names no nodes: {hosts} are taken, whose cores come to its TRES")
    return hosts
