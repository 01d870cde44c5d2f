"""The runs of a study: its grid written out, and stored so that nothing is there twice."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import msgspec
from django.db import IntegrityError, transaction

from apps.live.play.configuration import RunConfiguration
from apps.live.play.electricity import settled_on
from apps.live.play.launch import RunNameTaken, run_create
from apps.results.models import Run, Study
from apps.studies.definition import Definition
from apps.studies.sources import Source
from apps.tasks.models import Workload
from apps.tasks.services import workload_find_or_import, workload_generate, workload_sample
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import load_cluster

Progress = Callable[[str], None]

RECORDED = "recorded"
"""The policy that replays the starts of the trace."""


@dataclass(frozen=True, order=True)
class Cell:
    """One place of the grid; its runs differ in the seed alone."""

    workload: str
    load_factor: float
    cluster: str
    estimates: str
    variant: str = ""


@dataclass(frozen=True)
class Point(Cell):
    """Where one run lies in the grid."""

    seed: int = field(kw_only=True)


@dataclass(frozen=True)
class GridRun:
    """A point with what is played there."""

    point: Point
    source: Source
    cluster: engine.Cluster | None
    configuration: RunConfiguration

    def cluster_for(self, workload: Workload) -> engine.Cluster:
        """Return the cluster; `auto` takes the workload's."""
        return self.cluster or load_cluster("auto", max_processors=workload.max_processors)


def grid_runs(definition: Definition, seeds: Iterable[int] | None = None) -> Iterator[GridRun]:
    """Yield every run of the grid, those of one workload after each other.

    Args:
        seeds: only these; None for all.
    """
    for source in definition.sources:
        for seed in definition.seeds if seeds is None else seeds:
            for load_factor in definition.load_factors:
                for label, cluster in definition.clusters:
                    for estimates in definition.estimates:
                        for variant, fixed in definition.variants:
                            asked = RunConfiguration(
                                policies=_policies(definition, load_factor, label),
                                seed=seed,
                                estimates=estimates,
                                load_factor=load_factor,
                                **definition.sites.get(label, {}),
                                **fixed,
                            )
                            settled = asked if cluster is None else settled_on(asked, cluster)
                            yield GridRun(
                                point=Point(source.label, load_factor, label, estimates, variant, seed=seed),
                                source=source,
                                cluster=cluster,
                                configuration=settled.with_models(),
                            )


def _policies(definition: Definition, load_factor: float, cluster: str) -> tuple[str, ...]:
    """Return the policies of one cell: what was recorded stands beside today's load and cluster, the first, alone."""
    if load_factor == 1 and cluster == definition.clusters[0][0]:
        return definition.policies
    return _without_recorded(definition.policies)


def _without_recorded(policies: tuple[str, ...]) -> tuple[str, ...]:
    # A study of nothing else is left as it is, and its runs say why they cannot be played.
    return tuple(name for name in policies if name != RECORDED) or policies


def _playable(wanted: GridRun, *, is_recorded: bool) -> GridRun:
    """Leave out what was recorded where the workload does not tell of it."""
    if is_recorded or RECORDED not in wanted.configuration.policies:
        return wanted
    policies = _without_recorded(wanted.configuration.policies)
    return replace(wanted, configuration=msgspec.structs.replace(wanted.configuration, policies=policies))


def workload_of(source: Source, seed: int, progress: Progress | None = None) -> Workload:
    """Return the stored workload of a source and seed, imported, generated or drawn when it is not there yet.

    Raises:
        WorkloadError, EngineError: it cannot be had.
    """
    if source.generate:
        return workload_generate(
            model=source.generate, tasks=source.tasks, seed=seed, parameters=source.parameters, progress=progress
        )[0]
    stored = workload_find_or_import(source.stored)[0]
    if source.draw:
        return workload_sample(
            of=stored,
            tasks=source.tasks,
            seed=seed,
            draw=source.draw,
            arrivals=source.arrivals,
            progress=progress,
        )[0]
    return stored


def run_digest(*, workload: Workload, cluster: engine.Cluster, configuration: RunConfiguration) -> str:
    """Return the SHA-256 of everything that decides what a run computes, the engine's version included.

    The workload counts by the sha256 of its file, or by its model, parameters and seed; not by its name.
    """
    origin: Any = workload.source_sha256 or [
        workload.source,
        workload.generator_parameters,
        workload.seed,
        workload.task_count,
    ]
    document = [engine.ENGINE_VERSION, origin, cluster.as_json(), configuration.as_json()]
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def study_store(definition: Definition) -> Study:
    """Store the study, or give the one of that name its new definition."""
    study, _ = Study.objects.update_or_create(name=definition.name, defaults={"definition": definition.document})
    return study


def runs_store(
    study: Study, definition: Definition, *, seeds: Iterable[int] | None = None, progress: Progress | None = None
) -> list[Run]:
    """Return the study's runs of these seeds, those that are missing created as queued.

    A run that another study or nobody has is not shared: each study owns its runs.

    Raises:
        WorkloadError, EngineError: a workload cannot be had; what was created until then stays and is found again.
    """
    there = {run.digest: run for run in study.runs.all()}
    found: list[Run] = []
    held: tuple[tuple[str, int], Workload, bool] | None = None
    for wanted in grid_runs(definition, seeds):
        key = (wanted.source.label, wanted.point.seed if wanted.source.has_seeds else 0)
        if held is None or held[0] != key:
            stored = workload_of(wanted.source, wanted.point.seed, progress)
            is_recorded = RECORDED in definition.policies and stored.tasks.has_recorded_starts()
            held = (key, stored, is_recorded)
        workload = held[1]
        wanted = _playable(wanted, is_recorded=held[2])
        cluster = wanted.cluster_for(workload)
        digest = run_digest(workload=workload, cluster=cluster, configuration=wanted.configuration)
        run = there.get(digest)
        if run is None:
            if progress is not None:
                progress(f"Storing run {len(found) + 1:,} ...")
            run = _create_once(study, wanted, workload, cluster, digest)
        elif run.study_point != asdict(wanted.point):
            # A label was changed.
            run.study_point = asdict(wanted.point)
            run.save(update_fields=["study_point"])
        found.append(run)
    return found


def _create_once(study: Study, wanted: GridRun, workload: Workload, cluster: engine.Cluster, digest: str) -> Run:
    """Create a run, or return the one that another process stored at the same moment."""
    try:
        return _create(study, wanted, workload, cluster, digest)
    except (RunNameTaken, IntegrityError):
        theirs = study.runs.filter(digest=digest).first()
        if theirs is None:
            raise
        return theirs


@transaction.atomic
def _create(study: Study, wanted: GridRun, workload: Workload, cluster: engine.Cluster, digest: str) -> Run:
    point = wanted.point
    parts = [point.workload, f"load {point.load_factor:g}", point.cluster, f"{point.estimates} estimates"]
    parts += [point.variant] if point.variant else []
    name = f"{study.name}: {', '.join(parts)}, seed {point.seed}"
    taken = Run.objects.filter(name=name[:190]).exists()
    run = run_create(
        workload=workload,
        cluster=cluster,
        configuration=wanted.configuration,
        name=f"{name[:180]} {digest[:8]}" if taken or len(name) > 190 else name,
    )
    run.study, run.study_point, run.digest = study, asdict(point), digest
    run.save(update_fields=["study", "study_point", "digest"])
    return run


def release_others(study: Study, kept: Iterable[Run]) -> int:
    """Let go of the study's runs that its definition does not name any more, and return how many.

    They stay as runs of their own.
    """
    keys = {run.pk for run in kept}
    gone = [key for key in study.runs.values_list("pk", flat=True) if key not in keys]
    for first in range(0, len(gone), 1000):
        Run.objects.filter(pk__in=gone[first : first + 1000]).update(study=None)
    return len(gone)
