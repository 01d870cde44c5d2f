"""Files of a site told apart by what is in them, as people who choose several at once send them."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.packed.unpack import unpacked_name
from scheduler_sim.engine.sites.documents import read_site_file
from scheduler_sim.engine.sites.reading import Note
from scheduler_sim.engine.sites.site import Site
from scheduler_sim.engine.sites.slurm_files import SOURCES, read_slurm_site, slurm_text
from scheduler_sim.engine.sites.slurm_reserved import COLUMNS, COMMAND

DESCRIBED_BY = (".yaml", ".yml", ".json")
"""How names of descriptions end, before what says that they are packed."""

_HEAD = 4096
"""Characters at the beginning of a file that tell what it is."""

_DUMPED = re.compile(r"^\s*(Cluster|Parent|Account|User)\s+-\s+'", re.MULTILINE | re.IGNORECASE)
_SETTING = re.compile(r"^\s*[A-Za-z][\w/]*\s*=", re.MULTILINE)
_INCLUDE = re.compile(r"^\s*include\s+(\S+)", re.MULTILINE | re.IGNORECASE)
_GRES = re.compile(r"^\s*(AutoDetect|(NodeName=\S+\s+)?Name)\s*=", re.IGNORECASE)
_NODES = re.compile(r"^\s*(NodeName|PartitionName)\s*=", re.MULTILINE | re.IGNORECASE)
_SWITCH = re.compile(r"^\s*SwitchName\s*=", re.MULTILINE | re.IGNORECASE)
_DESCRIBED = re.compile(r"^[\"']?(groups|name)[\"']?\s*:", re.MULTILINE)

_CALLED = {
    "description": "a description of a site in YAML or JSON",
    "configuration": "slurm.conf (neither includes the other)",
    "gres": "gres.conf",
    "topology": "topology.conf",
    "reservations": f"scontrol show reservation or {COMMAND}",
    "events": "sacctmgr show event -P",
    **{key: command for key, (command, _) in SOURCES.items()},
}


@dataclass(frozen=True)
class SiteFiles:
    """Which file is what.

    Attributes:
        description: YAML or JSON; there is no other file beside it.
        printed: by a key of `SOURCES`.
        slurm_conf, gres_conf, topology, reservations, events: None where there is none.
    """

    description: Path | None = None
    printed: Mapping[str, Path] = field(default_factory=dict)
    slurm_conf: Path | None = None
    gres_conf: Path | None = None
    topology: Path | None = None
    reservations: Path | None = None
    events: Path | None = None


def read_site_files(
    files: Iterable[Path],
    *,
    zero_at: float | None = None,
    name: str = "",
    checked: Callable[[Path], None] = lambda _: None,
) -> tuple[Site, list[Note], list[Path]]:
    """Return the site that some files make up together, what of them was not understood, and the files that were read.

    Args:
        files: a description in YAML or JSON, or files of Slurm, each told by its contents; those that slurm.conf
            includes lie beside it.
        zero_at, name: as of `read_slurm_site`; a description keeps its own name.
        checked: is given a description before it is read, and may raise.

    Raises:
        InvalidCluster: a file that is none of those, two that are the same, or what is wrong in one.
    """
    files = list(files)
    sorted_out = sort_site_files(files)
    if sorted_out.description is not None:
        checked(sorted_out.description)
        return read_site_file(sorted_out.description), [], files
    site, notes = read_slurm_site(
        sorted_out.printed,
        slurm_conf_file=sorted_out.slurm_conf,
        gres_conf_file=sorted_out.gres_conf,
        topology_file=sorted_out.topology,
        reservations_file=sorted_out.reservations,
        events_file=sorted_out.events,
        zero_at=zero_at,
        name=name,
    )
    return site, notes, files


def sort_site_files(files: Iterable[Path]) -> SiteFiles:
    """Return which file is what.

    Raises:
        InvalidCluster: a file that is nothing of a site, two that are the same, or none at all.
    """
    found: dict[str, Path] = {}
    texts: dict[Path, str] = {}
    for file in files:
        text = slurm_text(file)
        kind = _kind(file, text)
        if kind == "configuration":
            texts[file] = text
        else:
            _take(found, kind, file)
    found |= _configuration(texts)
    if "dump" in found and "assoc" in found:
        raise InvalidCluster(
            f"{found['dump'].name} and {found['assoc'].name} both hold the accounts; give one of the two."
        )
    if "description" in found and len(found) > 1:
        others = ", ".join(file.name for kind, file in found.items() if kind != "description")
        raise InvalidCluster(
            f"{found['description'].name} describes a whole site, so no other file can be given with it: {others}."
        )
    if not found:
        raise InvalidCluster("No file of a site was given.")
    return SiteFiles(
        description=found.get("description"),
        printed={key: found[key] for key in SOURCES if key in found},
        slurm_conf=found.get("configuration"),
        gres_conf=found.get("gres"),
        topology=found.get("topology"),
        reservations=found.get("reservations"),
        events=found.get("events"),
    )


def _take(found: dict[str, Path], kind: str, file: Path) -> None:
    if kind in found:
        raise InvalidCluster(f"{found[kind].name} and {file.name} both look like {_CALLED[kind]}; give one of the two.")
    found[kind] = file


def _kind(file: Path, text: str) -> str:
    head = text.lstrip()[:_HEAD]
    columns = {one.strip().lower() for one in head.partition("\n")[0].split("|")}
    starts: Mapping[str, bool] = {
        "config": head.startswith("Configuration data as of"),
        "nodes": head.startswith("NodeName=") and "CPUTot=" in head,
        "partitions": head.startswith("PartitionName=") and "TotalNodes=" in head,
        "reservations": head.startswith(("ReservationName=", "No reservations in the system")) or columns >= COLUMNS,
        "qos": {"name", "priority", "gracetime"} <= columns,
        "assoc": {"account", "user", "share"} <= columns,
        "events": {"nodename", "timestart", "state"} <= columns,
        "topology": _SWITCH.search(text) is not None and not _NODES.search(text),
        "dump": _DUMPED.search(text) is not None,
        "description": Path(unpacked_name(file.name)).suffix.lower() in DESCRIBED_BY or head.startswith("{"),
    }
    kind = next((kind for kind, is_it in starts.items() if is_it), "")
    if kind:
        return kind
    if "jobid" in columns:
        raise InvalidCluster(
            f"{file.name} is what sacct printed: it makes a workload, and importsite --auto infers a site from it."
        )
    if _SETTING.search(text) or _INCLUDE.search(text):
        return "configuration"
    if _DESCRIBED.search(text):
        return "description"
    known = ", ".join(called.partition(" (")[0] for called in _CALLED.values())
    raise InvalidCluster(f"{file.name} is nothing that a site is read from. What can be read: {known}.")


def _configuration(texts: Mapping[Path, str]) -> dict[str, Path]:
    """Return slurm.conf and gres.conf among files of configuration, of which the others must be included by them."""
    included = {Path(name).name for text in texts.values() for name in _INCLUDE.findall(text)}
    found: dict[str, Path] = {}
    parts: dict[str, Path] = {}
    for file, text in texts.items():
        name = unpacked_name(file.name)
        if name in included:
            if parts.setdefault(name, file) is not file:
                raise InvalidCluster(
                    f"Two files are called {name}: {parts[name].name} and {file.name}; give one of them."
                )
            continue
        lines = [line for line in text.splitlines() if _SETTING.match(line)]
        is_gres = name.lower() == "gres.conf" or all(map(_GRES.match, lines))
        _take(found, "gres" if is_gres else "configuration", file)
    if texts and not found:
        names = ", ".join(file.name for file in texts)
        raise InvalidCluster(f"Each of {names} is included by another: none of them is slurm.conf.")
    return found
