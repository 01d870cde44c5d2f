"""In which line of a YAML or JSON text a part of a description stands."""

import re
from typing import Any

import yaml

_STEP = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")


def line_in(root: yaml.Node | None, path: str) -> int | None:
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
