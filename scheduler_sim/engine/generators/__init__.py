"""Synthetic workloads: one file a model, a registry, everything seeded."""

from scheduler_sim.engine.generators import elastic, lublin, mixed, site
from scheduler_sim.engine.generators.registry import GENERATORS, Generated, Generator, generate_workload

__all__ = ["GENERATORS", "Generated", "Generator", "elastic", "generate_workload", "lublin", "mixed", "site"]
