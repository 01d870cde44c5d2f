"""Synthetic workloads: one file a model, a registry, everything seeded."""

from scheduler_sim.engine.generators import elastic, fitted, jann, lublin, mixed, site
from scheduler_sim.engine.generators.registry import (
    FITTED,
    GENERATORS,
    Fitted,
    Generated,
    Generator,
    generate_like,
    generate_workload,
)

__all__ = [
    "FITTED",
    "GENERATORS",
    "Fitted",
    "Generated",
    "Generator",
    "elastic",
    "fitted",
    "generate_like",
    "generate_workload",
    "jann",
    "lublin",
    "mixed",
    "site",
]
