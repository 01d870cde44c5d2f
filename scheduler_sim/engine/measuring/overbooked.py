"""Whether a schedule holds more of a node than there is, told node by node from what each task held there."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.contract import Attempts, Pieces
from scheduler_sim.engine.gangs import Gangs
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray

WORDS = {"cores": "cores", "gpus": "GPUs"}
"""What is counted, as it is called."""

MOST_PIECES = 1_000_000
"""So many pieces take some 100 MB while they are added up."""

SLACK = 1e-6
"""Thousandths by which what was asked for may have been rounded up."""


@dataclass(frozen=True)
class Overbooked:
    """The first instant at which a node holds too much: how much of what, and how much there is."""

    node: int
    time: float
    resource: str
    held: float
    there: float


def told_of(spans: Attempts, gangs: Gangs) -> BoolArray:
    """Return of which spans `gangs` say what was held of each node: those of the same task that begin as they do."""
    return np.isin(_keys(spans.row, spans.start_time), _keys(gangs.task, gangs.start_time))


def overbooked(
    cluster: Cluster,
    spans: Attempts,
    gangs: Gangs,
    *,
    resources: Sequence[str] = tuple(WORDS),
    most_pieces: int = MOST_PIECES,
) -> Overbooked | None:
    """Return where a node holds more than it has, None where none does; by `resources`, then the lowest node.

    Args:
        spans: in which tasks held devices. Of those that `gangs` tell of, what they say counts.
        gangs: on nodes of the cluster, `task` being rows.
        resources: some of `WORDS`; what a policy does not deal out node by node is not to be counted.
        most_pieces: so many nodes of all spans together are looked at at a time, which bounds the memory.
    """
    alone = spans[~told_of(spans, gangs)]
    chunks = list(gangs.node_chunks(cluster.nodes, most_pieces))
    for resource, (first, last) in product(resources, chunks):
        here = alone[(alone.node >= first) & (alone.node < last)]
        found = _overbooked_of(cluster, here, gangs.on_nodes(first, last).pieces(), resource)
        if found is not None:
            return found
    return None


def _overbooked_of(cluster: Cluster, alone: Attempts, pieces: Pieces, resource: str) -> Overbooked | None:
    ours: FloatArray = getattr(alone, resource if resource == "gpus" else "cpus")
    theirs: IntArray = pieces.gpus if resource == "gpus" else pieces.cpus
    found = _first_above(
        node=np.concatenate((alone.node, pieces.node)),
        start=np.concatenate((alone.start_time, pieces.start_time)),
        end=np.concatenate((alone.end_time, pieces.end_time)),
        amount=np.concatenate((np.floor(ours * MILLI + SLACK).astype(np.int64), theirs)),
        there=MILLI * cluster.of_groups(resource).astype(np.int64)[cluster.group_of_nodes()],
    )
    if found is None:
        return None
    node, time, held, there = found
    return Overbooked(node, time, WORDS[resource], held / MILLI, there / MILLI)


def _keys(row: IntArray, start: FloatArray) -> np.ndarray:
    keys = np.empty(len(row), [("row", np.int64), ("start", np.float64)])
    keys["row"], keys["start"] = row, start
    return keys


def _first_above(
    *, node: IntArray, start: FloatArray, end: FloatArray, amount: IntArray, there: IntArray
) -> tuple[int, float, int, int] | None:
    """Return the lowest node that holds more than is there, when that is first, how much, and how much there is."""
    held = (end > start) & (amount > 0)
    node, start, end, amount = node[held], start[held], end[held], amount[held]
    # Who leaves at an instant makes room for who comes then.
    times, nodes = np.concatenate((end, start)), np.concatenate((node, node))
    change = np.concatenate((-amount, amount))
    order = np.lexsort((change > 0, times, nodes))
    level = np.cumsum(change[order])
    # Every node ends with nothing held, so that one sum runs over all of them.
    above = np.flatnonzero(level > there[nodes[order]])
    if not len(above):
        return None
    place = order[above[0]]
    return int(nodes[place]), float(times[place]), int(level[above[0]]), int(there[nodes[place]])
