"""Carbon and price of the electricity of each exported placement and attempt."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from apps.live.play.task_electricity import Electricity, Reckoner, Span, span_of
from apps.results.models import Attempt, Run

COLUMNS = ("carbon_kg", "electricity_usd")

Row = Sequence[Any]


def placements_electricity(run: Run, reckoner: Reckoner, names: Sequence[str]) -> Callable[[Sequence[Row]], list[Row]]:
    """Return what turns rows of placements into their columns.

    Of a task with several attempts it is the sum over them. Empty for split tasks, whose sides draw for spans of their
    own, and for what never started.

    Args:
        names: of the columns, `key` and `kind` of the task among them.
    """
    at = {
        name: names.index(name) for name in ("scheduler", "key", "kind", "energy_joules", "start_time", "finish_time")
    }
    has_attempts = Attempt.objects.are_of(run)

    def of(rows: Sequence[Row]) -> list[Row]:
        told: dict[tuple[str, int], list[Span]] = defaultdict(list)
        asked = {name: {row[at[name]] for row in rows} for name in ("key", "scheduler")} if has_attempts else {}
        for one in Attempt.objects.of_keys(run, sorted(asked["key"]), sorted(asked["scheduler"])) if asked else ():
            span = reckoner.attempt(one.node, one.cpus, one.gpus, one.start_time, one.end_time)
            told[one.scheduler, one.task_id].append(span)
        return _columns(
            reckoner,
            [
                []
                if row[at["kind"]] == "hybrid"
                else told.get((row[at["scheduler"]], row[at["key"]]))
                or _alone(row[at["energy_joules"]], row[at["start_time"]], row[at["finish_time"]])
                for row in rows
            ],
        )

    return of


def attempts_electricity(reckoner: Reckoner, names: Sequence[str]) -> Callable[[Sequence[Row]], list[Row]]:
    """Return what turns rows of attempts into their columns; empty for attempts of split tasks."""
    places = [names.index(name) for name in ("node", "cpus", "gpus", "start_time", "end_time")]
    kind = names.index("kind")

    def of(rows: Sequence[Row]) -> list[Row]:
        return _columns(
            reckoner,
            [[] if row[kind] == "hybrid" else [reckoner.attempt(*(row[at] for at in places))] for row in rows],
        )

    return of


def _alone(joules: float | None, start: float | None, finish: float | None) -> list[Span]:
    if start is None or finish is None or finish <= start:
        return []
    return [span_of(joules, start, finish)]


def _columns(reckoner: Reckoner, groups: Sequence[Sequence[Span]]) -> list[Row]:
    found: list[Electricity] = reckoner.told(groups)
    return [tuple(getattr(one, name) for name in COLUMNS) for one in found]
