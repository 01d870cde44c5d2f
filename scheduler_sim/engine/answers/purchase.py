"""The cheapest change that reaches a target: a search over numbers of nodes and policies, play by play.

A change is a policy and so many nodes more of each kind. Changes are ranked by price, then by the order in which the
policies are given, then by their nodes; wanted is the first in this order that reaches every target. A play tells of
others, too: what is ranked behind one that reaches the targets is not wanted, and where waits do not rise with nodes,
what misses them misses them with fewer nodes of every kind under the same policy. Each play is the one that leaves
least open whichever way it turns out: with one kind of nodes and one policy this is bisection. Waits may rise with
nodes (Graham, SIAM J. Appl. Math. 1969), so that at the end some of what was ruled out is played after all.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.whatif import split_groups
from scheduler_sim.engine.workloads.workload import BoolArray

LARGEST_GRID = 200_000
"""Changes that a search chooses from at most."""

FRONTIER_PLAYS = 6
"""So many changes are played beside the search, to see how waits fall with what is spent."""

CHECKED = 8
"""So many changes ranked just before the best one are played even where they are ruled out."""

RISES = 1e-9
"""A figure that is larger by more than this part has risen."""


@dataclass(frozen=True)
class Growth:
    """Nodes of one kind that may be added.

    Attributes:
        group: a node group, of a site also a partition.
        most: how many at most.
        price: of one node.
    """

    group: str
    most: int
    price: float


@dataclass(frozen=True, order=True)
class Change:
    """A policy, by its place among those given, and the nodes added of each kind."""

    policy: int
    nodes: tuple[int, ...]


@dataclass(frozen=True)
class Played:
    """What a change came to.

    Attributes:
        figures: the figure of each target, in their order.
        energy_joules: of tasks and idle devices from the first arrival to the last finish; None where it is not known.
        tasks: that the figures are of, mean of the seeds.
    """

    figures: tuple[float, ...]
    energy_joules: float | None = None
    tasks: float = 0.0


@dataclass
class PurchaseSearch:
    """A search under way.

    Attributes:
        policies: how many there are.
        growths: what may be added.
        bounds: of the targets; a figure at its bound reaches it.
        most_plays: after so many the search ends.
        is_exhaustive: play every cheaper change instead of counting on waits that do not rise with nodes.
    """

    policies: int
    growths: Sequence[Growth]
    bounds: Sequence[float]
    most_plays: int = 60
    is_exhaustive: bool = False
    plays: dict[Change, Played] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = check_grid(self.policies, self.growths)
        axes = np.indices(shape)
        price = sum((growth.price * axis for growth, axis in zip(self.growths, axes[1:], strict=True)), np.zeros(shape))
        order = np.lexsort([*(axis.ravel() for axis in reversed(axes[1:])), axes[0].ravel(), price.ravel()])
        self._rank = np.empty(len(order), np.int64)
        self._rank[order] = np.arange(len(order))
        self._rank = self._rank.reshape(shape)
        self._open: BoolArray = np.ones(shape, bool)

    def price(self, change: Change) -> float:
        """Return what the nodes of a change cost."""
        return sum(growth.price * number for growth, number in zip(self.growths, change.nodes, strict=True))

    def reaches(self, played: Played) -> bool:
        """Tell whether every target is reached; a figure that is not known reaches nothing."""
        return all(figure <= bound for figure, bound in zip(played.figures, self.bounds, strict=True))

    @property
    def best(self) -> Change | None:
        """The first change in the order of rank that was played and reaches the targets."""
        found = [change for change, played in self.plays.items() if self.reaches(played)]
        return min(found, key=self._rank_of) if found else None

    @property
    def nearest(self) -> Change | None:
        """The played change whose worst figure, beside its bound, is least; the cheapest of those that tie."""
        if not self.plays:
            return None

        def worst(change: Change) -> tuple[float, int]:
            parts = zip(self.plays[change].figures, self.bounds, strict=True)
            misses = [
                math.inf if math.isnan(figure) else figure / bound if bound else figure for figure, bound in parts
            ]
            return max(misses), self._rank_of(change)

        return min(self.plays, key=worst)

    @property
    def left(self) -> int:
        """How many changes are neither played nor ruled out."""
        return int(self._open.sum())

    @property
    def is_decided(self) -> bool:
        """Whether nothing before the best is open, and what is to be checked of the ruled out was played."""
        return not self.left and not self._to_check()

    def tell(self, change: Change, played: Played) -> None:
        """Take in what a change came to."""
        self.plays[change] = played
        self._rule_out(self._open, change, reaches=self.reaches(played))

    def ask(self, count: int = 1) -> list[Change]:
        """Return changes to play next, at most `count`; none when the search is over.

        Of several the later ones are those that would follow if the earlier ones missed the targets.
        """
        count = min(count, self.most_plays - len(self.plays))
        chosen: list[Change] = []
        still_open = self._open.copy()
        if not self.plays and count > 0:
            # What is configured: everything is held against it.
            chosen.append(Change(0, (0,) * len(self.growths)))
            still_open[self._place(chosen[0])] = False
        while len(chosen) < count and still_open.any():
            change = self._most_telling(still_open)
            chosen.append(change)
            self._rule_out(still_open, change, reaches=False)
        if not chosen and count > 0:
            chosen = (self._to_check() or self._along_the_frontier())[:count]
        return chosen

    def rises(self) -> tuple[int, int]:
        """Return in how many pairs of plays more nodes under the same policy made a figure larger, and how many pairs.

        A pair has under one policy at least as many nodes of every kind on one side, and more of one.
        """
        rising = pairs = 0
        for one, other in combinations(sorted(self.plays), 2):
            if one.policy == other.policy and all(a <= b for a, b in zip(one.nodes, other.nodes, strict=True)):
                pairs += 1
                both = zip(self.plays[one].figures, self.plays[other].figures, strict=True)
                rising += any(more > less * (1 + RISES) for less, more in both)
        return rising, pairs

    def unplayed_cheaper(self) -> int:
        """Return how many changes ranked before the best one were not played; all that were not without a best."""
        best = self.best
        before = self._rank.size if best is None else self._rank_of(best)
        return before - sum(self._rank_of(change) < before for change in self.plays)

    @property
    def guarantee(self) -> tuple[str, str]:
        """How sure the answer is, in a word and in a sentence: exact, monotone, unproven or unfinished."""
        found = self.best is not None
        rising, pairs = self.rises()
        if self.left or (found and not self.is_decided):
            what = "Cheaper changes may reach them" if found else "Others may reach them"
            return "unfinished", f"The search ended before it was decided: {what}, {self.left:,} are open."
        if not self.unplayed_cheaper():
            what = "every cheaper one was played and misses" if found else "every change was played and misses"
            return "exact", f"Exact on the grid: {what}."
        if not rising:
            return "monotone", (
                f"Exact on the grid if waits do not rise with nodes: {self.unplayed_cheaper():,} changes were ruled "
                f"out so, and in none of {pairs:,} pairs of plays did they rise."
            )
        return "unproven", (
            f"Not certain: in {rising:,} of {pairs:,} pairs of plays a figure rose with more nodes, and "
            f"{self.unplayed_cheaper():,} changes were ruled out as if it could not. An exhaustive search is certain."
        )

    def frontier(self, figure: int = 0) -> list[Change]:
        """Return the played changes that no other one beats in both price and a figure, the cheapest first."""
        kept: list[Change] = []
        least = math.inf
        by_price = sorted(
            self.plays, key=lambda one: (self.price(one), self.plays[one].figures[figure], self._rank_of(one))
        )
        for change in by_price:
            if self.plays[change].figures[figure] < least:
                least = self.plays[change].figures[figure]
                kept.append(change)
        return kept

    def _rank_of(self, change: Change) -> int:
        return int(self._rank[self._place(change)])

    @staticmethod
    def _place(change: Change) -> tuple[int, ...]:
        return (change.policy, *change.nodes)

    def _rule_out(self, still_open: BoolArray, change: Change, *, reaches: bool) -> None:
        if reaches:
            still_open &= self._rank < self._rank_of(change)
        elif self.is_exhaustive:
            still_open[self._place(change)] = False
        else:
            fewer: list[int | slice] = [change.policy, *(slice(number + 1) for number in change.nodes)]
            still_open[tuple(fewer)] = False

    def _most_telling(self, still_open: BoolArray) -> Change:
        """Return the open change of which either outcome rules most out; the first by rank of those that tie."""
        if self.is_exhaustive:
            # Nothing follows from a miss, so the cheapest first finds the first that reaches with the fewest plays.
            rank = np.where(still_open, self._rank, self._rank.size)
            return self._change_at(int(rank.argmin()))
        missed = still_open.astype(np.int64)
        for axis in range(1, missed.ndim):
            missed = missed.cumsum(axis=axis)
        by_rank = np.zeros(still_open.size, np.int64)
        by_rank[self._rank.ravel()] = still_open.ravel()
        reached = by_rank[::-1].cumsum()[::-1][self._rank]
        either = np.where(still_open, np.minimum(missed, reached), -1)
        ties = np.where(either == either.max(), self._rank, self._rank.size)
        return self._change_at(int(ties.argmin()))

    def _change_at(self, flat: int) -> Change:
        policy, *nodes = (int(number) for number in np.unravel_index(flat, self._rank.shape))
        return Change(policy, tuple(nodes))

    def _to_check(self) -> list[Change]:
        """Return what was not played of the changes with one node less than the best and of those just before it."""
        best = self.best
        if best is None:
            return []
        rank = self._rank_of(best)
        before = np.flatnonzero((self._rank.ravel() < rank) & (self._rank.ravel() >= rank - CHECKED))
        fewer = [
            Change(best.policy, (*best.nodes[:axis], number - 1, *best.nodes[axis + 1 :]))
            for axis, number in enumerate(best.nodes)
            if number
        ]
        every = dict.fromkeys([*fewer, *(self._change_at(int(flat)) for flat in before)])
        return [change for change in every if change not in self.plays]

    def _along_the_frontier(self) -> list[Change]:
        """Return changes not played yet on the way from no node to the best or nearest and on to the most nodes."""
        aim = self.best or self.nearest
        if aim is None:
            return []
        corner = tuple(growth.most for growth in self.growths)
        found = dict.fromkeys(_between(aim, corner))
        return [change for change in found if change not in self.plays]


def check_grid(policies: int, growths: Sequence[Growth]) -> tuple[int, ...]:
    """Return how many policies and numbers of nodes of each kind there are to choose from.

    Raises:
        InvalidParameter: more changes than a search chooses from.
    """
    shape = (policies, *(growth.most + 1 for growth in growths))
    if math.prod(shape) > LARGEST_GRID:
        raise InvalidParameter(
            f"More than {LARGEST_GRID:,} changes are too many to choose from; let it add fewer nodes or try fewer "
            "policies."
        )
    return shape


def _between(aim: Change, corner: tuple[int, ...]) -> Iterator[Change]:
    """Yield `FRONTIER_PLAYS` changes: as many before an aim as behind it, from it on towards the corner."""
    steps = FRONTIER_PLAYS // 2
    for step in range(steps):
        yield Change(aim.policy, tuple(round(number * step / steps) for number in aim.nodes))
    for step in range(1, steps + 1):
        yield Change(
            aim.policy,
            tuple(
                number + round((most - number) * step / steps) for number, most in zip(aim.nodes, corner, strict=True)
            ),
        )


def parse_growths(text: str, prices: Mapping[str, float]) -> tuple[Growth, ...]:
    """Read `GROUP=MOST[@PRICE]`, several with commas between them.

    Args:
        prices: of one node of each group, where the text states none.

    Raises:
        InvalidParameter: another form, or a price that is no number above 0.
    """
    growths = []
    for part in filter(None, (part.strip() for part in split_groups(text))):
        name, equals, rest = part.rpartition("=")
        most, at, price = rest.partition("@")
        try:
            number, cost = int(most), float(price) if at else prices[name.strip()]
        except (ValueError, KeyError):
            number, cost = 0, math.nan
        if not (equals and name and number > 0 and 0 < cost < math.inf):
            raise InvalidParameter(
                "What may be added is given as GROUP=MOST[@PRICE] with a whole number and a price above 0, not "
                f"{part[:100]!r}."
            )
        growths.append(Growth(name.strip(), number, cost))
    names = [growth.group for growth in growths]
    if len(set(names)) < len(names):
        raise InvalidParameter("What may be added names a group twice.")
    return tuple(growths)
