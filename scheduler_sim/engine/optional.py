"""Packages that only a part of the engine needs: imported when that part is used, and named where they are missing."""

import importlib
from typing import Any


def optional(package: str, *, extra: str) -> Any:
    """Import a package of an extra; some take seconds, which whoever does not need them would wait for.

    Raises:
        ImportError: it is not installed; the sentence says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.split(".")[0]:
            raise
        raise ImportError(f"This needs the package {error.name}: pip install 'scheduler-sim[{extra}]'.") from error
