"""Where the tasks of a study come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from apps.results.errors import InvalidField
from scheduler_sim.engine.errors import unknown_name
from scheduler_sim.engine.generators import GENERATORS
from scheduler_sim.engine.sampling import Arrivals, Draw

_ORIGINS = ("stored", "file", "generate", "sample")
_KEYS = {*_ORIGINS, "tasks", "parameters", "label", "draw", "arrivals"}
_KEYS_NAMED = 10


class InvalidStudy(InvalidField):
    """A study's definition that has no meaning."""


@dataclass(frozen=True)
class Source:
    """Where a study's tasks come from: a stored workload or a file by name, or a model or sample with one a seed.

    Attributes:
        label: what tables call it.
        stored: name of a stored workload, or the path of a trace; empty for a model.
        generate: the model's name; empty for a stored workload.
        tasks: how many the model makes, or are drawn.
        parameters: of the model.
        draw, arrivals: how tasks are drawn from what is stored, as `sample_tasks` has it; None where all are taken.
    """

    label: str
    stored: str = ""
    generate: str = ""
    tasks: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    draw: Draw | None = None
    arrivals: Arrivals = "trace"

    @property
    def has_seeds(self) -> bool:
        """Whether every seed has tasks of its own."""
        return bool(self.generate or self.draw)


def mapping_of(what: str, value: Any, known: set[str]) -> Mapping[str, Any]:
    """Return a part of a definition that holds no other keys than those known.

    Raises:
        InvalidStudy: it is no mapping, or holds others.
    """
    if not isinstance(value, dict):
        raise InvalidStudy(f"{what} is not a mapping of names to values.")
    if unknown := sorted(str(key) for key in set(value) - known):
        raise InvalidStudy(_unknown_keys(f"{what[0].lower()}{what[1:]}", unknown, sorted(known)))
    return value


def _unknown_keys(what: str, unknown: Sequence[str], known: list[str]) -> str:
    """Return the sentence that refuses keys, each of the first with the nearest one that there is."""
    if len(unknown) == 1:
        return unknown_name(f"key of {what}", unknown[0], known)
    nearest = {key: get_close_matches(key, known, n=1) for key in unknown[:_KEYS_NAMED]}
    named = [f"{key!r}" + (f" (did you mean {near[0]}?)" if near else "") for key, near in nearest.items()]
    more = f" and {len(unknown) - len(named):,} more" if len(unknown) > len(named) else ""
    return f"There are no keys of {what} called {', '.join(named)}{more}. Valid names: {', '.join(known)}."


def read_source(value: Any) -> Source:
    """Read one entry of a definition's `workloads`.

    Raises:
        InvalidStudy, EngineError: it has no meaning.
    """
    if isinstance(value, str):
        return Source(label=value, stored=value)
    given = mapping_of("A workload of the study", value, _KEYS)
    named = [key for key in _ORIGINS if given.get(key)]
    if len(named) != 1:
        raise InvalidStudy(f"A workload of the study names one of {', '.join(_ORIGINS[:-1])} and {_ORIGINS[-1]}.")
    origin = str(given[named[0]])
    if named != ["sample"] and (only := sorted({"draw", "arrivals"} & set(given))):
        raise InvalidStudy(f"{only[0]} is of a sample, and the workload names {named[0]}.")
    if named in (["stored"], ["file"]):
        return Source(label=str(given.get("label") or Path(origin).name), stored=origin)
    tasks = given.get("tasks", 1000)
    if isinstance(tasks, bool) or not isinstance(tasks, int) or tasks < 1:
        raise InvalidStudy(f"tasks must be a whole number above 0, not {tasks!r}.")
    if named == ["sample"]:
        draw = _one_of("draw", given.get("draw", "window"), get_args(Draw))
        arrivals = _one_of("arrivals", given.get("arrivals", "trace"), get_args(Arrivals))
        if given.get("parameters"):
            raise InvalidStudy("parameters are of a generator, and the workload names sample.")
        label = str(given.get("label") or f"{Path(origin).name}-{tasks}")
        return Source(label=label, stored=origin, tasks=tasks, draw=draw, arrivals=arrivals)
    parameters = given.get("parameters") or {}
    if origin not in GENERATORS:
        raise InvalidStudy(f"There is no generator called {origin!r}. Generators: {', '.join(sorted(GENERATORS))}.")
    GENERATORS[origin].parse(parameters)
    label = str(given.get("label") or f"{origin}-{tasks}")
    return Source(label=label, generate=origin, tasks=tasks, parameters=dict(parameters))


def _one_of(what: str, value: Any, known: Sequence[Any]) -> Any:
    if value not in known:
        raise InvalidStudy(f"{what} is {' or '.join(known)}, not {value!r}.")
    return value
