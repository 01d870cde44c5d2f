"""On which node the first waiting task runs."""

from typing import Unpack

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.demand import UNLIMITED, NodeGroups, demands, refuse_oversized
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.codes import MILLI, RUNNING
from scheduler_sim.engine.errors import InvalidCluster, InvalidWorkload
from scheduler_sim.engine.formulas import rigid_time
from scheduler_sim.engine.gym.choosing import ChoosingEnv, ChoosingVectorEnv, Episodes, Game
from scheduler_sim.engine.kernels.choices.placement import (
    OF_NODE,
    OF_TASK,
    RESOURCES,
    Placing,
    begin_or_place,
)
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Workload


class PlacementGame(Game):
    """Clusters, and the first task that waits on each; see `PlacementEnv`.

    Raises:
        InvalidCluster: nodes that are away for a while, fail or sleep.
        InvalidWorkload: tasks that have parents, may be split, share a GPU or need several nodes.
        OversizedTasks: tasks that no empty node holds.
    """

    def __init__(self, workload: Workload, cluster: Cluster, places: int, **episodes: Unpack[Episodes]) -> None:
        # A slowdown is by how long a task really took, so that slow nodes flatter it.
        super().__init__(workload, places, **Episodes(objective="jct") | episodes)
        if cluster.fails or cluster.sleeps or any(group.outages for group in cluster.groups):
            raise InvalidCluster(
                f"Nodes are chosen among those that stay and are awake; cluster {cluster.name} has outages, failures "
                "or sleep."
            )
        asked = demands(workload, cluster)
        refuse_oversized(workload, cluster, asked)
        if workload.parents.count or workload.hybrid.any() or asked.full_nodes.any() or (asked.gpu % MILLI).any():
            raise InvalidWorkload("Nodes are chosen for rigid tasks on one node, with whole GPUs and without parents.")
        groups = NodeGroups.of(cluster)
        self.nodes = int(groups.count.sum())
        self.seen, self.actions = OF_TASK + self.nodes * OF_NODE, self.nodes
        self._group = np.repeat(np.arange(len(groups.count)), groups.count)
        self._capacity = np.stack([groups.cpu, groups.gpus, groups.memory], axis=1)
        limited = np.where(self._capacity < UNLIMITED, self._capacity, 0).max(0)
        self._largest = np.maximum(limited, 1).astype(np.float64)
        paces, of_cores, on_gpu = Paces.of(workload, cluster), cluster.of_groups("cpu_speed"), asked.gpu > 0
        # Where no node limits memory, nobody needs any.
        memory = asked.memory * (self._capacity[:, -1] < UNLIMITED).any()
        self._need = np.stack([asked.cpu, asked.gpu // MILLI, memory], axis=1)
        held = (self._need[:, None, :] <= self._capacity[None]).all(2)
        self._admitted = held & (~on_gpu[:, None] | asked.allowed[asked.kinds.codes])

        def by_group(seconds: FloatArray) -> FloatArray:
            on = [rigid_time(seconds, on_gpu, speed, paces.on(group)) for group, speed in enumerate(of_cores.tolist())]
            return np.stack(on, axis=1)

        self._duration, self._expected = by_group(workload.runtime), by_group(workload.duration_estimate)
        shape, kinds = (places, self.length), len(groups.count)
        self.state = Placing(
            arrival=np.empty(shape),
            estimate=np.empty(shape),
            duration=np.empty((*shape, kinds)),
            expected=np.empty((*shape, kinds)),
            need=np.empty((*shape, RESOURCES), np.int64),
            admitted=np.empty((*shape, kinds), np.bool_),
            free=np.empty((places, self.nodes, RESOURCES), np.int64),
            busy_until=np.empty((places, self.nodes)),
            counts=np.zeros((places, RUNNING + 1), np.int64),
            clock=np.empty((places, 1)),
            start=np.empty(shape),
            finish=np.empty(shape),
            node=np.empty(shape, np.int64),
            took=np.empty(shape),
            end_times=np.empty(shape),
            end_rows=np.empty(shape, np.int64),
        )

    def draw(self, place: int, generator: np.random.Generator) -> None:
        """Put a sequence and idle nodes at one place."""
        state = self.state
        chosen, state.arrival[place] = self.cut(generator)
        state.estimate[place] = self.workload.duration_estimate[chosen]
        state.duration[place], state.expected[place] = self._duration[chosen], self._expected[chosen]
        state.need[place], state.admitted[place] = self._need[chosen], self._admitted[chosen]
        state.free[place] = self._capacity[self._group]
        state.busy_until[place] = state.clock[place] = -np.inf
        state.counts[place] = 0
        state.start[place] = state.finish[place] = np.nan
        state.node[place] = -1

    def play(self, actions: IntArray, begins: BoolArray, seen: FloatArray, figures: FloatArray) -> None:
        """Take one step everywhere."""
        begin_or_place(actions, begins, self._group, self._largest, self.state, seen, figures)

    def masks(self, seen: FloatArray) -> BoolArray:
        """Return which nodes hold the task now."""
        return np.asarray(seen[:, OF_TASK::OF_NODE] == 1.0)


class PlacementEnv(ChoosingEnv):
    """One cluster, one sequence an episode; the action is the node on which the first waiting task runs.

    Tasks start in the order of their arrival; one that no node holds blocks the queue. As soon as a node holds the
    first, the agent chooses among those that do. Always the lowest of them is `fcfs`, which is `fcfs@first_fit`.

    Args:
        workload: what sequences are cut from: rigid tasks without parents, on one node, with whole GPUs.
        cluster: its nodes; groups may differ in size, kinds of GPU and speed.
        length: tasks a sequence (256).
        variation: how sequences differ from the workload; by default they are as recorded.
        objective: what the reward goes by: `jct` (the default), `wait` or `bsld`. A slowdown is by how long a task
            really took, so that slow nodes flatter it.
    """

    def __init__(self, workload: Workload, cluster: Cluster, **episodes: Unpack[Episodes]) -> None:
        super().__init__(PlacementGame(workload, cluster, 1, **episodes))


class PlacementVectorEnv(ChoosingVectorEnv):
    """Many environments like `PlacementEnv`, all stepped in one compiled call; arguments as there."""

    def __init__(self, workload: Workload, cluster: Cluster, *, num_envs: int, **episodes: Unpack[Episodes]) -> None:
        super().__init__(PlacementGame(workload, cluster, num_envs, **episodes))
