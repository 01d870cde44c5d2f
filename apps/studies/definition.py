"""What a study is made of, read from YAML or JSON and checked once on the way in."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec
import yaml

from apps.live.play.cluster_changes import ClusterChanges
from apps.live.play.configuration import RUN_OPTIONS, RunConfiguration, asked_in
from apps.live.play.options import STUDY, InvalidOption, options_of, read_options, renamed
from apps.live.play.playable import playable_on
from apps.live.play.sites import site_settled
from apps.live.terminal.arguments import content_of
from apps.results.errors import DomainError
from apps.studies.sources import InvalidStudy, Source, mapping_of, read_source
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.measuring.figures import FIGURES
from scheduler_sim.engine.workloads.estimates import Estimates

MOST_RUNS = 1_000_000
DEFAULT_FIGURE = "mean_bounded_slowdown"

FIXED_DEFAULTS: Mapping[str, Any] = {"keep": "summary"}
"""Options whose default in a study is another one than in a run."""

_WHICH_SEEDS = "seeds is a number N, for the seeds 1 to N, or a list of whole numbers from 0 to 2**63 - 1."
_OPTIONS = {option.stored_as: option for option in RUN_OPTIONS}
_FIXED = {option.name: option for option in asked_in(STUDY)}

_DESCRIBED = ("name", "groups", "topology", "network", "series", "pue_by_temperature")
"""What a cluster that is written out in a study may say, as in a cluster's file."""


@dataclass(frozen=True)
class Stopping:
    """When a study has replications enough: the half width of every interval is so small a part of its mean."""

    figure: str
    relative_width: float
    minimum: int
    maximum: int


@dataclass(frozen=True)
class Definition:
    """A checked definition.

    Attributes:
        name: the study's.
        sources, load_factors, clusters, estimates, seeds: the grid; clusters by their label.
        sites: by the label of a cluster that is a site's, what names it in a run's configuration.
        policies: names, played in every run.
        base: the policy with which the others are compared.
        figure: the figure that is shown first.
        fixed: choices that are the same in all runs, as `RunConfiguration` calls them.
        variants: of the grid: labels, each with the choices that hold there, those of `fixed` included.
        stopping: None to play every seed.
        document: what was given, as stored with the study.
    """

    name: str
    sources: tuple[Source, ...]
    load_factors: tuple[float, ...]
    clusters: tuple[tuple[str, engine.Cluster | None], ...]
    sites: Mapping[str, Mapping[str, Any]]
    policies: tuple[str, ...]
    estimates: tuple[str, ...]
    seeds: tuple[int, ...]
    base: str
    figure: str
    fixed: Mapping[str, Any]
    variants: tuple[tuple[str, Mapping[str, Any]], ...]
    stopping: Stopping | None
    document: Mapping[str, Any]

    @property
    def run_count(self) -> int:
        """How many runs the whole grid has."""
        axes = (self.sources, self.load_factors, self.clusters, self.estimates, self.variants, self.seeds)
        return math.prod(map(len, axes))

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Check a definition.

        Raises:
            InvalidStudy, EngineError: what has no meaning, in one sentence.
        """
        document = renamed(_FIXED.values(), document) if isinstance(document, dict) else document
        given = mapping_of("The study", document, {*_DEFAULTS, *_FIXED})
        parts = {part: read_part(part, given.get(part, default)) for part, default in _DEFAULTS.items()}
        policies, stopping = parts["policies"], parts["sequential"]
        if stopping is not None and "seeds" not in given:
            parts["seeds"] = tuple(range(1, stopping.maximum + 1))
        base = parts["base"] or policies[0]
        if base not in policies:
            raise InvalidStudy(f"The base {base!r} is not among the study's policies.", "base")
        grounds = [(cluster, site) for _, cluster, site in parts["clusters"] if cluster is not None]
        definition = cls(
            name=parts["name"],
            sources=parts["workloads"],
            load_factors=parts["load_factors"],
            clusters=tuple((label, cluster) for label, cluster, _ in parts["clusters"]),
            sites={label: site for label, _, site in parts["clusters"] if site},
            policies=policies,
            estimates=parts["estimates"],
            seeds=parts["seeds"],
            base=base,
            figure=parts["figure"],
            fixed=_fixed(given, policies),
            variants=tuple(
                (label, _fixed({**given, **changes}, policies, grounds)) for label, changes in parts["variants"]
            ),
            stopping=stopping,
            document=dict(given),
        )
        if definition.run_count > MOST_RUNS:
            raise InvalidStudy(f"The grid has {definition.run_count:,} runs, more than {MOST_RUNS:,}.")
        return definition


def read_part(part: str, value: Any) -> Any:
    """Check one key of a definition by itself and return what `Definition` holds of it.

    Raises:
        InvalidStudy: it has no meaning; `part` says which it was.
    """
    try:
        return _PARTS[part](value)
    except (InvalidStudy, InvalidOption, engine.EngineError) as error:
        raise InvalidStudy(str(error), part) from error


def definition_text(document: Mapping[str, Any]) -> str:
    """Return a definition as YAML, its keys in the order in which docs/studies.md explains them."""
    order = [key for key in (*_DEFAULTS, *_FIXED) if key in document]
    return str(yaml.safe_dump({key: document[key] for key in order}, sort_keys=False, allow_unicode=True))


def read_definition(path: str | Path) -> Definition:
    """Read a study's file, JSON or YAML; `name` may be left out: the file's own name.

    Raises:
        InvalidStudy, EngineError: the file cannot be read, or the definition has no meaning.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidStudy(f"{file} is not a text file in UTF-8.") from None
    except OSError as error:
        raise InvalidStudy(f"{file} cannot be read: {error.strerror}.") from error
    try:
        document = json.loads(text) if file.suffix.lower() == ".json" else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise InvalidStudy(f"{file} is not valid JSON or YAML: {' '.join(str(error).split())}.") from error
    if isinstance(document, dict):
        document = {"name": file.stem, **document, **_contents(document)}
        if isinstance(document.get("variants"), list):
            document["variants"] = [
                {**one, **_contents(one)} if isinstance(one, dict) else one for one in document["variants"]
            ]
    return Definition.from_json(document)


def _contents(document: Mapping[str, Any]) -> dict[str, str]:
    """Return what the files hold that options name, so that the definition holds it itself."""
    named = {name: str(document[name]) for name, option in _FIXED.items() if option.about.is_file and name in document}
    try:
        # What has several lines is no path but the content itself.
        return {name: text if "\n" in text else content_of(_FIXED[name], text) for name, text in named.items()}
    except InvalidOption as error:
        raise InvalidStudy(str(error), error.field) from error


def _list(what: str, value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    if not values or values == [None]:
        raise InvalidStudy(f"The study names no {what}.")
    return values


def _each(what: str, value: Any, read: Callable[[Any], Any], name: Callable[[Any], Any] = lambda one: one) -> Any:
    """Read every value of an axis of the grid, none of which may be there twice by its `name`."""
    values = tuple(read(one) for one in _list(what, value))
    names = [name(one) for one in values]
    twice = next((one for number, one in enumerate(names) if one in names[:number]), None)
    if twice is not None:
        raise InvalidStudy(f"The study names {twice} twice among its {what}.")
    return values


def _name(value: Any) -> str:
    name = str(value or "").strip()
    if not 1 <= len(name) <= 200:
        raise InvalidStudy("A study needs a name of 1 to 200 characters.")
    return name


def _policies(value: Any) -> tuple[str, ...]:
    if not isinstance(value, str):
        value = [str(one) for one in _list("policies", value)]
    return tuple(_OPTIONS["policies"].read(value))


def _seeds(value: Any) -> tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_RUNS:
        return tuple(range(1, value + 1))
    if isinstance(value, list):
        return tuple(_each("seeds", value, _OPTIONS["seed"].read))
    raise InvalidStudy(_WHICH_SEEDS)


def _estimates(value: Any) -> str:
    """Return the estimates in their one spelling; `predicted:MODEL` is looked up when the grid is written out."""
    text: str = _OPTIONS["estimates"].read(value)
    return text if text.startswith("predicted:") else str(Estimates.parse(text))


def _figure(value: Any) -> str:
    if value not in FIGURES:
        raise InvalidStudy(f"There is no figure called {value!r}. Figures: {', '.join(FIGURES)}.")
    return str(value)


def _cluster(value: Any) -> tuple[str, engine.Cluster | None, Mapping[str, Any]]:
    """Return the label of a cluster, the cluster, and what names its site in a run's configuration.

    The cluster is None for `auto`, which depends on the workload.
    """
    if isinstance(value, str):
        return ("auto", None, {}) if value == "auto" else (value, load_cluster(value), {})
    changes = ClusterChanges.__struct_fields__
    given = mapping_of("A cluster of the study", value, {"cluster", "label", "site", *_DESCRIBED, *changes})
    asked = {name: _changes(given[name]) for name in changes if given.get(name) not in (None, "", {})}
    changed = ClusterChanges(**read_options(options_of(ClusterChanges), asked))
    if "groups" not in given and (stray := next((key for key in _DESCRIBED[2:] if key in given), None)):
        raise InvalidStudy(f"{stray} belongs to a cluster that lists its groups, not to one that is named.")
    if "site" in given:
        return _of_site(given, changed)
    if "groups" in given:
        described = {key: given[key] for key in _DESCRIBED if key in given}
        cluster = engine.Cluster.from_json({"name": "described", **described})
    elif given.get("cluster") and given["cluster"] != "auto":
        cluster = load_cluster(str(given["cluster"]))
    else:
        raise InvalidStudy(
            "A cluster of the study names a preset or file under cluster, a stored site under site, or lists its "
            "groups."
        )
    cluster = changed.apply(cluster)
    return str(given.get("label") or cluster.name), cluster, {}


def _of_site(given: Mapping[str, Any], changes: ClusterChanges) -> tuple[str, engine.Cluster, Mapping[str, Any]]:
    if "cluster" in given or "groups" in given:
        raise InvalidStudy("A cluster of the study is a site or lists nodes of its own, not both.")
    asked = RunConfiguration(policies=(), site=_OPTIONS["site"].read(given["site"]))
    configuration, site = site_settled(asked, changes)
    name = str(configuration.site).rpartition("@")[0]
    label = given.get("label") or f"{asked.site}{site.name.removeprefix(name)}"
    return str(label), site.cluster, {"site": configuration.site, "site_changes": configuration.site_changes}


def _changes(value: Any) -> str:
    """Return the text of a change; groups and what they are given may be a mapping."""
    return ",".join(f"{name}={given}" for name, given in value.items()) if isinstance(value, dict) else str(value)


def _stopping(value: Any) -> Stopping | None:
    if value is None:
        return None
    given = mapping_of("sequential", value, {"figure", "relative_width", "minimum", "maximum"})
    width = given.get("relative_width", 0.05)
    minimum, maximum = given.get("minimum", 5), given.get("maximum", 100)
    if not isinstance(width, int | float) or not 0 < width < 1:
        raise InvalidStudy(f"relative_width is a part of the mean between 0 and 1, not {width!r}.")
    if not (isinstance(minimum, int) and isinstance(maximum, int) and 2 <= minimum <= maximum <= MOST_RUNS):
        raise InvalidStudy("sequential needs whole numbers with 2 <= minimum <= maximum.")
    return Stopping(_figure(given.get("figure", DEFAULT_FIGURE)), float(width), minimum, maximum)


def variant_label(changes: Mapping[str, Any]) -> str:
    """Return what a variant is called: its label, or the options that it gives, empty where it gives none."""
    given = [f"{name} {value}" for name, value in changes.items() if name != "label"]
    return str(changes.get("label") or ", ".join(given))


def _variant(value: Any) -> tuple[str, Mapping[str, Any]]:
    """Return the label of a variant and the options that it gives; they are read together with those of all runs."""
    given = renamed(_FIXED.values(), value) if isinstance(value, dict) else value
    changes = mapping_of("A variant of the study", given, {"label", *_FIXED})
    return variant_label(changes), {name: changes[name] for name in changes if name != "label"}


def _fixed(
    given: Mapping[str, Any],
    policies: tuple[str, ...],
    grounds: Iterable[tuple[engine.Cluster, Mapping[str, Any]]] = (),
) -> dict[str, Any]:
    """Read the options that are the same in all runs, by the names of their fields."""
    fixed = dict(FIXED_DEFAULTS)
    try:
        for name, option in _FIXED.items():
            if name in given:
                value = option.read(given[name])
                # A whole number stays one: 0 and 0.0 make two digests of runs that were stored.
                is_same = type(given[name]) is int and given[name] == value
                fixed[option.stored_as] = given[name] if is_same else value
        configuration = RunConfiguration.of({"policies": policies, **fixed})
        for cluster, site in grounds:
            playable_on(msgspec.structs.replace(configuration, **site), cluster)
    except InvalidOption as error:
        raise InvalidStudy(str(error), error.field) from error
    except (DomainError, engine.EngineError) as error:
        raise InvalidStudy(str(error), "policies") from error
    return fixed


_DEFAULTS: Mapping[str, Any] = {
    "name": "",
    "workloads": None,
    "load_factors": [1.0],
    "clusters": ["auto"],
    "policies": None,
    "estimates": "trace",
    "variants": [{}],
    "seeds": 1,
    "base": "",
    "figure": DEFAULT_FIGURE,
    "sequential": None,
}
_PARTS: Mapping[str, Callable[[Any], Any]] = {
    "name": _name,
    "workloads": lambda value: _each("workloads", value, read_source, lambda source: source.label),
    "load_factors": lambda value: _each("load_factors", value, _OPTIONS["load_factor"].read),
    "clusters": lambda value: _each("clusters", value, _cluster, lambda cluster: cluster[0]),
    "policies": _policies,
    "estimates": lambda value: _each("estimates", value, _estimates),
    "variants": lambda value: _each("variants", value, _variant, lambda variant: variant[0]),
    "seeds": _seeds,
    "base": lambda value: str(value or ""),
    "figure": _figure,
    "sequential": _stopping,
}
