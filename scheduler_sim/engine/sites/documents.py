"""Descriptions of sites as YAML or JSON files, whose faults are named with their line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from scheduler_sim.engine.errors import InvalidCluster, InvalidSite, InvalidTrace
from scheduler_sim.engine.lines import line_in
from scheduler_sim.engine.packed.unpack import unpacked_name, unpacked_text
from scheduler_sim.engine.sites.site import Site

LARGEST_FILE = 64 * 2**20
"""Bytes; the files of the largest sites have a few megabytes."""

MOST_VALUES = 5_000_000
"""A text whose references stand for more values is taken for an attack."""


LineOf = Callable[[str], int | None]
"""From a path such as `partitions[0].tier` to its line, from 1, or that of the last part of it that there is."""


def read_document(text: str, *, name: str) -> tuple[dict[str, Any], LineOf]:
    """Return the mapping that a YAML or JSON text holds, and where each part of it stands.

    Raises:
        InvalidCluster: the text is none, or repeats itself without end; it is called `name`.
    """
    try:
        # JSON is YAML, but for tabs between its tokens.
        root = yaml.compose(text.replace("\t", " ") if text.lstrip().startswith("{") else text, yaml.SafeLoader)
        _refuse_endless(root, {})
        document = yaml.SafeLoader("").construct_document(root) if root is not None else None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidCluster(f"{name} is neither YAML nor JSON: {' '.join(str(error).split())}.") from error
    if not isinstance(document, dict):
        raise InvalidCluster(f"{name} holds no mapping of names to values.")
    return document, lambda path: line_in(root, path)


def read_site(text: str, *, name: str = "site") -> Site:
    """Return the site that a YAML or JSON text describes; a cluster's description is one.

    Args:
        text: see docs/sites.md.
        name: what to call the text in sentences, and the site that states no name.

    Raises:
        InvalidCluster: what is wrong, with its line where it can be told.
    """
    document, line_of = read_document(text, name=name)
    try:
        return Site.from_json({"name": Path(unpacked_name(name)).stem, **document})
    except InvalidSite as error:
        line = line_of(error.path)
        key = f"{error.path}: " if "." in error.path and not str(error).startswith(error.path) else ""
        raise InvalidCluster(f"{name}, line {line}: {key}{error}" if line else f"{name}: {key}{error}") from error
    except InvalidCluster as error:
        raise InvalidCluster(f"{name}: {error}") from error


def file_bytes(file: Path) -> bytes:
    """Return what a file holds, unpacked (gzip, bzip2, xz, zstd, a zip of one file), UTF-16 as UTF-8.

    Raises:
        InvalidCluster: it cannot be read, is damaged, or holds more than `LARGEST_FILE`.
    """
    try:
        return unpacked_text(str(file), file.open("rb"), LARGEST_FILE)
    except InvalidTrace as error:
        raise InvalidCluster(str(error)) from error
    except OSError as error:
        raise InvalidCluster(f"{file} cannot be read: {error.strerror or error}.") from error


def file_text(file: Path) -> str:
    """Return the text of a file in UTF-8.

    Raises:
        InvalidCluster: as `file_bytes`, or it is none.
    """
    try:
        return file_bytes(file).decode()
    except UnicodeDecodeError as error:
        raise InvalidCluster(f"{file} is not a text in UTF-8.") from error


def read_site_file(file: Path) -> Site:
    """Return the site that a file describes.

    Raises:
        InvalidCluster: a file that cannot be read, or what is wrong in it as of `read_site`.
    """
    return read_site(file_text(file), name=file.name)


def write_site(site: Site) -> str:
    """Return a site as YAML, which `read_site` reads to the same site."""
    return yaml.safe_dump(site.as_json(), sort_keys=False, allow_unicode=True, width=120)


def _refuse_endless(node: yaml.Node | None, sizes: dict[int, int]) -> int:
    """Return how many values a node stands for with all that it repeats by reference.

    Raises:
        ValueError: more than any site has, or a node that holds itself.
    """
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = MOST_VALUES
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        sizes[id(node)] = 1 + sum(_refuse_endless(part, sizes) for part in parts)
    if sizes[id(node)] >= MOST_VALUES:
        raise ValueError(f"its references stand for {MOST_VALUES:,} values or more")
    return sizes[id(node)]
