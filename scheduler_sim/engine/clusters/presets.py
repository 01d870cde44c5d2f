"""Clusters by name: presets, description files and node lists.

The watts and prices of the presets come from `hardware.py`.
"""

import difflib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from scheduler_sim.engine.clusters.cluster import Cluster, NodeGroup
from scheduler_sim.engine.clusters.hardware import equipped
from scheduler_sim.engine.clusters.openb_nodes import OPENB_NODES, openb_groups, read_openb_nodes
from scheduler_sim.engine.errors import InvalidCluster, InvalidSite
from scheduler_sim.engine.lines import line_in

PRESETS = {
    "workstation": "one node of 16 cores and 4 GPUs",
    "hpc-N": "one pool of N processors",
    "dgx-N": "N nodes of 128 cores, 2 TB and 8 GPUs",
    "openb": "1,523 nodes with 6,212 GPUs of a production cluster (Alibaba, 2023)",
    "auto": "one pool of as many processors as the trace says it had",
}
"""The presets and one line about each, for help texts."""


def workstation() -> Cluster:
    """Return one node of 16 cores and 4 GPUs, whose memory is not limited."""
    group = NodeGroup(name="workstation", count=1, cores=16, gpus=4, gpu_type="A4000")
    return Cluster(name="workstation", groups=(equipped(group),))


def pool(processors: int) -> Cluster:
    """Return one pool of `processors` processors."""
    group = NodeGroup(name="processors", count=1, cores=processors)
    return Cluster(name=f"hpc-{processors}", groups=(equipped(group),))


def dgx(nodes: int) -> Cluster:
    """Return `nodes` nodes of 128 cores, 2 TB and 8 GPUs."""
    group = NodeGroup(name="dgx", count=nodes, cores=128, gpus=8, gpu_type="A100", memory_mb=2_097_152.0)
    return Cluster(name=f"dgx-{nodes}", groups=(equipped(group),))


def openb() -> Cluster:
    """Return the 1,523 nodes of the openb trace, alike nodes as one group."""
    return Cluster(name="openb", groups=openb_groups(sorted(OPENB_NODES.items())))


PRESET = re.compile(r"workstation|openb|auto|(hpc|dgx)-[0-9]{1,9}")
"""What names a preset and nothing else: over HTTP a path would be one of the server's files."""


def load_cluster(text: str | Path, *, max_processors: int | None = None) -> Cluster:
    """Return the cluster that `text` names: a preset, or the path of a file.

    Files are JSON or YAML as `Cluster.as_json` writes them (`name` may be left out: the file's own name), or an
    openb node list (csv with the columns sn, cpu_milli, memory_mib, gpu, model).

    Args:
        text: `workstation`, `hpc-256`, `dgx-4`, `openb`, `auto` or a path.
        max_processors: what the trace says about its machine, for `auto`.

    Raises:
        InvalidCluster: an unknown preset (the nearest is named), a file that cannot be read, or a description that
            has no meaning.
    """
    name = str(text).strip()
    if name == "workstation":
        return workstation()
    if name == "openb":
        return openb()
    if name == "auto":
        if not max_processors:
            raise InvalidCluster("The workload does not say how many processors its machine had; name a cluster.")
        return pool(int(max_processors))
    sized = re.fullmatch(r"(hpc|dgx)-([0-9]{1,9})", name)
    if sized:
        count = int(sized[2])
        if count == 0:
            raise InvalidCluster(f"Cluster {name} would be empty.")
        return pool(count) if sized[1] == "hpc" else dgx(count)
    path = Path(text)
    if path.suffix.lower() in _READERS or path.is_file():
        return _read(path)
    nearest = difflib.get_close_matches(re.sub(r"[0-9]+", "N", name), PRESETS, n=1)
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    raise InvalidCluster(f"There is no cluster preset or file called {name!r}.{hint} Presets: {', '.join(PRESETS)}.")


def _read(path: Path) -> Cluster:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidCluster(f"{path} is no cluster file: its name must end in {', '.join(_READERS)}.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidCluster(f"{path} is not a text file in UTF-8.") from None
    except OSError as error:
        raise InvalidCluster(f"{path} cannot be read: {error.strerror}.") from error
    if not text.strip():
        raise InvalidCluster(f"{path} is empty.")
    return reader(path, text)


def _read_json(path: Path, text: str) -> Cluster:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidCluster(f"{path} is not valid JSON: {error}.") from error
    return _from_document(path, document)


def _read_yaml(path: Path, text: str) -> Cluster:
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidCluster(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    return _from_document(path, document)


def _from_document(path: Path, document: Any) -> Cluster:
    if isinstance(document, dict):
        document = {"name": path.stem, **document}
    try:
        return Cluster.from_json(document)
    except InvalidSite as error:
        line = _line_of(path, error.path)
        raise InvalidCluster(f"{path.name}, line {line}: {error}" if line else f"{path.name}: {error}") from None


def _line_of(path: Path, where: str) -> int | None:
    """Return the line of a part of a description; None where it is JSON written in a way that YAML does not read."""
    try:
        # Tabs between tokens are such a way.
        return line_in(yaml.compose(path.read_text(encoding="utf-8-sig").replace("\t", " "), yaml.SafeLoader), where)
    except yaml.YAMLError:
        return None


def _read_csv(path: Path, text: str) -> Cluster:
    return Cluster(name=path.stem, groups=openb_groups(sorted(Counter(read_openb_nodes(text)).items())))


_READERS = {".json": _read_json, ".yaml": _read_yaml, ".yml": _read_yaml, ".csv": _read_csv}
