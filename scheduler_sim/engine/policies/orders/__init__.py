"""Every order, a small file for one or a few of a kind; importing this package registers them all.

They are listed as they are registered, wherever people choose among them: the ones that everybody knows first.
"""

import importlib
import pkgutil

FIRST = (
    "fcfs",
    "sjf",
    "ljf",
    "saf",
    "srf",
    "wfp3",
    "unicep",
    "f_scores",
    "multifactor",
    "edf",
    "random_order",
    "heft",
    "peft",
    "min_min",
    "max_min",
    "sufferage",
    "preemptive",
    "drf",
    "qssf",
)
"""Files that come before the others, which follow by name."""

for _name in dict.fromkeys([*FIRST, *(module.name for module in pkgutil.iter_modules(__path__))]):
    importlib.import_module(f"{__name__}.{_name}")
