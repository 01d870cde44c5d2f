"""Policies of one's own from files and installed packages."""

import importlib.util
import sys
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import NoReturn

from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.policies.order import ORDERS

GROUP = "scheduler_sim.policies"
"""Under this name installed packages say which of their modules register policies."""


class _AsItStands(SourceFileLoader):
    """Reads a file and keeps no bytecode of it, which would hide an edit of the same length within the same second."""

    def path_stats(self, path: object) -> NoReturn:
        """Say that no bytecode can be told to be new enough, upon which none is read or written."""
        raise OSError


def load_policies(path: str | Path) -> list[str]:
    """Run a Python file that registers policies, and return the names of those that it registered.

    The file is run as any program of yours: load only what you trust. The site loads none that was uploaded or stored.

    Raises:
        InvalidPolicy: a file that cannot be read or run, or that registers nothing.
    """
    # Who asks later which file a policy comes from, and Numba's folder of its code, would look below another folder.
    file = Path(path).resolve()
    before = {order.name: order for order in ORDERS}
    # Files of one name in several folders are several modules.
    name = f"policies of {file}"
    spec = importlib.util.spec_from_file_location(name, file, loader=_AsItStands(name, str(file)))
    if spec is None or spec.loader is None or file.suffix != ".py" or not file.is_file():
        raise InvalidPolicy(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    # Classes look their module up by its name.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        # Nothing is left of a file that fails half-way.
        del sys.modules[spec.name]
        for order in list(ORDERS):
            if before.get(order.name) is not order:
                ORDERS.remove(order.name)
        for order in before.values():
            ORDERS.replace(order)
        if isinstance(error, InvalidPolicy):
            raise
        raise InvalidPolicy(f"{path} fails: {type(error).__name__}: {error}") from error
    found = [order.name for order in ORDERS if before.get(order.name) is not order]
    if not found:
        raise InvalidPolicy(f"{path} registers no policy; see @scoring, @compiled and @deciding in docs/library.md.")
    return found


@cache
def load_installed() -> tuple[str, ...]:
    """Load what installed packages register under `GROUP`, once a process, and return the names of the entry points.

    Raises:
        InvalidPolicy: one that cannot be loaded.
    """
    # Looking through the installed packages takes time that only who names such a policy shall wait.
    from importlib import metadata

    points = metadata.entry_points(group=GROUP)
    for point in points:
        try:
            point.load()
        except Exception as error:
            raise InvalidPolicy(
                f"The policies of {point.value} cannot be loaded: {type(error).__name__}: {error}"
            ) from error
    return tuple(point.name for point in points)
