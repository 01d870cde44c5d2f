"""Accounts, users and QOS as Slurm's sacctmgr dumps and prints them.

Source: https://slurm.schedmd.com/sacctmgr.html (22.05 to 24.11): `sacctmgr dump` writes lines such as
`Account - 'name':Key=Value:...` below `Parent - 'name'`; `sacctmgr show qos -P` and `show assoc -P` print tables with |
between the columns.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites import slurm_settings, values
from scheduler_sim.engine.sites.reading import Draft, Place, account_key

COMMAND = (
    "sacctmgr show assoc -P format=Cluster,Account,User,Partition,Share,ParentName,QOS,DefaultQOS,ID,GrpJobs,GrpTRES,"
    "GrpSubmit,GrpWall,GrpTRESMins,GrpTRESRunMins,MaxJobs,MaxTRES,MaxTRESPerNode,MaxSubmit,MaxWall,MaxTRESMins"
)
"""What prints the accounts with the tree of them and their numbers, neither of which sacctmgr prints by itself."""

_ENTITY = re.compile(r"(Cluster|Parent|Account|User)\s+-\s+'([^']*)'(?::(.*))?", re.IGNORECASE)
_SETTING = re.compile(r"([\w+]+)=('[^']*'|(?:gres/\w+:|[^:']|:(?=[^:=']*(?::|$)))*)")
"""A colon ends a value, but for those of spans of time and of types of resources, as in `GrpTRES=gres/gpu:a100=4`."""

_OF_ASSOCIATION = frozenset(
    [
        "cluster",
        "account",
        "user",
        "partition",
        "share",
        "shares",
        "fairshare",
        "qos",
        "defaultqos",
        "parentname",
        "id",
        "lft",
        "rgt",
        "description",
        "organization",
        "defaultaccount",
        "defaultwckey",
        "adminlevel",
        "coordinator",
        "lineage",
        "priority",
        "flags",
        "comment",
    ]
)
_OF_QOS = frozenset(
    [
        "name",
        "priority",
        "gracetime",
        "preempt",
        "preemptexempttime",
        "preemptmode",
        "flags",
        "usagethres",
        "usagefactor",
        "description",
        "id",
    ]
)


def read_dump(text: str, draft: Draft, *, name: str) -> None:
    """Take what `sacctmgr dump` wrote into a site: the tree of accounts and users with shares, QOS and limits.

    Raises:
        InvalidCluster: a text that is none of it.
    """
    parent, found = "root", False
    draft.accounts.append({"name": "root"})
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        place = Place(draft, name, number)
        match = _ENTITY.fullmatch(line)
        if match is None:
            place.note(line, "not understood")
            continue
        found = True
        kind, entity = match[1].lower(), match[2]
        if kind == "parent":
            parent = entity
        elif kind == "account":
            _association(draft, place, {"name": entity, "parent": parent}, _settings(match[3]))
        elif kind == "user":
            _association(draft, place, {"name": parent, "user": entity}, _settings(match[3]))
        else:
            draft.name = draft.name or entity
            _association(draft, place, {"name": "root"}, _settings(match[3]))
    if not found:
        raise InvalidCluster(f"{name} is no dump of sacctmgr: it has no line like Account - 'name'.")


def read_associations(text: str, draft: Draft, *, name: str) -> None:
    """Take what `sacctmgr show assoc -P` printed into a site; arguments as of `read_dump`.

    Of several clusters the rows of the site's are taken: each numbers its accounts on its own.

    Raises:
        InvalidCluster: a text that is none of it, or of several clusters where the site's is not known.
    """
    has_parents = True
    rows = list(table(text, draft, name, {"account", "user"}))
    if len(clusters := clusters_of(rows, draft, f"{name} holds accounts")) > 1:
        own = [(place, row) for place, row in rows if is_of_site(draft, row)]
        Place(draft, name, 0).note(
            f"{len(rows) - len(own):,} rows", f"are of other clusters than {draft.name}, of {len(clusters)}: left out"
        )
        rows = own
    for place, row in rows:
        entity: dict[str, Any] = {"name": row["account"]}
        if row["user"]:
            entity["user"] = row["user"]
            if row.get("partition"):
                entity["partition"] = row["partition"]
        elif row["account"] != "root":
            entity["parent"] = row.get("parentname") or "root"
            has_parents = has_parents and "parentname" in row
        if row.get("id"):
            draft.associations[row["id"]] = row["account"], row["user"]
        _association(draft, place, entity, row)
    if not has_parents:
        Place(draft, name, 1).note("no column ParentName", f"all accounts are below root: print it with {COMMAND}")


def read_qos(text: str, draft: Draft, *, name: str) -> None:
    """Take what `sacctmgr show qos -P` printed into a site; arguments and errors as of `read_dump`."""
    for place, row in table(text, draft, name, {"name", "priority"}):
        qos: dict[str, Any] = {"name": row["name"], "limits": place.limits(row.items(), _OF_QOS)}
        for key, option, reader in (
            ("priority", "priority", int),
            ("gracetime", "grace_time", values.seconds),
            ("preempt", "preempts", lambda text: list(values.words(text))),
            ("preemptexempttime", "exempt_time", values.minutes),
            ("preemptmode", "preempt_mode", slurm_settings.preempt_mode),
            ("usagefactor", "usage_factor", float),
            ("flags", "flags", lambda text: list(values.words(text))),
        ):
            value = place.read(key, row[key], reader) if row.get(key) else None
            if value is not None:
                qos[option] = value
        draft.places["qos", row["name"]] = place
        draft.qos[row["name"]] = qos


def _association(draft: Draft, place: Place, entity: dict[str, Any], stated: dict[str, str]) -> None:
    share = stated.get("fairshare") or stated.get("share") or stated.get("shares") or "1"
    entity["shares"] = "parent" if share.lower() == "parent" else place.read("Fairshare", share, int)
    if entity["shares"] is None:
        del entity["shares"]
    if stated.get("qos"):
        entity["qos"] = list(values.words(stated["qos"]))
    if default := stated.get("defaultqos"):
        entity["default_qos"] = default
    if limits := place.limits(stated.items(), _OF_ASSOCIATION):
        entity["limits"] = limits
    if entity["name"] == "root" and "user" not in entity:
        draft.accounts[:] = [one for one in draft.accounts if one["name"] != "root" or "user" in one]
    draft.places["accounts", account_key(entity)] = place
    draft.accounts.append(entity)


def _settings(text: str | None) -> dict[str, str]:
    return {key.lower(): value.strip("'") for key, value in _SETTING.findall(text or "")}


def clusters_of(rows: Iterable[tuple[Place, dict[str, str]]], draft: Draft, what: str) -> set[str]:
    """Return the names of the clusters that the rows of a table are of, in lower case.

    Args:
        what: is in the table, for the sentence.

    Raises:
        InvalidCluster: there are several, and it is not known which is the site's.
    """
    clusters = {row["cluster"].lower() for _, row in rows if row.get("cluster")}
    if not draft.name and len(clusters) > 1:
        raise InvalidCluster(
            f"{what} of several clusters ({', '.join(sorted(clusters)[:5])}): add slurm.conf or what "
            "scontrol show config prints, whose ClusterName tells which is meant."
        )
    return clusters


def is_of_site(draft: Draft, row: dict[str, str]) -> bool:
    """Tell whether a row of a table is of the site's cluster, as one is that names none."""
    # The accounting writes names of clusters in lower case.
    return not draft.name or (row.get("cluster") or draft.name).lower() == draft.name.lower()


def table(text: str, draft: Draft, name: str, needed: set[str]) -> Iterator[tuple[Place, dict[str, str]]]:
    """Yield the rows of a table that sacctmgr printed with -P, with their places.

    Args:
        needed: the columns that it must have, in lower case.

    Raises:
        InvalidCluster: one is missing.
    """
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    heads = [head.strip().lower().replace(" ", "") for head in lines[0][1].split("|")] if lines else []
    names = [{"defqos": "defaultqos", "parname": "parentname"}.get(head, head) for head in heads]
    if not needed <= set(names):
        lacks = ", ".join(sorted(needed - set(names)))
        raise InvalidCluster(f"{name} is no table that sacctmgr printed with -P: its first line lacks {lacks}.")
    for number, line in lines[1:]:
        place = Place(draft, name, number)
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < len(names):
            place.note(line, f"has {len(cells)} fields and not {len(names)}")
            continue
        yield place, dict(zip(names, cells, strict=False))
