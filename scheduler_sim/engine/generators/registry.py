"""Generators by name, with typed parameters that explain themselves."""

import math
from collections.abc import Callable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter, unknown_name
from scheduler_sim.engine.workloads.estimates import Estimates, replace_estimates
from scheduler_sim.engine.workloads.workload import Workload

MOST_TASKS = 50_000_000
"""More tasks than this would not fit in the memory of an ordinary machine."""


def parameter(
    default: float | str | None,
    text: str,
    *,
    kind: type = float,
    low: float | None = None,
    high: float | None = None,
    words: tuple[str, ...] = (),
) -> Any:
    """Declare a model's parameter: its default (None: not set), help text, kind, inclusive bounds and further words."""
    return field(default=default, metadata={"help": text, "kind": kind, "low": low, "high": high, "words": words})


def part(default: float, text: str) -> Any:
    """Declare a parameter that is a part of the whole, from 0 to 1."""
    return parameter(default, text, low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What every model takes."""

    estimates: str | None = parameter(
        None, "what is stated of run times in place of what the model says, as tsafrir or uniform:5", kind=str
    )


@dataclass(frozen=True)
class Model:
    """How tasks are made.

    Attributes:
        name: what `generateworkload` takes.
        description: one line for people, with the source of the model.
        parameters: a dataclass, derived from `Parameters`, whose fields are declared with `parameter`.
    """

    name: str
    description: str
    parameters: type

    def fields(self) -> tuple[Field[Any], ...]:
        """Return the parameters' fields, for help texts."""
        return fields(self.parameters)

    def parse(self, given: Mapping[str, Any]) -> Any:
        """Build the parameters from texts or values.

        Raises:
            InvalidParameter: an unknown name, a value of the wrong kind or out of bounds.
        """
        known = {declared.name: declared for declared in self.fields()}
        values = {}
        for name, value in given.items():
            if name not in known:
                raise InvalidParameter(unknown_name(f"parameter of {self.name}", name, list(known)))
            values[name] = _value(known[name], value)
        if values.get("estimates") is not None:
            values["estimates"] = str(Estimates.parse(values["estimates"]))
        return self.parameters(**values)


@dataclass(frozen=True)
class Generator(Model):
    """One model of synthetic workloads.

    Attributes:
        generate: takes the number of tasks, the parameters and a seeded NumPy generator.
        site: describes the site that the tasks are for (docs/sites.md), by the parameters; None where there is none.
    """

    generate: Callable[[int, Any, np.random.Generator], Workload]
    site: Callable[[Any], dict[str, Any]] | None = None


@dataclass(frozen=True)
class Fitted(Model):
    """One model whose numbers come from a workload that is there.

    Attributes:
        generate: takes that workload, the parameters and a seeded NumPy generator.
    """

    generate: Callable[[Workload, Any, np.random.Generator], Workload]


GENERATORS: dict[str, Generator] = {}
"""Generators by name."""

FITTED: dict[str, Fitted] = {}
"""Models that are fitted to a workload, by name."""


def register(generator: Generator) -> Generator:
    """Add a generator and return it; a name can be taken once."""
    _refuse_taken(generator.name)
    GENERATORS[generator.name] = generator
    return generator


def register_fitted(model: Fitted) -> Fitted:
    """Add a model that is fitted to a workload and return it; a name can be taken once."""
    _refuse_taken(model.name)
    FITTED[model.name] = model
    return model


def _refuse_taken(name: str) -> None:
    if name in GENERATORS or name in FITTED:
        raise RuntimeError(f"The generator {name} is registered twice.")


@dataclass(frozen=True)
class Generated:
    """A synthetic workload with everything needed to make it again.

    Attributes:
        workload: the tasks.
        model: the generator's name.
        seed: of NumPy's default generator.
        parameters: every parameter with the value that was used; `estimates` where it was given.
        processors: of the machine that the tasks are for, None where the model has none.
    """

    workload: Workload
    model: str
    seed: int
    parameters: dict[str, Any]
    processors: int | None = None


def generate_workload(model: str, *, tasks: int, seed: int, parameters: Mapping[str, Any] | None = None) -> Generated:
    """Make `tasks` tasks by a registered model; the same arguments give the same tasks.

    Raises:
        InvalidParameter: an unknown model or parameter, a value out of bounds, a seed outside 0 to
            2**63 - 1, or a number of tasks outside 1 to `MOST_TASKS`.
    """
    if model in FITTED:
        raise InvalidParameter(f"The model {model} is fitted to a workload, and none is named.")
    if model not in GENERATORS:
        raise InvalidParameter(unknown_name("generator", model, list(GENERATORS)))
    if not 1 <= tasks <= MOST_TASKS:
        raise InvalidParameter(f"The number of tasks must lie between 1 and {MOST_TASKS:,}, not {tasks}.")
    random = _seeded(seed)
    generator = GENERATORS[model]
    parsed = generator.parse(parameters or {})
    processors = getattr(parsed, "processors", None)
    return _generated(model, generator.generate(tasks, parsed, random), parsed, seed, random, processors)


def generate_like(
    model: str,
    like: Workload,
    *,
    seed: int,
    parameters: Mapping[str, Any] | None = None,
    processors: int | None = None,
) -> Generated:
    """Make tasks by a model that is fitted to the workload `like`; the same arguments give the same tasks.

    Args:
        processors: of the machine that the tasks of `like` are for; None where that is not known.

    Raises:
        InvalidParameter: an unknown model or parameter, a value out of bounds, a seed outside 0 to 2**63 - 1, or a
            workload to which the model cannot be fitted.
    """
    if model in GENERATORS:
        raise InvalidParameter(f"The model {model} is fitted to no workload. Those that are: {', '.join(FITTED)}.")
    if model not in FITTED:
        raise InvalidParameter(unknown_name("fitted model", model, list(FITTED)))
    random = _seeded(seed)
    parsed = FITTED[model].parse(parameters or {})
    return _generated(model, FITTED[model].generate(like, parsed, random), parsed, seed, random, processors)


def _seeded(seed: int) -> np.random.Generator:
    if not 0 <= seed < 2**63:
        raise InvalidParameter(f"The seed must lie between 0 and 2**63 - 1, not {seed}.")
    return np.random.default_rng(seed)


def _generated(
    model: str, tasks: Workload, parsed: Any, seed: int, random: np.random.Generator, processors: int | None
) -> Generated:
    used = asdict(parsed)
    if parsed.estimates is None:
        # Workloads that were made before estimates could be asked for are found again.
        used.pop("estimates")
    else:
        tasks = replace_estimates(tasks, parsed.estimates, random)
    return Generated(workload=tasks, model=model, seed=seed, parameters=used, processors=processors)


def _value(declared: "Field[Any]", value: Any) -> Any:
    kind, low, high = (declared.metadata[key] for key in ("kind", "low", "high"))
    words = declared.metadata["words"]
    if (value is None and declared.default is None) or value in words:
        return value
    if kind is str:
        return str(value)
    try:
        converted = _truth(value) if kind is bool else kind(value)
    except (TypeError, ValueError, OverflowError) as error:
        word = " or ".join((*words, {bool: "yes or no", int: "a whole number", float: "a number"}[kind]))
        raise InvalidParameter(f"Parameter {declared.name} must be {word}, not {value!r}.") from error
    if kind is int and isinstance(value, float) and value != converted:
        raise InvalidParameter(f"Parameter {declared.name} must be a whole number, not {value!r}.")
    if not math.isfinite(converted) or (low is not None and converted < low) or (high is not None and converted > high):
        limits = ((low, "at least"), (high, "at most"))
        bounds = " and ".join(f"{word} {limit:g}" for limit, word in limits if limit is not None)
        raise InvalidParameter(f"Parameter {declared.name} must be {bounds or 'finite'}, not {value!r}.")
    return converted


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    text = str(value).lower()
    if text not in words:
        raise ValueError(value)
    return words[text]
