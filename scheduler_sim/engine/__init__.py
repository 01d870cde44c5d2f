"""The simulator: workloads, clusters and policies in, schedules and figures out. Knows nothing of Django.

What people import is here: `read` or `generate` tasks, `play` them, and look at the `Result` (docs/library.md).
Names in `__all__` keep their meaning within a major version.
"""

import importlib
from typing import TYPE_CHECKING, Any

from scheduler_sim.engine.errors import EngineError, InvalidCluster, InvalidPolicy, InvalidWorkload, OversizedTasks
from scheduler_sim.engine.version import ENGINE_VERSION

if TYPE_CHECKING:
    from scheduler_sim.engine.clusters.cluster import Cluster, NodeGroup, Outage
    from scheduler_sim.engine.clusters.presets import load_cluster
    from scheduler_sim.engine.contract import Options, Outcome
    from scheduler_sim.engine.library.comparing import compare, study
    from scheduler_sim.engine.library.inputs import generate, read
    from scheduler_sim.engine.library.playing import play
    from scheduler_sim.engine.library.result import Result
    from scheduler_sim.engine.measuring.likeness import compare_workloads
    from scheduler_sim.engine.policies import Policy, parse_policies, parse_policy
    from scheduler_sim.engine.policies.own import compiled, deciding, program, scoring
    from scheduler_sim.engine.simulation import Simulation
    from scheduler_sim.engine.sites import Site
    from scheduler_sim.engine.workloads.workload import Workload

_LATER = {
    "Cluster": "clusters.cluster",
    "NodeGroup": "clusters.cluster",
    "Options": "contract",
    "Outage": "clusters.cluster",
    "Outcome": "contract",
    "Policy": "policies",
    "Result": "library.result",
    "Simulation": "simulation",
    "Site": "sites",
    "Workload": "workloads.workload",
    "compare": "library.comparing",
    "compare_workloads": "measuring.likeness",
    "compiled": "policies.own",
    "deciding": "policies.own",
    "generate": "library.inputs",
    "load_cluster": "clusters.presets",
    "parse_policies": "policies",
    "parse_policy": "policies",
    "play": "library.playing",
    "program": "policies.own",
    "read": "library.inputs",
    "scoring": "policies.own",
    "study": "library.comparing",
}
"""What is loaded when it is asked for, and Numba with it: most of the site's commands play nothing."""

__all__ = [
    "ENGINE_VERSION",
    "Cluster",
    "EngineError",
    "InvalidCluster",
    "InvalidPolicy",
    "InvalidWorkload",
    "NodeGroup",
    "Options",
    "Outage",
    "Outcome",
    "OversizedTasks",
    "Policy",
    "Result",
    "Simulation",
    "Site",
    "Workload",
    "compare",
    "compare_workloads",
    "compiled",
    "deciding",
    "generate",
    "load_cluster",
    "parse_policies",
    "parse_policy",
    "play",
    "program",
    "read",
    "scoring",
    "study",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
