"""The learning agent of the slow simulator: what it knows is a dictionary of contexts.

A context is a quarter of the compute intensity, how often the task's cores are free in the cluster (not once, up to
four times, more often; always where it asks for none) and how often its GPUs are (not once, once, more often).
"""

from collections.abc import Sequence

from scheduler_sim.engine.policies.agent import Learner

FRACTIONS = [k / 10 for k in range(11)]


def next_fewer(number: float, numbers: tuple[float, ...]) -> int:
    return sum(number >= other for other in numbers)


class Agent:
    """An epsilon-greedy choice among eleven fractions, and averages of what they brought."""

    def __init__(self, learner: Learner) -> None:
        self.first_epsilon, self.explored, self.slowest, *self.weights = learner.settings.tolist()
        self.draws = learner.draws.tolist()
        self.values = {number: list(row) for number, row in enumerate(learner.values.tolist())}
        self.visits: dict[tuple[int, int], int] = {}
        self.decided = 0
        self.chosen: dict[int, tuple[int, int]] = {}

    def context(self, intensity: float, cpu: int, gpu: int, free_cpu: int, free_gpu: int) -> int:
        quarter = next_fewer(intensity, (0.25, 0.5, 0.75))
        cores = next_fewer(free_cpu, (cpu, 4 * cpu)) if cpu else 2
        gpus = next_fewer(free_gpu, (gpu, 2 * gpu)) if gpu else 2
        return 9 * quarter + 3 * cores + gpus

    def choose(self, row: int, context: int, possible: Sequence[bool]) -> float:
        """Return the fraction of a task that has just become ready; `possible` says which of the eleven are."""
        left = max(1 - self.decided / self.explored, 0) if self.explored else 0
        self.decided += 1
        explore, which = self.draws[row]
        number = min(int(which * 11), 10)
        if not (explore < self.first_epsilon * left and possible[number]):
            values = self.values[context]
            number = max((k for k in range(11) if possible[k]), key=lambda k: (values[k], -k))
        self.chosen[row] = context, number
        return FRACTIONS[number]

    def learn(
        self,
        row: int,
        waited_and_ran: float,
        cores_held: tuple[float, float],
        gpus_held: tuple[float, float],
        unit: float,
    ) -> None:
        """Take in what a choice brought: seconds from ready to finish, core-seconds and GPU-seconds, over `unit`."""
        of_time, of_cores, of_gpus = self.weights
        reward = -of_time * waited_and_ran / unit
        if of_cores > 0 or of_gpus > 0:
            reward -= of_cores * cores_held[0] * cores_held[1] / unit
            reward -= of_gpus * gpus_held[0] * gpus_held[1] / unit
        context, number = self.chosen[row]
        visits = self.visits[context, number] = self.visits.get((context, number), 0) + 1
        old = self.values[context][number]
        self.values[context][number] = old + max(1 / visits, self.slowest) * (reward - old)
