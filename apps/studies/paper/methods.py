"""How figures came about, as a paper says it: made from what is stored of the runs, with what is cited for it."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from apps.live.play.configuration import RUN_OPTIONS
from apps.live.play.configuration_words import cluster_in_words, not_scored
from apps.results.models import Run
from apps.tasks.models import Workload
from apps.tasks.services import SAMPLE
from scheduler_sim.display.formatting import listing
from scheduler_sim.display.latex import code, tex
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.references import sources, sources_of_log, sources_of_policy

SYNTHETIC = "synthetic:"

SAID_APART = frozenset(
    (
        "policies", "seed", "site", "site_changes", "estimates", "load_factor", "warmup", "cooldown", "keep", "rate",
        "cores",
    )
)  # fmt: skip
"""Options with sentences of their own, and those that decide no figure."""

_OPTIONS = {option.stored_as: option for option in RUN_OPTIONS}

MOST_NAMED = 12
"""Of things that differ among the runs, so many are named."""


@dataclass(frozen=True)
class Methods:
    """A paragraph.

    Attributes:
        text: as LaTeX.
        cited: keys of the references in it.
        without_source: workloads and policies of which it is not known what to cite.
    """

    text: str
    cited: Sequence[str]
    without_source: Sequence[str]


class _Writer:
    """Collects sentences, and what they cite."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.cited: list[str] = []
        self.without_source: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def cite(self, keys: Iterable[str], of: str = "") -> str:
        """Return a citation; `of` is noted where there is nothing to cite."""
        keys = list(keys)
        if not keys:
            if of:
                self.without_source.append(of)
            return ""
        self.cited += keys
        return rf"~\cite{{{','.join(keys)}}}"


Statistics = Callable[[Callable[[str], str]], Iterable[str]]
"""Gives sentences in LaTeX about how figures were compared; it is given what cites a kind of statistics."""


def methods(runs: Sequence[Run], statistics: Statistics) -> Methods:
    """Return the paragraph for finished runs, whose workloads and sites should be at hand."""
    writer = _Writer()
    versions = sorted({(run.engine_version, run.code_version) for run in runs})
    told = listing(f"{tex(one)} (code {tex(other or 'not known')})" for one, other in versions)
    writer.say(f"All figures were simulated with Scheduler Sim{writer.cite(sources()['software'])}, engine {told}.")
    _workloads(writer, runs)
    _places(writer, runs)
    _policies(writer, runs)
    _settings(writer, runs)
    for sentence in statistics(lambda kind: writer.cite(sources()["statistics"][kind])):
        writer.say(sentence)
    return Methods("\n".join(writer.sentences), list(dict.fromkeys(writer.cited)), writer.without_source)


def _workloads(writer: _Writer, runs: Sequence[Run]) -> None:
    groups: dict[object, list[Workload]] = {}
    for workload in {run.workload_id: run.workload for run in runs}.values():
        alike = (workload.source, workload.source_sha256, str(workload.generator_parameters), workload.task_count)
        groups.setdefault(alike, []).append(workload)
    origins = {one.generator_parameters["sample_of"] for (one, *_) in groups.values() if one.source == SAMPLE}
    known = Workload.objects.filter(source_sha256__in=origins)
    stored = {one.source_sha256: one for one in known}
    for workload, *others in groups.values():
        seeds = sorted({one.seed for one in (workload, *others) if one.seed is not None})
        writer.say(_workload(writer, workload, seeds, stored))


def _workload(writer: _Writer, workload: Workload, seeds: Sequence[int], stored: dict[str, Workload]) -> str:
    tasks = f"{workload.task_count:,} tasks"
    if workload.source.startswith(SYNTHETIC):
        model = workload.source.removeprefix(SYNTHETIC)
        cited = writer.cite(sources()["models"].get(model, []), workload.name)
        values = ", ".join(
            f"{name} {value}" for name, value in workload.generator_parameters.items() if value is not None
        )
        made = f", made anew for each of the seeds {_named(seeds)}" if len(seeds) > 1 else f", seed {_named(seeds)}"
        return f"The workload of {tasks} is of the model {code(model)}{cited} ({tex(values)}){made}."
    if workload.source == SAMPLE:
        parameters = workload.generator_parameters
        origin = stored.get(parameters["sample_of"])
        whole = "a trace that is not stored any more" if origin is None else _trace(writer, origin)
        arrivals = f"arrivals {tex(parameters['arrivals'])}, {tex(parameters['draw'])} drawn"
        return f"Workloads of {tasks} ({arrivals}) were drawn, by the seeds {_named(seeds)}, from {whole}."
    return f"The workload is {_trace(writer, workload)}."


def _trace(writer: _Writer, workload: Workload) -> str:
    headers = (workload.audit or {}).get("headers", {})
    keys = sources_of_log(workload.source, f"{workload.source_file_name} {workload.name}", headers)
    # A format alone says how a log is written, and not whose it is.
    is_known = bool(set(keys) - set(sources()["formats"]["swf"]))
    cited = writer.cite(keys)
    if not is_known:
        writer.without_source.append(workload.name)
    read = f"{workload.task_count:,} tasks read from {code(workload.source_file_name or workload.name)}"
    return f"{read}{cited} (format {code(workload.source)}, SHA-256 {code(workload.source_sha256[:16])})"


def _places(writer: _Writer, runs: Sequence[Run]) -> None:
    clusters = {json.dumps(run.cluster, sort_keys=True): run.cluster for run in runs}
    told = Counter(map(cluster_in_words, clusters.values()))
    shown = [
        f"{tex(one)}{f' ({count} that differ in more than this)' if count > 1 else ''}" for one, count in told.items()
    ]
    more = f"; and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
    writer.say(f"Simulated cluster{'s' if len(clusters) > 1 else ''}: {'; '.join(shown[:MOST_NAMED])}{more}.")
    sites = sorted({f"{run.site.name} version {run.site.version}" for run in runs if run.site is not None})
    if sites:
        writer.say(f"The rules of a site held: {tex(listing(sites))}.")


def _policies(writer: _Writer, runs: Sequence[Run]) -> None:
    names = list(dict.fromkeys(name for run in runs for name in run.policies))
    told = []
    for name in names:
        try:
            keys = sources_of_policy(name)
        except InvalidPolicy:
            keys = []
        told.append(f"{code(name)}{writer.cite(keys, name)}")
    writer.say(f"Policies: {', '.join(told)}.")


def _settings(writer: _Writer, runs: Sequence[Run]) -> None:
    seeds = sorted({run.seed for run in runs})
    writer.say(f"There {_count(len(runs), 'finished run')}, of seed {_named(seeds)}.")
    documents = [run.configuration for run in runs]
    loads = sorted({float(one.get("load_factor", 1.0)) for one in documents})
    if loads != [1.0]:
        writer.say(f"Arrivals were made {_named([f'{one:g}' for one in loads])} times as dense as in the workload.")
    estimates = list(dict.fromkeys(str(one.get("estimates", "trace")) for one in documents))
    known = sources()["estimates"]
    told = [f"{tex(_OPTIONS['estimates'].words(one))}{_of_kind(writer, known, one)}" for one in estimates]
    writer.say(f"What policies were told of run times: {listing(told)}.")
    _scored(writer, runs)
    for name, option in _OPTIONS.items():
        if name in SAID_APART:
            continue
        values = [one.get(name) for one in documents]
        differing = [value for value in values if value not in (None, "", {}, []) and value != option.default]
        if not differing:
            continue
        some = "" if len(differing) == len(values) else " in part of the runs"
        words = list(dict.fromkeys(map(option.words, differing)))
        cited = "".join(_of_kind(writer, sources().get(name, {}), one) for one in _words_of(differing))
        writer.say(f"{tex(option.about.label)}{some}: {tex(_named(words))}{cited}.")


def _of_kind(writer: _Writer, known: Mapping[str, list[str]], text: str) -> str:
    """Cite what belongs to the part of a text before its colon, as in `uniform:3`."""
    return writer.cite(known.get(text.partition(":")[0], []))


def _words_of(values: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))


def _scored(writer: _Writer, runs: Sequence[Run]) -> None:
    left_out = list(dict.fromkeys(map(not_scored, runs)))
    if left_out == [""]:
        writer.say("All arrivals were scored, without a warm-up.")
    for one in filter(None, left_out):
        where = "Of all arrivals" if len(left_out) == 1 else "Of the arrivals in part of the runs"
        writer.say(f"{where}, {tex(one)} were played and not scored.")


def _count(number: int, what: str) -> str:
    return f"{'is' if number == 1 else 'are'} {number:,} {what}{'' if number == 1 else 's'}"


def _named(values: Sequence[object]) -> str:
    shown = [str(value) for value in values[:MOST_NAMED]]
    return listing(shown) if len(values) <= MOST_NAMED else f"{', '.join(shown)} and {len(values) - MOST_NAMED} more"
