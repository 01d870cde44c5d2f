"""Forecasts of starts on trial: made at instants of a stored past, and held beside what really happened then."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db import transaction

from apps.tasks.errors import WorkloadError
from apps.tasks.forecasts.starts import asked_keep, began_at, iso, past_of, refuse_many
from apps.tasks.models import ForecastTrial, Site, Workload
from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.forecasting import Accuracy, Scored, forecast, score
from scheduler_sim.engine.forecasting.accuracy import LEADS, chance_of_covering, lead, realised
from scheduler_sim.engine.forecasting.forecast import DECILES
from scheduler_sim.engine.forecasting.heldout import (
    held_out,
    identified,
    printed_queues,
    queue_at,
    real_starts,
    spread_evenly,
)
from scheduler_sim.engine.traces.slurm_snapshots import QueuedJob, split_snapshots

INSTANTS, MOST_INSTANTS = 12, 200
REPLICAS, MOST_REPLICAS = 40, 200

FIGURES = (
    *("forecasts", "instants", "covered", "median_error", "median_width"),
    *("compared", "median_error_compared", "slurm_median_error"),
)
"""What is told of all forecasts and of each group of them, see `Accuracy`; null where there is nothing to tell, and for
errors and widths that reach beyond the forecast's end."""

COLUMNS = ("by", "name", *FIGURES)
FEW_INSTANTS = 10


def trial_make(
    *,
    site: Site,
    history: Workload,
    queues: str = "",
    slurm_starts: str = "",
    instants: int,
    replicas: int,
    seed: int,
    advanced: Callable[[int, int, dict[str, Any]], None],
) -> dict[str, Any]:
    """Forecast at instants of a past and return how good that was.

    Args:
        history: what really happened. At each instant only what had come about by then is known.
        queues: printouts of squeue, each below a line `### snapshot epoch=SECONDS`; without, the queue of an instant
            is what the history tells of it.
        slurm_starts: printouts of `squeue --start`, beside which forecasts are held.
        advanced: called after each instant with how many are done, of how many, and what is known so far.

    Raises:
        WorkloadError: a history that does not tell when it was, or holds none of what was printed.
        EngineError: printouts that squeue does not print, no starts in the history, or a site that is not played.
    """
    past = identified(past_of(history))
    planned = spread_evenly(queues_of(queues, slurm_starts), instants)
    if not planned:
        planned = [(at, queue_at(past, at)) for at in held_out(past, instants)]
    started, described = real_starts(past), site.as_site()
    scored: list[Scored] = []
    document = trial_document(scored, done=0, of_history=not queues)
    for done, (at, jobs) in enumerate(planned, 1):
        scored += score(forecast(jobs, described, at=at, past=past, replicas=replicas, seed=seed), started)
        document = trial_document(scored, done=done, of_history=not queues)
        advanced(done, len(planned), document)
    if not scored:
        raise WorkloadError(f"None of the jobs that were forecast has a start in {history.name}.")
    return document


def queues_of(queues: str, slurm_starts: str) -> list[tuple[float, list[QueuedJob]]]:
    """Return the printed queues in which jobs wait, none where nothing is given.

    Raises:
        InvalidTrace: what squeue does not print, or no queue in which anything waits.
    """
    if not queues.strip():
        if slurm_starts.strip():
            raise InvalidTrace("What squeue --start printed is of use only beside what squeue printed.")
        return []
    found = printed_queues(split_snapshots(queues), split_snapshots(slurm_starts) if slurm_starts.strip() else ())
    if not found:
        raise InvalidTrace("In none of the printouts does anything wait.")
    return found


def trial_document(scored: Sequence[Scored], *, done: int, of_history: bool) -> dict[str, Any]:
    """Return how good forecasts were as JSON has it."""
    if not scored:
        return {"done": done, "of_history": of_history, "overall": None, "groups": [], "deciles": [], "cautions": []}
    low, high = chance_of_covering(scored)
    groups = [
        {"by": by, "name": name, **_figures(those)}
        for by, names, key in (
            ("partition", sorted({one.partition for one in scored}), lambda one: one.partition),
            ("lead", [name for name, _ in LEADS], lead),
            ("instant", sorted({one.at for one in scored}), lambda one: one.at),
        )
        for name in names
        if (those := [one for one in scored if key(one) == name])
    ]
    for group in groups:
        if group["by"] == "instant":
            group["name"] = iso(group["name"])
    document = {
        "done": done,
        "of_history": of_history,
        "overall": {**_figures(scored), "covered_low": low, "covered_high": high},
        "groups": groups,
        "deciles": [
            {"chance": chance, "share": share} for chance, share in zip(DECILES, realised(scored), strict=True)
        ],
    }
    return {**document, "cautions": list(_cautions(document))}


def _figures(scored: Sequence[Scored]) -> dict[str, Any]:
    found = Accuracy.of(scored)
    values = {name: getattr(found, name) for name in FIGURES}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _cautions(document: dict[str, Any]) -> Iterator[str]:
    overall = document["overall"]
    if overall["instants"] < FEW_INSTANTS:
        yield (
            f"Of {overall['instants']} instants only: jobs of one instant wait for the same nodes, so other instants "
            "may give quite other figures."
        )
    if document["of_history"]:
        yield (
            "The queues are told by the accounting: who waited for others or for a begin time is not among them, and "
            "the priorities are those that the site's rules give."
        )
    if not overall["compared"]:
        yield "Nothing tells what Slurm itself expected, so there is nothing to hold the errors beside."


def trial_rows(document: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for all forecasts and one for each group, as `COLUMNS` names them."""
    if document["overall"] is not None:
        yield ("all", "", *(document["overall"][name] for name in FIGURES))
    for group in document["groups"]:
        yield tuple(group[name] for name in COLUMNS)


def trial_ask(asked: ForecastTrial) -> ForecastTrial:
    """Ask for a process that tries forecasts of a site on a past.

    Args:
        asked: not stored yet.

    Raises:
        ForecastRefused: too many of the user's are not made yet.
        WorkloadError: the history does not tell when it was, or was deleted meanwhile.
        InvalidTrace: see `queues_of`.
    """
    refuse_many(asked, "trials")
    if asked.history is None:
        raise WorkloadError("The history was deleted before it was read.")
    began_at(asked.history)
    # Read before the transaction, which would keep other writers out meanwhile.
    queues_of(asked.queues, asked.slurm_starts)
    with transaction.atomic():
        asked_keep(asked)
    return asked
