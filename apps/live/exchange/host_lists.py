"""The nodes of stored placements and attempts as Slurm lists them."""

from collections.abc import Iterable
from functools import cache

import numpy as np

from apps.live.play.sites import host_list, node_names
from apps.results.models import GangBlock, Run

Place = tuple[str, int, float, int]
"""Policy, primary key of the task, when it ended there, and its lowest node."""


class HostLists:
    """Tells on which nodes tasks of a run were."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._hosts = node_names(run)
        # Made once a node: a run has many more rows than nodes.
        self._alone = cache(lambda node: host_list([node], self._hosts) if node >= 0 else "")
        blocks = GangBlock.objects.filter(run=run).order_by()
        self._with_gangs = set(blocks.values_list("scheduler", flat=True).distinct()) if run.knows_gangs else set()

    def of(self, places: Iterable[Place]) -> list[str]:
        """Return the host list of each place; empty where it was not kept or is nowhere.

        Two queries a policy under which tasks were on several nodes.
        """
        asked = list(places)
        if not self.run.knows_gangs:
            return [""] * len(asked)
        several: dict[tuple[str, int, float], str] = {}
        for scheduler in self._with_gangs & {place[0] for place in asked}:
            keys = np.array([key for name, key, _, _ in asked if name == scheduler], np.int64)
            gangs = GangBlock.objects.of_tasks(self.run, scheduler, keys)
            for place, key in enumerate(zip(gangs.task.tolist(), gangs.end_time.tolist(), strict=True)):
                several[scheduler, *key] = host_list(gangs.nodes(place).tolist(), self._hosts)
        return [several.get((name, key, end)) or self._alone(node) for name, key, end, node in asked]
