"""A run as a small document from which anybody can play it again to the same checksum."""

import json
import platform
import shlex
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from apps.live.play.configuration import RunConfiguration
from apps.live.play.launch import policies_differing
from apps.results.errors import DomainError
from apps.results.fidelity import Badge, run_badge
from apps.results.models import Run
from apps.tasks.errors import SeriesError
from apps.tasks.models import Site, Workload
from apps.tasks.series_services import series_document, series_named, series_restore
from apps.tasks.services import SAMPLE, workload_find_or_import, workload_generate, workload_sample
from apps.tasks.sites.services import site_store
from scheduler_sim import engine
from scheduler_sim.columnar.digests import json_digest
from scheduler_sim.engine import sites
from scheduler_sim.engine.generators import FITTED

FORMAT = 1
_KEYS = {"manifest_format", "run", "workload", "cluster", "configuration", "engine_version", "checksum"}


class InvalidManifest(DomainError):
    """A manifest that cannot be read or played."""


class NotReproduced(DomainError):
    """The replay has another checksum than the manifest."""


def series_told(named: str) -> list[dict[str, Any]]:
    """Return the series that a text names as a manifest holds them, with their values."""
    return [series_document(one) for one in series_named(named)]


def run_manifest(
    run: Run, badge: Badge | None = None, series_of: Callable[[str], list[dict[str, Any]]] = series_told
) -> dict[str, Any]:
    """Return everything that decides what a run computes, with what it computed.

    Args:
        badge: what the run is marked with, where that is known already.
        series_of: gives what `series_told` does, where that is known already.
    """
    workload = run.workload
    return {
        "manifest_format": FORMAT,
        "cautions": run.cautions,
        "fidelity": (badge or run_badge(run)).as_json(),
        "run": run.name,
        "workload": {
            "name": workload.name,
            "source": workload.source,
            "file_name": workload.source_file_name,
            "sha256": workload.source_sha256,
            "generator_parameters": workload.generator_parameters,
            "seed": workload.seed,
            "tasks": workload.task_count,
            **({"fitted_to": base} if (base := workload.audit.get("fitted_to")) else {}),
        },
        "cluster": run.cluster,
        **_site_part(run),
        **_series_part(run, series_of),
        "configuration": run.configuration,
        "engine_version": run.engine_version,
        "code_version": run.code_version,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "numba")}},
        "checksum": run.checksum,
    }


def manifest_read(path: str) -> dict[str, Any]:
    """Read a manifest.

    Raises:
        InvalidManifest: it cannot be read, is of another form, or is of another engine version.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidManifest(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InvalidManifest(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(document, dict) or not set(document) >= _KEYS or document["manifest_format"] != FORMAT:
        raise InvalidManifest(f"{path} is no manifest of a run.")
    if document["engine_version"] != engine.ENGINE_VERSION:
        raise InvalidManifest(
            f"{path} is of engine {document['engine_version']}, this is engine {engine.ENGINE_VERSION}: figures may "
            f"differ, so it cannot be replayed."
        )
    return document


def manifest_parts(
    document: dict[str, Any], *, workload_file: str | None = None
) -> tuple[Workload, engine.Cluster, RunConfiguration]:
    """Return what a manifest plays; a model's tasks are generated again, those of a file must be at hand.

    Args:
        workload_file: name of a stored workload or path of the file, where it is not stored yet.

    Raises:
        InvalidManifest: the workload is missing or is another one, or the configuration is incomplete.
        InvalidOption: a value or a name in the configuration that has no meaning.
    """
    try:
        configuration = RunConfiguration.from_json(document["configuration"]).checked()
        cluster = engine.Cluster.from_json(document["cluster"])
        if configuration.site is not None:
            configuration = msgspec.structs.replace(configuration, site=_site(document["site"]).reference)
    except (TypeError, KeyError) as error:
        raise InvalidManifest(f"The manifest's configuration has no meaning: {error}.") from error
    workload = _workload(document["workload"], workload_file)
    try:
        # Last, because a series stays for good once it is stored.
        for one in document.get("series", []):
            series_restore(one)
    except (TypeError, SeriesError) as error:
        raise InvalidManifest(f"The manifest's series cannot be stored: {error}") from error
    return workload, cluster, configuration


def manifest_check(document: dict[str, Any], run: Run) -> None:
    """Compare a finished replay with its manifest.

    Raises:
        NotReproduced: the checksums differ.
    """
    if run.checksum != document["checksum"]:
        told, present = (one.get("own_policies") or {} for one in (document["configuration"], run.configuration))
        changed = policies_differing(told, present)
        raise NotReproduced(
            f"Run {run.pk} has the checksum {run.checksum[:16]}, its manifest {document['checksum'][:16]}: it was not "
            f"reproduced.{f' It was played with another {changed}.' if changed else ''}"
        )


def _site_part(run: Run) -> dict[str, Any]:
    """Return the site as its version was stored, under its name; nothing for a run on a cluster."""
    if run.site is None:
        return {}
    site = run.site
    parts = {"name": site.name, "version": site.version, "digest": site.digest, "description": site.description}
    return {"site": parts}


def _series_part(run: Run, series_of: Callable[[str], list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the series that a run names, with their values; nothing for a run without."""
    named = run.configuration.get("series")
    return {"series": series_of(named)} if named else {}


def _site(wanted: dict[str, Any]) -> Site:
    """Return the version that a manifest tells of, stored anew where no version is the same.

    Raises:
        InvalidManifest: its description is not what its digest says.
    """
    if json_digest(wanted["description"]) != wanted["digest"]:
        raise InvalidManifest(f"The manifest's site {wanted['name']} is not what its digest says.")
    same = Site.objects.filter(digest=wanted["digest"]).order_by("pk").first()
    if same is not None:
        return same
    return site_store(site=sites.Site.from_json(wanted["description"]), origin="a manifest", name=wanted["name"])[0]


def _workload(wanted: dict[str, Any], workload_file: str | None) -> Workload:
    sha256, parameters = wanted.get("sha256", ""), wanted["generator_parameters"]
    sample_of = parameters["sample_of"] if wanted["source"] == SAMPLE else ""
    if workload_file or sha256 or sample_of:
        workload = _stored(wanted, sha256 or sample_of, workload_file)
        if sample_of:
            drawn = {name: parameters[name] for name in ("draw", "arrivals")}
            workload = workload_sample(of=workload, tasks=wanted["tasks"], seed=wanted["seed"], **drawn)[0]
    elif "fitted_to" in parameters:
        workload = _fitted(wanted)
    else:
        model = str(wanted["source"]).removeprefix("synthetic:")
        workload = workload_generate(model=model, tasks=wanted["tasks"], seed=wanted["seed"], parameters=parameters)[0]
    theirs = (sha256, parameters, wanted["seed"], wanted["tasks"])
    if (workload.source_sha256, workload.generator_parameters, workload.seed, workload.task_count) != theirs:
        raise InvalidManifest(f"Workload {workload.name} is not the one that the manifest tells of.")
    return workload


def _fitted(wanted: dict[str, Any]) -> Workload:
    """Return the workload that was fitted to another one, of which a manifest holds the name and the digest alone.

    Raises:
        InvalidManifest: it is not stored.
    """
    known = {name: wanted[name] for name in ("source", "generator_parameters", "seed")}
    stored = Workload.objects.filter(task_count=wanted["tasks"], **known).order_by("pk").first()
    if stored is None:
        model = str(wanted["source"]).removeprefix("synthetic:")
        base = str(wanted.get("fitted_to") or "NAME")[: Workload.NAME_LENGTH]
        digest = str(wanted["generator_parameters"]["fitted_to"])[:12]
        words = ["--from", base, *_changed(model, wanted["generator_parameters"]), "--seed", str(wanted["seed"])]
        raise InvalidManifest(
            f"The workload was fitted to workload {base} (its tasks' digest begins with {digest}) and is not stored; "
            f"make it with: generateworkload {shlex.join([model, *words])}"
        )
    return stored


def _changed(model: str, parameters: dict[str, Any]) -> list[str]:
    """Return the arguments that give a fitted model those parameters that are not its usual ones."""
    usual = {one.name: one.default for one in FITTED[model].fields()} if model in FITTED else {}
    given = {name: parameters[name] for name, value in usual.items() if parameters.get(name, value) != value}
    return [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]


def _stored(wanted: dict[str, Any], sha256: str, workload_file: str | None) -> Workload:
    if workload_file:
        return workload_find_or_import(workload_file)[0]
    stored = Workload.objects.filter(source_sha256=sha256).first()
    if stored is None:
        raise InvalidManifest(
            f"Trace {wanted['file_name']} (sha256 {sha256[:16]}) is not stored; name its file with --workload."
        )
    return stored
