"""Repeat the inflation experiment of the FGD paper (Weng et al., USENIX ATC 2023) and print what each placement fits.

Pods of Alibaba's openb trace arrive one after the other in random order, and never end, until the GPUs they asked for
reach a share of the cluster's 6,212 GPUs. A pod that fits nowhere is turned away. The GPU allocation ratio is the GPUs
then held over the GPUs of the cluster. Where the trace asks for less than that share, its pods are drawn once more,
in another random order. The authors play the 1,213 nodes with GPUs, without the 310 others (`--gpu-nodes`), and of
nodes that tie take the first by name, so that the nodes are in the order of the trace's node list (`--nodes`). Run from
the project's root, as they do:

    python -m benchmarks.fgd_inflation --nodes openb_node_list_all_node.csv --gpu-nodes openb_pod_list_default.csv
"""

import itertools
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.project import described
from scheduler_sim.engine import Cluster, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.openb_nodes import openb_groups, read_openb_nodes
from scheduler_sim.engine.clusters.oversize import fit_workload
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.traces import read_trace

PLACEMENTS = "random,worst_fit,first_fit,best_fit,weighted_fit,fgd,fgd(gain=percent)"


def in_order(path: Path) -> Cluster:
    """Return the nodes of an openb node list in its order; alike ones that follow each other form a group."""
    kinds = itertools.groupby(read_openb_nodes(path.read_text(encoding="utf-8")))
    return Cluster(path.stem, openb_groups((kind, len(list(nodes))) for kind, nodes in kinds))


def gpu_nodes(cluster: Cluster) -> Cluster:
    """Return the nodes with GPUs alone."""
    return replace(cluster, groups=tuple(group for group in cluster.groups if group.gpus))


def inflate(pods: Workload, cluster: Cluster, share: float, seed: int) -> Workload:
    """Return pods in random order, one a second, whose GPUs sum to `share` of the cluster's; none of them ends."""
    generator = np.random.default_rng(seed)
    wanted = share * cluster.gpus
    rounds = int(np.ceil(wanted / pods.gpus.sum())) + 1
    order = np.concatenate([generator.permutation(len(pods)) for _ in range(rounds)])
    order = order[: int(np.searchsorted(np.cumsum(pods.gpus[order]), wanted, side="right"))]
    types = pods.gpu_type.texts()
    return Workload.from_columns(
        arrival_time=np.arange(len(order), dtype=np.float64),
        runtime=np.full(len(order), 10.0 * len(order)),
        cpus=pods.cpus[order],
        gpus=pods.gpus[order],
        memory_mb=pods.memory_mb[order],
        gpu_type=[types[row] for row in order],
    )


def allocation_ratio(workload: Workload, cluster: Cluster, placement: str, seed: int) -> float:
    """Return the GPUs that are held when all pods have arrived, over those of the cluster.

    Pods that not even the empty cluster could start are turned away like the others.
    """
    last = float(workload.arrival_time[-1])
    workload = fit_workload(workload, cluster, on_oversize="drop")[0]
    simulation = Simulation(workload, cluster, parse_policy(f"fcfs+list@{placement}"), seed=seed)
    simulation.advance(until_time=last)
    placed = ~np.isnan(simulation.outcome().start_time)
    return float(workload.gpus[placed].sum() / cluster.gpus)


def main() -> None:
    """Play every placement over all seeds and print the ratios."""
    parser = described(__doc__)
    parser.add_argument("pods", type=Path, nargs="+", help="openb_pod_list_*.csv of cluster-trace-gpu-v2023")
    parser.add_argument(
        "--cluster", default="openb", help="a preset, or a node list of the trace, alike nodes together"
    )
    parser.add_argument("--nodes", type=Path, help="a node list of the trace, its nodes in its order")
    parser.add_argument("--gpu-nodes", action="store_true", help="leave out the nodes without GPUs, as the authors do")
    parser.add_argument("--placements", default=PLACEMENTS, help="comma-separated, default %(default)s")
    parser.add_argument("--share", type=float, default=1.0, help="requested GPUs over the cluster's, default 1")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    cluster = in_order(arguments.nodes) if arguments.nodes else load_cluster(arguments.cluster)
    if arguments.gpu_nodes:
        cluster = gpu_nodes(cluster)
    table = Table(title=f"GPU allocation ratio (%), {arguments.share:.0%} of {cluster.gpus:,} GPUs requested")
    for heading in ("pods", "placement", "median", "least", "most", "GPUs not allocated (median)"):
        table.add_column(heading, justify="left" if heading in ("pods", "placement") else "right", overflow="fold")
    for path in arguments.pods:
        pods = read_trace(path, format="openb").workload
        inflated = [inflate(pods, cluster, arguments.share, seed) for seed in range(arguments.seeds)]
        for placement in arguments.placements.split(","):
            values = [allocation_ratio(workload, cluster, placement, seed) for seed, workload in enumerate(inflated)]
            middle = statistics.median(values)
            cells = [f"{100 * value:.2f}" for value in (middle, min(values), max(values))]
            table.add_row(path.stem, placement, *cells, f"{(1 - middle) * cluster.gpus:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
