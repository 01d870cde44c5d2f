"""The nodes of Alibaba's openb trace (cluster-trace-gpu-v2023), and the reader of its node lists."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from scheduler_sim.engine.clusters.cluster import NodeGroup
from scheduler_sim.engine.clusters.hardware import equipped
from scheduler_sim.engine.errors import InvalidCluster


@dataclass(frozen=True, order=True)
class NodeKind:
    """Nodes of one kind; the order of the fields is the order in which groups are numbered."""

    gpu_type: str
    gpus: int
    cores: int
    memory_mib: int


OPENB_NODES: dict[NodeKind, int] = {
    NodeKind("", 0, 32, 65536): 10,
    NodeKind("", 0, 32, 131072): 23,
    NodeKind("", 0, 32, 262144): 129,
    NodeKind("", 0, 64, 131072): 4,
    NodeKind("", 0, 64, 262144): 8,
    NodeKind("", 0, 64, 524288): 22,
    NodeKind("", 0, 96, 393216): 30,
    NodeKind("", 0, 96, 524288): 59,
    NodeKind("", 0, 96, 786432): 1,
    NodeKind("", 0, 104, 196608): 1,
    NodeKind("", 0, 104, 524288): 20,
    NodeKind("", 0, 104, 786432): 3,
    NodeKind("A10", 1, 128, 1048576): 2,
    NodeKind("G2", 8, 96, 393216): 549,
    NodeKind("G3", 8, 128, 786432): 39,
    NodeKind("P100", 1, 8, 61440): 3,
    NodeKind("P100", 2, 8, 61440): 2,
    NodeKind("P100", 2, 16, 122880): 107,
    NodeKind("P100", 2, 64, 262144): 22,
    NodeKind("T4", 2, 104, 524288): 387,
    NodeKind("T4", 4, 96, 393216): 17,
    NodeKind("V100M16", 1, 8, 32768): 19,
    NodeKind("V100M16", 4, 32, 131072): 28,
    NodeKind("V100M16", 8, 64, 262144): 7,
    NodeKind("V100M16", 8, 82, 344064): 1,
    NodeKind("V100M32", 4, 48, 376832): 9,
    NodeKind("V100M32", 8, 96, 786432): 21,
}
"""How many nodes of each kind the trace has: 1,523 nodes, 6,212 GPUs."""

_COLUMNS = ("cpu_milli", "memory_mib", "gpu", "model")


def openb_groups(nodes: Iterable[tuple[NodeKind, int]]) -> tuple[NodeGroup, ...]:
    """Return a node group for each kind and count, in the order given."""
    return tuple(
        equipped(
            NodeGroup(
                name=f"{kind.gpus}x{kind.gpu_type or 'cpu'}-{kind.cores}c-{kind.memory_mib // 1024}g",
                count=count,
                cores=kind.cores,
                gpus=kind.gpus,
                gpu_type=kind.gpu_type,
                memory_mb=float(kind.memory_mib),
            )
        )
        for kind, count in nodes
    )


def read_openb_nodes(text: str) -> list[NodeKind]:
    """Return the kind of each node in the text of an openb node list, in its order; a part of a core is left out.

    Raises:
        InvalidCluster: a column is missing, a value is no whole number, or there is no node.
    """
    rows = csv.DictReader(io.StringIO(text))
    missing = [column for column in _COLUMNS if column not in (rows.fieldnames or ())]
    if missing:
        raise InvalidCluster(f"The node list lacks the columns {', '.join(missing)}.")
    nodes = []
    for row in rows:
        try:
            kind = NodeKind(
                (row["model"] or "").strip(),
                int(row["gpu"]),
                int(row["cpu_milli"]) // 1000,
                int(row["memory_mib"]),
            )
        except (TypeError, ValueError):
            raise InvalidCluster(f"Line {rows.line_num} of the node list holds no whole numbers.") from None
        nodes.append(kind)
    if not nodes:
        raise InvalidCluster("The node list holds no node.")
    return nodes
