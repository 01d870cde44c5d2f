"""What the tasks of a schedule ask of nodes, hold there, and for how long."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from scheduler_sim.engine.clusters.demand import demands
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.formulas import hybrid_sides, played_runtime
from scheduler_sim.engine.instant.decision import NotExplained
from scheduler_sim.engine.instant.room import Asked, Need, Piece, Room
from scheduler_sim.engine.instant.standing import Schedule
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray


def _refuse_parts_beside_whole(need: Need) -> None:
    if need.whole and need.share:
        raise NotExplained("Of a task with whole GPUs and a part of one, it is not stored which is the shared one.")


class Holdings:
    """What tasks of a schedule ask for and hold on the nodes of its cluster."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule, self.workload, self.cluster = schedule, schedule.workload, schedule.cluster
        self.demands = demands(self.workload, self.cluster)
        self.group = self.cluster.group_of_nodes()
        self.fraction = schedule.outcome.gpu_fraction
        self.played = played_runtime(self.workload, kill_at_estimate=schedule.options.kill_at_estimate)
        self._asked: dict[int, Asked] = {}
        self._masks: dict[tuple[int, bool, int], BoolArray] = {}
        self._data_times: dict[int, float] = {}

    @cached_property
    def _bound(self) -> IntArray:
        """The only group that each task may use, -1 for any."""
        group = self.schedule.as_stored().choices().group
        return np.full(len(self.workload), -1, np.int64) if group is None else group

    @cached_property
    def _paces(self) -> Paces:
        return Paces.of(self.workload, self.cluster)

    def asked(self, row: int) -> Asked:
        """Return what a task takes where it starts; a hybrid one by the fraction that it took."""
        if row not in self._asked:
            self._asked[row] = self._work_out(row)
        return self._asked[row]

    def _work_out(self, row: int) -> Asked:
        found = self.demands
        cpu, gpu, memory = (int(column[row]) for column in (found.last_cpu, found.last_gpu, found.last_memory))
        if self.workload.hybrid[row]:
            fraction = self.fraction[row]
            cpu, gpu = (cpu if fraction < 1.0 else 0), (gpu if fraction > 0.0 else 0)
        count = int(found.full_nodes[row])
        full = Need(int(found.full_cpu[row]), int(found.full_memory[row]), int(found.full_gpus[row]), 0)
        last = Need(cpu, memory, gpu // MILLI, gpu % MILLI)
        pieces = count + (count == 0 or cpu > 0 or gpu > 0)
        # A piece without GPUs of a task that has some may lie anywhere.
        return Asked(pieces, count, full, last, self._allowed(row, full.whole > 0 if count else gpu > 0))

    def _allowed(self, row: int, on_gpu: bool) -> BoolArray:
        key = (int(self.demands.kinds.codes[row]) if on_gpu else -1, on_gpu, int(self._bound[row]))
        if key not in self._masks:
            label, _, bound = key
            if bound >= 0:
                allowed = self.group == bound
            else:
                allowed = self.demands.allowed[label][self.group] if on_gpu else np.ones(len(self.group), bool)
            self._masks[key] = allowed
        return self._masks[key]

    def pieces(self, row: int, since: float, node: int | None = None, device: int | None = None) -> list[Piece]:
        """Return what a task holds that began or went on at `since`, as stored, the nodes of a gang as a whole first.

        Args:
            node, device: of the attempt, where it is not the only one.

        Raises:
            NotExplained: it runs on several nodes, of which the lowest is stored, or on a part of a GPU beside whole
                ones.
        """
        asked, outcome = self.asked(row), self.schedule.outcome
        if asked.full_count:
            return self._gang(row, since)
        need = asked.last
        _refuse_parts_beside_whole(need)
        node = int(outcome.node[row]) if node is None else node
        device = int(outcome.device[row]) if device is None else device
        return [Piece(node, need, device if need.share else -1)]

    def knows_gang(self, row: int, since: float) -> bool:
        """Tell whether it is stored what a gang that began or went on at `since` held of each node."""
        return (row, since) in self._spans

    @cached_property
    def _spans(self) -> dict[tuple[int, float], int]:
        gangs = self.schedule.gangs
        if gangs is None:
            return {}
        begins = zip(gangs.task.tolist(), gangs.start_time.tolist(), strict=True)
        return {key: place for place, key in enumerate(begins)}

    def _gang(self, row: int, since: float) -> list[Piece]:
        """Return what a task holds of each of its nodes."""
        gangs, asked = self.schedule.gangs, self.asked(row)
        place = self._spans.get((row, since))
        if gangs is None or place is None:
            raise NotExplained(
                "Of a task on several nodes the lowest is stored, so that it is not known what the others have left."
            )
        held = gangs[np.array([place])].pieces()
        full: list[Piece] = []
        last: list[Piece] = []
        taken = held.gpus < asked.full.whole * MILLI if asked.full.whole else held.cpus < asked.full.cpu
        for node, devices, is_last in zip(held.node.tolist(), held.devices.tolist(), taken.tolist(), strict=True):
            if is_last:
                _refuse_parts_beside_whole(asked.last)
                # A part of one GPU and no whole one: the only bit of the mask.
                last.append(Piece(node, asked.last, devices.bit_length() - 1 if asked.last.share else -1))
            else:
                full.append(Piece(node, asked.full))
        return [*full, *last]

    def put(
        self, room: Room, row: int, time: float, *, since: float, node: int | None = None, device: int | None = None
    ) -> list[Piece]:
        """Take out of `room` what a task holds at `time` that runs since then, and return it.

        A side of a task that has ended is free.
        """
        pieces = self.pieces(row, since, node, device)
        cpu_end = gpu_end = np.inf
        if self.workload.hybrid[row] and 0.0 < self.fraction[row] < 1.0:
            cpu_end, gpu_end, _ = self.ends(row, since, float(self.played[row]), [pieces[0].node])
        for piece in pieces:
            room.take(piece, cores=cpu_end > time, gpus=gpu_end > time)
        return pieces

    def lengths(self, row: int, seconds: float, nodes: list[int]) -> tuple[float, float]:
        """Return for how long a task of so many seconds of work on `nodes` holds its cores and its GPUs."""
        seconds *= self._slowdown(nodes)
        longest = (-np.inf, -np.inf)
        for group in sorted(set(self.group[nodes].tolist())):
            cpu, gpu = self._on(row, seconds, group)
            longest = max(longest[0], cpu), max(longest[1], gpu)
        return longest

    def _slowdown(self, nodes: list[int]) -> float:
        """Return how many times as long a gang runs on `nodes` because it lies over several racks."""
        if len(nodes) < 2 or self.cluster.topology is None:
            return 1.0
        levels, factors = self._racks
        alike = [len(set(level[nodes].tolist())) == 1 for level in levels]
        return float(factors[[*alike, True].index(True)])

    @cached_property
    def _racks(self) -> tuple[IntArray, FloatArray]:
        """The switch of each node on each level, shape (levels, nodes), and the factors of crossing them."""
        topology = self.cluster.topology
        if topology is None:
            return np.zeros((0, self.cluster.nodes), np.int64), np.ones(1)
        return topology.numbers(self.cluster.node_names), topology.factors()

    def _on(self, row: int, seconds: float, group: int) -> tuple[float, float]:
        workload = self.workload
        if not workload.hybrid[row]:
            speed = self.cluster.groups[group].cpu_speed
            if workload.gpus[row] > 0:
                speed = float(self._paces.gpu[self._paces.row[row], group])
            return seconds / speed, seconds / speed
        rows, times = np.array([row]), np.array([seconds])
        fraction, on = self.fraction[rows], np.array([group])
        cpu, gpu = (float(side[0]) for side in hybrid_sides(workload, rows, times, fraction, self.cluster, on))
        return (gpu + cpu, gpu + cpu) if self.schedule.options.split_model == "sequential" else (cpu, gpu)

    def ends(self, row: int, since: float, seconds: float, nodes: list[int]) -> tuple[float, float, float]:
        """Return when a task that began then gives its cores and its GPUs back, and ends.

        Its data is taken to come to these nodes for as long as it did to those where it ran.
        """
        cpu, gpu = self.lengths(row, seconds, nodes)
        late = self._data_time(row)
        cpu, gpu = cpu + late, gpu + late
        return since + cpu, since + gpu, since + max(cpu, gpu)

    def waits_for_data(self, row: int) -> bool:
        """Tell whether data comes to a task for a time that depends on its node, or may."""
        if self.cluster.network is None:
            return False
        parents = self.workload.parents
        # Parents that are not among the tasks that are looked at are forgotten.
        return not self.schedule.whole or (parents.mb is not None and parents.offsets[row] < parents.offsets[row + 1])

    def _data_time(self, row: int) -> float:
        """Return for how long data came to a task where it ran, which is what it took longer than its work."""
        if not self.waits_for_data(row):
            return 0.0
        if row not in self._data_times:
            outcome = self.schedule.outcome
            since = float(outcome.start_time[row])
            length = max(self.lengths(row, float(self.played[row]), [piece.node for piece in self.pieces(row, since)]))
            self._data_times[row] = max(float(outcome.finish_time[row]) - since - length, 0.0)
        return self._data_times[row]

    def side_ends(self, rows: IntArray) -> FloatArray:
        """Return when tasks that are split gave the side back that ended first; of others NaN."""
        found = np.full(len(rows), np.nan)
        split = self.workload.hybrid[rows] & (self.fraction[rows] > 0.0) & (self.fraction[rows] < 1.0)
        outcome = self.schedule.outcome
        for place in np.flatnonzero(split).tolist():
            row = int(rows[place])
            cpu, gpu, _ = self.ends(row, outcome.start_time[row], self.played[row], [int(outcome.node[row])])
            found[place] = min(cpu, gpu)
        return found

    def room_beside(self, rows: IntArray, time: float) -> tuple[Room, dict[int, list[Piece]]]:
        """Return what is left at `time` beside tasks that run, and what these hold; a side that has ended is free.

        Raises:
            NotExplained: it is not stored what one of them holds.
        """
        room = Room(self.cluster)
        room.let_go(self.outages(), time)
        start = self.schedule.outcome.start_time
        return room, {row: self.put(room, row, time, since=float(start[row])) for row in rows.tolist()}

    def outages(self) -> Iterator[tuple[float, int, int]]:
        """Yield when nodes go out of service as announced, 1, and come back, -1, by time."""
        events, first = [], 0
        for group in self.cluster.groups:
            last = first + group.count
            for outage in group.outages:
                for node in range(last - outage.nodes, last):
                    events += [(outage.start_time, node, 1), (outage.end_time, node, -1)]
            first = last
        yield from sorted(events)
