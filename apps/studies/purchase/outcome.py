"""What a search found, in words and as lines of a table."""

from dataclasses import dataclass
from typing import Any

from apps.results.models import Run
from apps.studies.purchase.request import COUNTED, Ground, PurchaseRequest
from scheduler_sim.display.formatting import duration
from scheduler_sim.engine.answers.purchase import Change, PurchaseSearch
from scheduler_sim.engine.answers.targets import Target


@dataclass
class PurchaseOutcome:
    """A search, under way or over.

    Attributes:
        seconds: of wall time since it was asked for.
        is_stopped: somebody ended it before it was over.
    """

    run: Run
    request: PurchaseRequest
    ground: Ground
    search: PurchaseSearch
    seconds: float = 0.0
    is_over: bool = False
    is_stopped: bool = False

    @property
    def verdict(self) -> str:
        """What was found, in a sentence or two."""
        wanted = " and ".join(str(target) for target in self.ground.targets)
        best, nearest = self.search.best, self.search.nearest
        if best is not None:
            if not any(best.nodes) and not best.policy:
                return f"Nothing needs to be bought or changed to reach {wanted}: {self._figures(best)}."
            return f"{_capital(self.in_words(best))} reaches {wanted}: {self._figures(best)}."
        if nearest is None:
            return f"Nothing was played yet; {wanted} is wanted."
        so_far = "No change that may be made reaches" if not self.search.left else "Nothing played so far reaches"
        return f"{so_far} {wanted}. The best found is {self.in_words(nearest)}: {self._figures(nearest)}."

    def in_words(self, change: Change) -> str:
        """Return a change as a sentence names it."""
        added = " and ".join(f"{name} +{number}" for name, number in self._nodes(change).items() if number)
        policy = self.ground.configuration.policies[change.policy]
        price = self.search.price(change)
        return f"{added or 'no node more'} under {policy}" + (f" for {self._price(price)}" if price else "")

    def as_json(self) -> dict[str, Any]:
        """Return all that is known; seconds and joules, prices in `price_unit`."""
        search = self.search
        kind, sentence = search.guarantee
        frontier = set(search.frontier())
        ranked = sorted(search.plays, key=lambda change: (search.price(change), change))
        best = search.best if search.best is not None else search.nearest
        return {
            "run": self.run.pk,
            "targets": [str(target) for target in self.ground.targets],
            "figures": [target.figure for target in self.ground.targets],
            "bounds": [target.bound for target in self.ground.targets],
            "price_unit": self.ground.price_unit,
            "request": self.request.as_json(),
            "verdict": self.verdict,
            "is_reached": search.best is not None,
            "guarantee": kind,
            "guarantee_text": sentence,
            "is_over": self.is_over,
            "is_stopped": self.is_stopped,
            "seconds": round(self.seconds, 3),
            "left": search.left,
            "best": None if best is None else self._line(best, frontier),
            "plays": [self._line(change, frontier) for change in ranked],
            "caution": self._caution(),
        }

    def _line(self, change: Change, frontier: set[Change]) -> dict[str, Any]:
        played = self.search.plays[change]
        nodes = self._nodes(change)
        return {
            "policy": self.ground.configuration.policies[change.policy],
            "nodes": nodes,
            "add_nodes": ",".join(f"{name}={number}" for name, number in nodes.items() if number),
            "price": self.search.price(change),
            "figures": [None if figure != figure else figure for figure in played.figures],
            "reaches": self.search.reaches(played),
            "energy_joules": played.energy_joules,
            "tasks": played.tasks,
            "on_frontier": change in frontier,
        }

    def _caution(self) -> str:
        """Say where the figures of changes are of different tasks."""
        counts = {played.tasks for played in self.search.plays.values()}
        if len(counts) < 2:
            return ""
        return (
            f"The figures are of {min(counts):,.0f} to {max(counts):,.0f} tasks: with fewer nodes some leave the queue "
            "before they start, and their waits do not count."
        )

    def _nodes(self, change: Change) -> dict[str, int]:
        return {growth.group: number for growth, number in zip(self.ground.growths, change.nodes, strict=True)}

    def _figures(self, change: Change) -> str:
        figures = self.search.plays[change].figures
        return " and ".join(
            f"{target.figure} is {figure_text(target, figure)}"
            for target, figure in zip(self.ground.targets, figures, strict=True)
        )

    def _price(self, price: float) -> str:
        if self.ground.price_unit == COUNTED:
            return f"{price:,.0f} node{'' if price == 1 else 's'}"
        return f"{price:,.0f} {'' if self.ground.price_unit == 'as given' else self.ground.price_unit}".strip()


def _capital(text: str) -> str:
    """Begin a sentence with words of ours; a name stays as it is."""
    return f"N{text[1:]}" if text.startswith("no node") else text


def figure_text(target: Target, figure: float) -> str:
    """Return a figure of a target for people."""
    return duration(figure) if target.is_time else f"{figure:.3g}"
