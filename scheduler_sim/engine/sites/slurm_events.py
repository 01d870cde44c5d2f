"""When nodes went away and came back, as `sacctmgr show event -P` prints it.

Source: https://slurm.schedmd.com/sacctmgr.html, EVENT SPECIFIC FORMAT (22.05 to 24.11).
"""

from scheduler_sim.engine.clusters.hosts import expand_hosts, most_named
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites.reading import Draft, Place
from scheduler_sim.engine.sites.slurm_accounts import table
from scheduler_sim.engine.sites.slurm_show import instant

KILLING = ("DOWN", "ERROR")
"""What states of a node begin with in which what ran there ends."""

CLOSED = ("DRAIN", "DRNG", "FAIL", "MAINT", "REBOOT", "RESV", "FUTURE")
"""What states begin with in which what runs there finishes and nothing else starts."""

FOR_EVER = frozenset({"unknown", "none", ""})


def read_events(text: str, draft: Draft, *, name: str, zero_at: float | None) -> None:
    """Take what `sacctmgr show event -P` printed into a site, as outages of its nodes.

    Events of the cluster as a whole say nothing of nodes. What follows from a state is taken from its first part, or
    the first that says anything. What ended before time 0 is left out, and counted in a note.

    Args:
        zero_at: the instant of time 0 of the site, in seconds since 1970; None where no node was away.

    Raises:
        InvalidCluster: a text that is none of it, or nodes that were away before time 0 is known.
    """
    over = 0
    for place, row in table(text, draft, name, {"nodename", "timestart", "timeend", "state"}):
        if not row["nodename"]:
            continue
        parts = [part.strip("*~#!%$@^-") for part in row["state"].upper().split("+")]
        kills = any(part.startswith(KILLING) for part in parts)
        if not kills and not any(part.startswith(CLOSED) for part in parts):
            place.note(f"{row['nodename']} {row['state']}", "no state in which a node takes no work")
            continue
        names = expand_hosts(row["nodename"], most=most_named(len(draft.nodes)))
        missing = [host for host in names if host not in draft.nodes]
        if missing:
            place.note(", ".join(missing[:5]), "is no node of the site")
            continue
        if zero_at is None:
            raise InvalidCluster(f"{name} holds events, which need the instant that is time 0 of the workload.")
        start = place.read("TimeStart", row["timestart"], instant)
        lasts = row["timeend"].lower() in FOR_EVER
        end = None if lasts else place.read("TimeEnd", row["timeend"], instant)
        if start is None or (end is None and not lasts):
            continue
        if end is not None and end <= zero_at:
            over += 1
            continue
        draft.places["outages", row["nodename"]] = place
        draft.outages.append(
            {
                "hosts": row["nodename"],
                "start_time": start - zero_at,
                "end_time": None if end is None else end - zero_at,
                "kill": kills,
                "reason": row.get("reason", ""),
            }
        )
    if over:
        Place(draft, name, 0).note(f"{over:,} outages", "ended before time 0: left out")
