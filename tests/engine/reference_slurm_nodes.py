"""Which nodes a job is given, in a slow simulator of Slurm: runs of neighbours, the tightest first."""

from functools import cache

from tests.engine.reference_slurm_jobs import Free, Job, Machine, Share


class Choice:
    """The choice of nodes; `placement` of the site says whether whole nodes or cores are given."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.gives_nodes = machine.site.placement == "nodes"

    def choose(self, job: Job, allowed: int, free: Free, *, by_weight: bool) -> list[Share] | None:
        """Return the nodes and cores that a job is given of `allowed` nodes (bits), or None where it does not fit.

        With `by_weight` whole nodes of little weight are tried before heavier ones are added; plans take all at once.
        Cores of nodes are always taken by weight.
        """
        allowed &= job.candidates
        if not self.gives_nodes:
            return self._choose_cores(job, allowed, free)
        weights = sorted({self.machine.weight[node] for node in numbers(allowed)})
        for weight in weights if by_weight else weights[-1:]:
            idle = [
                node
                for node in numbers(allowed)
                if self.machine.weight[node] <= weight and self._whole(job, node, free)
            ]
            if chosen := self._choose_nodes(job, idle):
                return chosen
        return None

    def could_ever(self, job: Job, allowed: int) -> bool:
        """Tell whether a job would fit on these nodes if they were empty."""
        machine = self.machine
        empty = Free(list(machine.cores), list(machine.memory), list(machine.gpus))
        return self.choose(job, allowed, empty, by_weight=False) is not None

    def _whole(self, job: Job, node: int, free: Free) -> bool:
        machine = self.machine
        needed = job.memory_per_node or job.memory_per_core * machine.cores[node]
        return (
            free.cores[node] == machine.cores[node]
            and free.gpus[node] == machine.gpus[node]
            and free.memory[node] >= needed
            and free.gpus[node] >= job.gpus_per_node
        )

    def _choose_nodes(self, job: Job, idle: list[int]) -> list[Share] | None:
        """Whole nodes: from the smallest run that suffices, else from the largest and go on."""
        cores = self.machine.cores
        nodes, left, most = job.wanted_nodes, job.cores, job.most_nodes
        spare = job.wanted_nodes - job.least_nodes
        runs = _runs([(node, 0) for node in idle])
        chosen: list[int] = []
        while runs and most > len(chosen):
            best, best_cores, best_suffices = -1, 0, False
            for number, run in enumerate(runs):
                amount = sum(cores[node] for node in run)
                suffices = amount >= left and len(run) >= nodes - spare
                if (
                    best < 0
                    or (suffices and not best_suffices)
                    or (suffices and amount < best_cores)
                    or (not suffices and amount > best_cores)
                ):
                    best, best_cores, best_suffices = number, amount, suffices
            for node in runs.pop(best):
                if len(chosen) >= most or (nodes <= 0 and left <= 0):
                    break
                chosen.append(node)
                nodes -= 1
                left -= cores[node]
            if nodes <= 0 and left <= 0:
                break
        if left > 0 or nodes > spare:
            return None
        return [(node, cores[node]) for node in sorted(chosen)]

    def cores_on(self, job: Job, node: int, free: Free) -> int:
        """Return the cores that a node could give a job, 0 where not even its least part fits."""
        machine = self.machine
        if job.exclusive and not self._whole(job, node, free):
            return 0
        if job.gpus_per_node > free.gpus[node]:
            return 0
        cores = free.cores[node]
        if job.tried_in is not None and job.tried_in.max_cores_per_node is not None:
            cores = min(cores, job.tried_in.max_cores_per_node - free.used[job.tried_in.name, node])
        least = job.tasks_per_node * job.cores_per_task or job.cores_per_task
        if job.most_nodes == 1:
            least = job.cores
        if job.memory_per_node > free.memory[node]:
            return 0
        if job.memory_per_core and job.exclusive and machine.cores[node] * job.memory_per_core > free.memory[node]:
            return 0
        if job.memory_per_core and not job.exclusive:
            cores = min(cores, int(free.memory[node] // job.memory_per_core))
        if job.memory_per_core:
            # Only where memory goes by cores are they counted in whole tasks.
            cores -= cores % job.cores_per_task
        return cores if cores >= least else 0

    def _choose_cores(self, job: Job, allowed: int, free: Free) -> list[Share] | None:
        offers = {node: self.cores_on(job, node, free) for node in numbers(allowed) if free.cores[node] > 0}
        offers = {node: cores for node, cores in offers.items() if cores}
        if len(offers) < job.least_nodes or sum(offers.values()) < job.cores:
            return None
        chosen = self._from_runs(job, offers, free)
        left = len(offers)
        # What failed is tried without the nodes that offer least.
        for least in range(1, max(offers.values(), default=0)):
            if chosen is not None or left <= job.least_nodes:
                break
            small = [node for node, cores in offers.items() if cores + self._gpus(job, node, free) <= least]
            for node in small:
                del offers[node]
                left -= 1
                if left <= job.least_nodes:
                    break
            if small or least == 1:
                chosen = self._from_runs(job, offers, free)
        return chosen

    def _gpus(self, job: Job, node: int, free: Free) -> int:
        return free.gpus[node] if job.gpus_per_node else 0

    def _from_runs(self, job: Job, offers: dict[int, int], free: Free) -> list[Share] | None:
        if len(offers) < job.least_nodes:
            return None
        machine = self.machine
        left, nodes, most = job.cores, job.wanted_nodes, job.most_nodes
        spare = job.wanted_nodes - job.least_nodes
        offers = dict(offers)
        runs = _runs([(node, machine.weight[node]) for node in sorted(offers)])
        weights = [machine.weight[run[0]] for run in runs]
        chosen: list[Share] = []
        while runs and most > 0:
            best, best_cores, best_suffices = -1, 0, False
            for number, run in enumerate(runs):
                cores = sum(offers[node] for node in run)
                suffices = cores >= left and len(run) >= nodes - spare
                is_better = best < 0 or weights[number] < weights[best]
                if not is_better and weights[number] == weights[best]:
                    is_better = (
                        (suffices and not best_suffices)
                        or (suffices and cores < best_cores)
                        or (not suffices and cores > best_cores)
                    )
                if is_better:
                    best, best_cores, best_suffices = number, cores, suffices
            run = runs.pop(best)
            weights.pop(best)
            if nodes <= 1:
                enough = [node for node in run if offers[node] >= left]
                if enough:
                    run = [min(enough, key=lambda node: (offers[node], node))]
            for node in run:
                if most == 0 or (nodes <= 0 and left <= 0):
                    break
                cores = offers[node]
                if most == 1 and cores < left:
                    continue
                taken = cores
                if not job.exclusive:
                    least = max(job.tasks_per_node, 1) * job.cores_per_task
                    taken = min(cores, max(left - max(nodes - spare - 1, 0), least))
                chosen.append((node, taken))
                left -= taken
                nodes -= 1
                most -= 1
            if nodes <= 0 and left <= 0:
                return self._spread(job, chosen)
        if left <= 0 and nodes <= spare:
            return self._spread(job, chosen)
        return None

    def _spread(self, job: Job, chosen: list[Share]) -> list[Share]:
        """Give whole tasks to the chosen nodes, or all of an exclusive one."""
        chosen = sorted(chosen)
        if job.exclusive:
            return [(node, self.machine.cores[node]) for node, _ in chosen]
        size = job.cores_per_task
        if job.tasks_per_node:
            return [(node, job.tasks_per_node * size) for node, _ in chosen]
        # Each node has one task, then one after another goes in turn to the nodes that have room for all of it; at last
        # tasks have what cores there are.
        held = {node: min(size, cores) for node, cores in chosen}
        left = max(job.tasks - len(chosen), 0)
        is_crowded = False
        while left:
            placed = False
            for node, cores in chosen:
                room = cores - held[node]
                if left and (room >= size or is_crowded):
                    held[node] += min(size, room)
                    left -= 1
                    placed = True
            is_crowded = not placed
        return list(held.items())


@cache
def numbers(nodes: int) -> tuple[int, ...]:
    """Return the numbers of nodes that are given as bits."""
    return tuple(node for node in range(nodes.bit_length()) if nodes >> node & 1)


def _runs(nodes: list[tuple[int, int]]) -> list[list[int]]:
    """Part ascending nodes into runs of neighbours of equal weight."""
    runs: list[list[int]] = []
    last: tuple[int, int] | None = None
    for node, weight in nodes:
        if last is not None and node == last[0] + 1 and weight == last[1]:
            runs[-1].append(node)
        else:
            runs.append([node])
        last = node, weight
    return runs
