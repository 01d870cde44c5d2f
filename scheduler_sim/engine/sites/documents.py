"""Descriptions of sites as YAML or JSON files, whose faults are named with their line."""

import re
from pathlib import Path
from typing import Any

import yaml

from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites.site import InvalidSite, Site

_STEP = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")


def read_site(text: str, *, name: str = "site") -> Site:
    """Return the site that a YAML or JSON text describes; a cluster's description is one.

    Args:
        text: see docs/sites.md.
        name: what to call the text in sentences, and the site that states no name.

    Raises:
        InvalidCluster: what is wrong, with its line where it can be told.
    """
    try:
        # JSON is YAML, but for tabs between its tokens.
        root = yaml.compose(text.replace("\t", " ") if text.lstrip().startswith("{") else text, yaml.SafeLoader)
        document = yaml.SafeLoader("").construct_document(root) if root is not None else None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidCluster(f"{name} is neither YAML nor JSON: {' '.join(str(error).split())}.") from error
    if not isinstance(document, dict):
        raise InvalidCluster(f"{name} holds no mapping of names to values.")
    try:
        return Site.from_json({"name": Path(name).stem, **document})
    except InvalidSite as error:
        line = _line(root, error.path)
        raise InvalidCluster(f"{name}, line {line}: {error}" if line else f"{name}: {error}") from error
    except InvalidCluster as error:
        raise InvalidCluster(f"{name}: {error}") from error


def write_site(site: Site) -> str:
    """Return a site as YAML, which `read_site` reads to the same site."""
    return yaml.safe_dump(site.as_json(), sort_keys=False, allow_unicode=True, width=120)


def _line(root: yaml.Node | None, path: str) -> int | None:
    """Return the line, from 1, of a path such as `partitions[0].tier`, or of the last part of it that there is."""
    node = root
    line = None
    for index, key in _STEP.findall(path):
        if isinstance(node, yaml.SequenceNode) and index:
            if int(index) >= len(node.value):
                break
            node = node.value[int(index)]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode) and key:
            found: Any = next(((name, value) for name, value in node.value if name.value == key), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        else:
            break
    return line
