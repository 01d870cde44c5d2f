"""The simulator: workloads, clusters and policies in, schedules and figures out. Knows nothing of Django."""

from scheduler_sim.engine.cluster import Cluster, NodeGroup, Outage
from scheduler_sim.engine.contract import Options, Outcome
from scheduler_sim.engine.errors import EngineError, InvalidCluster, InvalidPolicy, InvalidWorkload, OversizedTasks
from scheduler_sim.engine.policies import Policy, parse_policies, parse_policy
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.version import ENGINE_VERSION
from scheduler_sim.engine.workload import Workload

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
    "Simulation",
    "Workload",
    "parse_policies",
    "parse_policy",
]
