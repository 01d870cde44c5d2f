"""What is played on nodes, beside the slow reference."""

import numpy as np

from scheduler_sim.engine import Cluster, Simulation, Workload, parse_policy
from scheduler_sim.engine.kernels.cluster.kernel import ClusterKernel
from tests.engine.gang_cases import spans_of
from tests.engine.reference_nodes import ReferenceNodes


def assert_nodes_as_in_the_reference(policy: str, workload: Workload, cluster: Cluster) -> ClusterKernel:
    """Play on nodes and compare every start, node and device with the slow reference; return the kernel."""
    simulation = Simulation(workload, cluster, parse_policy(policy))
    expected = ReferenceNodes(simulation).play()
    kernel = simulation.kernel
    assert isinstance(kernel, ClusterKernel)
    kernel.advance(until_time=np.inf, max_events=2**62)
    outcome = kernel.outcome()
    assert outcome.start_time.tolist() == expected.start
    assert outcome.node.tolist() == expected.node
    assert outcome.device.tolist() == expected.device
    assert spans_of(kernel.drain_pieces()) == sorted(expected.gangs)
    return kernel
