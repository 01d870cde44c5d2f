"""Reservations that are over, as sacctmgr prints them; `scontrol` shows those to come alone.

Source: https://slurm.schedmd.com/sacctmgr.html, RESERVATION SPECIFIC FORMAT (22.05 to 24.11).
"""

from collections import Counter
from dataclasses import dataclass

from scheduler_sim.engine.clusters.hosts import expand_hosts, fold_hosts, most_named
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites import slurm_show, values
from scheduler_sim.engine.sites.reading import Draft, Place
from scheduler_sim.engine.sites.slurm_accounts import COMMAND as ACCOUNTS
from scheduler_sim.engine.sites.slurm_accounts import clusters_of, is_of_site, table
from scheduler_sim.engine.sites.slurm_recurring import floats, note_flags

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
        listed: accounts and users, see `Draft.associations`, who may use it; none where whoever names it may.
        differs: not all rows listed the same.
    """

    place: Place
    name: str
    begins: str
    start: float
    end: float
    hosts: str
    nodes: frozenset[str]
    flags: list[str]
    listed: frozenset[tuple[str, str]]
    differs: bool = False


def read_reservations(text: str, draft: Draft, *, name: str, zero_at: float | None) -> None:
    """Take the reservations that either of the two commands printed into a site.

    Who might use one sacctmgr tells by the numbers of accounts and users (Assocs), which a table of them explains; else
    whoever names it may, as where nothing is told: it is open to all, or to all but some. Without the column NodeNames
    the first nodes that have as many cores together are taken. A reservation that was changed has a row for each state,
    in any order; those that follow each other on the same nodes are one, for all whom one of them lists. What floats,
    ended before time 0 or has no length is left out.

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
    clusters_of(rows, draft, f"{name} holds reservations")
    if rows and "flags" not in heads:
        Place(draft, name, 1).note("no column Flags", f"no reservation has any: print it with {COMMAND}")
    found = []
    for place, row in rows:
        if not is_of_site(draft, row):
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
        if floats(place, row["name"], flags):
            continue
        listed = _listed(draft, place, row)
        found.append(_Reserved(place, row["name"], row["timestart"], start, end, hosts, nodes, flags, listed))
    lasting = _joined([one for one in found if one.end > one.start])
    kept = [one for one in lasting if one.end > 0]
    slurm_show.note_left_out(draft, name, sum(one.end <= one.start for one in found) + len(lasting) - len(kept))
    _take(draft, kept)


def _joined(found: list[_Reserved]) -> list[_Reserved]:
    """Return reservations by name and start; those of a name on the same nodes without time between them are one.

    Where other users or accounts are listed in them it is for all of these.
    """
    joined: list[_Reserved] = []
    last: dict[tuple[str, frozenset[str]], _Reserved] = {}
    for one in sorted(found, key=lambda one: (one.name, one.start, one.end)):
        before = last.get((one.name, one.nodes))
        if before is not None and one.start <= before.end:
            before.end = max(before.end, one.end)
            if one.listed != before.listed:
                before.differs = True
                before.listed = before.listed | one.listed if before.listed and one.listed else frozenset()
        else:
            last[one.name, one.nodes] = one
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
        users, accounts = _who(draft, one)
        draft.places["reservations", called] = one.place
        draft.reservations[called] = {
            "name": called,
            "start_time": one.start,
            "end_time": one.end,
            "hosts": one.hosts,
            "users": users,
            "accounts": accounts,
            "flags": one.flags,
            "called": again,
        }


def _listed(draft: Draft, place: Place, row: dict[str, str]) -> frozenset[tuple[str, str]]:
    """Return the accounts and users that a row lists by number; none, with a note, where a number is not known."""
    numbers = values.words(row.get("assocs", ""))
    if unknown := [number for number in numbers if number not in draft.associations]:
        text = f"{row['name']} Assocs={','.join(unknown[:5])}"
        place.note(text, f"no table of accounts has this ID, so that whoever names it may use it: print {ACCOUNTS}")
        return frozenset()
    return frozenset(draft.associations[number] for number in numbers)


def _who(draft: Draft, one: _Reserved) -> tuple[list[str], list[str]]:
    """Return the users and the accounts of a reservation, with a note where more may use it than are listed."""
    if one.differs:
        one.place.note(one.name, "had other Assocs at other times: whoever was in any of them may use it all the time")
    users = {user for _, user in one.listed if user}
    accounts = {account for account, user in one.listed if not user}
    if users and accounts:
        one.place.note(one.name, "is of accounts and of users: whoever names it may use it")
        return [], []
    theirs = {pair for pair in draft.associations.values() if pair[1] in users}
    if one.listed < theirs:
        # Of users with several accounts those that are listed.
        accounts = {account for account, _ in one.listed}
        if {pair for pair in theirs if pair[0] in accounts} > one.listed:
            one.place.note(one.name, "is of users under some of their accounts: all may use it under each of these")
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
