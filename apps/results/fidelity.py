"""May a run be believed: what is known of how its cluster or site replays the log, in words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models.fields.json import KT

from apps.results.models import Fidelity, Run, Study
from scheduler_sim.display.formatting import duration, quantity
from scheduler_sim.engine.measuring.fidelity import FirstDifference

WAITS = (
    *("recorded_mean_wait", "played_mean_wait", "mean_difference"),
    *(f"{figure}_absolute_difference" for figure in ("mean", "median", "p95")),
)
"""Figures of a comparison, in the order in which they are shown, seconds."""


@dataclass(frozen=True)
class Badge:
    """What a run is marked with.

    Attributes:
        kind: `replays`, `differs`, `unchecked`, or `no_log` for generated tasks, which nothing recorded.
        text: the mark in a few words, empty for `no_log`.
        doubt: a sentence to say before the run's verdict, empty where nothing speaks against it.
        found: the comparison that says so, its details still to be read; None where nobody looked.
    """

    kind: str
    text: str
    doubt: str = ""
    found: Fidelity | None = None

    def as_json(self) -> dict[str, str]:
        """Return what programs are told of it."""
        return {"kind": self.kind, "text": self.text, "doubt": self.doubt}


UNCHECKED = Badge("unchecked", "Not checked against your log")


def run_badge(run: Run) -> Badge:
    """Return what a run is marked with; it is looked up, nothing is computed."""
    return run_badges([run])[run.pk]


def run_badges(runs: Iterable[Run]) -> Mapping[int, Badge]:
    """Return what runs are marked with by their keys, in two queries however many they are.

    Their workloads and sites should be at hand; configurations and, of finished runs, clusters need not.
    """
    runs = list(runs)
    known: dict[tuple[int, str], list[Fidelity]] = {}
    for found in Fidelity.objects.about(runs).order_by("-checked_at") if runs else ():
        known.setdefault((found.workload_id, found.engine_version), []).append(found)
    named = Run.objects.filter(pk__in=[run.pk for run in runs]) if known else Run.objects.none()
    columns = ("pk", KT("cluster__name"), KT("configuration__site_changes"))
    played_on = {pk: _Place(name, bool(changes)) for pk, name, changes in named.values_list(*columns)}
    return {
        run.pk: _badge(run, known.get((run.workload_id, run.engine_version), []), played_on.get(run.pk)) for run in runs
    }


class _Place(NamedTuple):
    """What a run's cluster is called, and whether it plays on a site with changes."""

    name: str
    is_changed_site: bool


def study_doubts(study: Study) -> list[str]:
    """Return what speaks against the verdicts of a study's finished runs, each sentence once."""
    runs = study.runs.finished().select_related("workload", "site").defer("workload__audit")
    if not Fidelity.objects.filter(workload__runs__study=study).exists():
        return []
    return list(dict.fromkeys(badge.doubt for badge in run_badges(runs.order_by("pk")).values() if badge.doubt))


def _badge(run: Run, known: Sequence[Fidelity], place: _Place | None) -> Badge:
    if run.workload.source.startswith("synthetic:"):
        return Badge("no_log", "")
    if not known or place is None:
        return UNCHECKED
    ranked = sorted(known, key=lambda found: Fidelity.POLICIES.index(found.policy))
    here = next((found for found in ranked if found.place_digest == run.place_digest), None)
    if here is not None and not place.is_changed_site:
        text = replay_in_words(here)
        if here.has_same_mean_wait:
            return Badge("replays", text, found=here)
        return Badge("differs", text, f"Do not rely on this: {here} {text[0].lower()}{text[1:]}.", here)
    base = here or next((found for found in ranked if _is_base(found, run, place)), None)
    if base is None:
        return UNCHECKED
    text = replay_in_words(base)
    mark = f"Not checked as it is here; unchanged, {base.place_name} {text[0].lower()}{text[1:]}"
    if base.has_same_mean_wait:
        return Badge("unchecked", mark, found=base)
    doubt = f"Do not rely on this: unchanged already, {base} {text[0].lower()}{text[1:]}."
    return Badge("differs", mark, doubt, base)


def _is_base(found: Fidelity, run: Run, place: _Place) -> bool:
    """Tell whether a run's site is another version of what was looked at, or its cluster that one with changes.

    Changes of a cluster stand behind its name.
    """
    if run.site is not None:
        return found.place_name.startswith(f"{run.site.name} version ")
    return f"{place.name} ".startswith(f"{found.place_name} ")


def replay_in_words(found: Fidelity) -> str:
    """Return how a log is replayed, without a full stop."""
    if found.has_same_mean_wait:
        return f"Replays your log within {duration(found.mean_absolute_difference)} (mean)"
    return (
        f"Does not replay your log: the mean wait is {duration(found.played_mean_wait)} here and "
        f"{duration(found.recorded_mean_wait)} in the log"
    )


def replay_groups(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield all tasks of a stored comparison, then those of each partition, QOS and hour, each with its name."""
    yield "all tasks", document["every"]
    for key, what in (("by_queue", "partition"), ("by_qos", "QOS"), ("by_hour", "hour")):
        for name, one in document[key].items():
            yield f"{what} {name}" if name else f"without {what}", one


def replay_sentences(document: Mapping[str, Any]) -> list[str]:
    """Return what a stored comparison says beside its groups: utilisation, what is left out, the first difference."""
    sentences = []
    for name, key in (("CPU", "cpu_utilisation"), ("GPU", "gpu_utilisation")):
        recorded, played = document[f"recorded_{key}"], document[f"played_{key}"]
        if recorded is not None and played is not None:
            uses = f"{quantity('share', recorded)} in the log, {quantity('share', played)} here"
            sentences.append(f"{name} use while the log runs: {uses}.")
    for key, what in (("unrecorded", "have no recorded start"), ("unplayed", "never start here")):
        if document[key]:
            sentences.append(f"{document[key]:,} tasks {what} and are not compared.")
    over = f"more than {document['over']:g} s from when"
    if document["first"] is None:
        sentences.append(f"No task starts {over} it did in the log.")
    else:
        first = first_in_words(FirstDifference(**document["first"]))
        sentences.append(f"Some tasks start {over} they did. {first}")
    return sentences


def first_in_words(first: FirstDifference) -> str:
    """Return a few sentences about the first task that differs, and why it does."""
    asked = [f"{first.cores:,.6g} cores"] if first.cores else []
    asked += [f"{first.gpus:,.6g} GPUs"] if first.gpus else []
    what = ", ".join([*([first.queue] if first.queue else []), *asked])
    when = f"started at {first.recorded_time:,.0f} s in the log and at {first.played_time:,.0f} s here"
    return f"The first is task {first.task_id} ({what}): it {when}. {_why(first)}"


def _why(first: FirstDifference) -> str:
    if first.reason == "before_arrival":
        return "The log starts it before it arrives."
    if first.reason == "waits_for_parents":
        return "Tasks that it depends on had not finished by then."
    held = [_held(first.played_cores, first.all_cores, "cores")]
    logged = [f"{first.recorded_cores:,.6g} cores"]
    if first.gpus:
        held.append(_held(first.played_gpus, first.all_gpus, "GPUs"))
        logged.append(f"{first.recorded_gpus:,.6g} GPUs")
    before = f"At {first.time:,.0f} s other tasks hold {' and '.join(held)} here, {' and '.join(logged)} in the log"
    if first.reason == "sooner":
        return f"{before}, where it waited on."
    if first.reason == "no_room":
        return f"{before}: there is no room for it."
    if not first.group:
        return f"{before}: there is room in all, but not on nodes that it may have, or others go before it."
    group = [_held(first.group_held_cores, first.group_cores, "cores")]
    group += [_held(first.group_held_gpus, first.group_gpus, "GPUs")] if first.gpus else []
    return f"{before}, but it is put on nodes of {first.group}, where they hold {' and '.join(group)}."


def _held(amount: float, there: int, what: str) -> str:
    return f"{amount:,.6g} of {there:,} {what}"
