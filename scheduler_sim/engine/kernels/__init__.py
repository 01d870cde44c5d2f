"""Compiled event loops: one for a single pool of processors, one for nodes with GPUs and split tasks."""

from scheduler_sim.engine.cluster import Cluster
from scheduler_sim.engine.policies import Policy, Scores
from scheduler_sim.engine.simulation import Kernel, Options
from scheduler_sim.engine.workload import Workload


def make_kernel(*, workload: Workload, cluster: Cluster, policy: Policy, scores: Scores, options: Options) -> Kernel:
    """Return the quickest kernel that can play this workload on this cluster."""
    from scheduler_sim.engine.kernels.pool import PoolKernel

    return PoolKernel(workload=workload, cluster=cluster, policy=policy, scores=scores, options=options)
