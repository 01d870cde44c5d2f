"""HEFT and PEFT in the plainest words: ranks by recursion, and every instant tried at which a task might begin.

Topcuoglu, Hariri, Wu (IEEE TPDS 2002); Arabnejad, Barbosa (IEEE TPDS 2014). A processor is a node, which may hold
several tasks at once. Tasks all arrive at 0, each in one group of nodes or more.
"""

from functools import cache
from math import inf
from typing import Any, NamedTuple


class Planned(NamedTuple):
    """Where a task goes, and when it begins and ends there."""

    node: int
    begin: float
    end: float


class PlainPlan:
    """Tasks by their rows, nodes by their numbers.

    Attributes:
        seconds: of each task on each node, inf where it cannot run.
        sent: by child and parent, what is sent; `transfer` tells how long that takes between two different nodes.
        needs: cores and GPUs of each task. room: of each node.
        devices: how much each node counts in means.
    """

    def __init__(self, seconds, sent, transfer, mean_transfer, needs, room, devices):
        self.seconds, self.sent, self.transfer, self.mean_transfer = seconds, sent, transfer, mean_transfer
        self.needs, self.room, self.devices = needs, room, devices
        self.tasks, self.nodes = range(len(seconds)), range(len(room))
        self.children = {one: [child for child in self.tasks if one in sent[child]] for one in self.tasks}
        self.rank = cache(self._rank)
        self.oct = cache(self._oct)

    def mean(self, row, values):
        """Return the mean over all processors that can run a task."""
        able = [node for node in self.nodes if self.seconds[row][node] < inf]
        return sum(values[node] * self.devices[node] for node in able) / sum(self.devices[node] for node in able)

    def _rank(self, row):
        behind = (self.mean_transfer(self.sent[child][row]) + self.rank(child) for child in self.children[row])
        return self.mean(row, self.seconds[row]) + max(behind, default=0.0)

    def _oct(self, row, node):
        return max(
            (
                min(
                    self.oct(child, other) + self.seconds[child][other] + self.way(self.sent[child][row], node, other)
                    for other in self.nodes
                )
                for child in self.children[row]
            ),
            default=0.0,
        )

    def way(self, mb, there, here):
        return 0.0 if there == here or not mb else self.transfer(mb, there, here)

    def play(self, peft):
        """Return what becomes of each task."""
        ranks = [self.mean(r, [self.oct(r, n) for n in self.nodes]) if peft else self.rank(r) for r in self.tasks]
        planned: dict[int, Any] = {}
        while len(planned) < len(self.tasks):
            able = [row for row in self.tasks if row not in planned and self.sent[row].keys() <= planned.keys()]
            row = min(able, key=lambda row: (-round(ranks[row], 6), row))
            options = [self.first(row, node, planned) for node in self.nodes if self.seconds[row][node] < inf]
            planned[row] = min(
                options,
                key=lambda one: (round(one.end + (self.oct(row, one.node) if peft else 0.0), 9), one.node),
            )
        return [planned[row] for row in self.tasks]

    def first(self, row, node, planned):
        come = max(
            (planned[parent].end + self.way(mb, planned[parent].node, node) for parent, mb in self.sent[row].items()),
            default=0.0,
        )
        here = [(one, self.needs[other]) for other, one in planned.items() if one.node == node and one.end > one.begin]
        length = self.seconds[row][node]
        for begin in sorted({come, *(one.end for one, _ in here if one.end > come)}):
            ends = [begin, *(one.begin for one, _ in here if begin < one.begin < begin + length)]
            if all(
                need + sum(held[kind] for one, held in here if one.begin <= at < one.end) <= self.room[node][kind]
                for at in ends
                for kind, need in enumerate(self.needs[row])
            ):
                return Planned(node, begin, begin + length)
        raise AssertionError("After all that is planned there is room.")
