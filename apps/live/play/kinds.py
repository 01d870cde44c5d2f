"""The headings of options, the kinds of their values, and what is checked of them beyond their type."""

from typing import Annotated

from msgspec import Meta

from scheduler_sim import engine
from scheduler_sim.engine.clock import microseconds
from scheduler_sim.engine.clusters.failures import failures_text, parse_failures
from scheduler_sim.engine.clusters.overheads import CHECKPOINT_RULES, Overhead
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.generators import GENERATORS
from scheduler_sim.engine.policies.agent import RewardWeights
from scheduler_sim.engine.series import PueCurve
from scheduler_sim.engine.whatif import parse_changes, parse_failure_models
from scheduler_sim.engine.workloads.estimates import Estimates

PLAYED, SIMULATED, STOPPED, ELECTRICITY, WHAT_IF, PACE, ENDLESS = (
    "what is played",
    "how it is simulated",
    "tasks that stop and go on",
    "carbon and price of electricity",
    "what if",
    "how fast",
    "a race without end",
)
"""The headings under which options are listed."""

LARGEST = 2**63 - 1

Count = Annotated[int, Meta(ge=1, le=LARGEST)]
Cores = Annotated[int, Meta(ge=1, le=1024)]
Depth = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Step = Annotated[int, Meta(ge=1, le=100)]
Seed = Annotated[int, Meta(ge=0, le=LARGEST)]
Part = Annotated[float, Meta(ge=0.0, le=0.99)]
Factor = Annotated[float, Meta(gt=0.0)]
Weight = Annotated[float, Meta(ge=0.0, le=1e6)]
EstimatesText = Annotated[
    str,
    Meta(
        pattern=r"^(trace|exact|(factor|uniform):[0-9]{1,6}(\.[0-9]{1,6})?|tsafrir(:[0-9]{1,10})?|predicted:[A-Za-z0-9_-]{1,60}(\.[0-9]{1,6})?)$",
        max_length=80,
    ),
]

Seconds = Annotated[float, Meta(ge=0.0)]
Times = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Growth = Annotated[float, Meta(ge=1.0)]
OverheadText = Annotated[str, Meta(pattern=r"^[0-9.:/]+$", max_length=200)]
CheckpointsText = Annotated[str, Meta(pattern=r"^(none|young|daly|[0-9]{1,15}(\.[0-9]{1,15})?)$")]
SiteText = Annotated[str, Meta(min_length=1, max_length=120)]
ListText = Annotated[str, Meta(max_length=1_000_000)]

SeriesText = Annotated[str, Meta(max_length=600)]
PueCurveText = Annotated[str, Meta(max_length=600)]
SeriesZeroText = Annotated[str, Meta(max_length=40)]

OVERHEAD_RULE = "seconds from 0 up, as 30, or seconds by devices held, as 1:7/8:30/60"
CHECKPOINTS_RULE = "none, seconds of work from 0.001 up, young or daly"


def read_policies(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of policies that are registered."""
    return tuple(policy.name for policy in engine.parse_policies(",".join(names)))


def read_estimates(text: str) -> str:
    """Refuse estimates whose factor is out of range."""
    if not text.startswith("predicted:"):
        Estimates.parse(text)
    return text


def read_weights(weights: tuple[float, float, float]) -> tuple[float, float, float]:
    """Refuse weights of which none is above 0."""
    RewardWeights(*weights)
    return weights


def read_series_zero(text: str) -> str:
    """Refuse what is neither a date and a time nor `begin`."""
    if text not in ("", "begin") and microseconds(text) is None:
        raise InvalidParameter(f"series_zero must be a date and a time, such as 2022-01-01T00:00:00, not {text!r}.")
    return text


def read_pue_curve(text: str) -> str:
    """Refuse what is no curve of the PUE by the temperature."""
    return PueCurve.read(text).as_text() if text else text


def read_model(name: str) -> str:
    """Refuse a generator that does not exist."""
    if name not in GENERATORS:
        raise InvalidParameter(f"There is no generator called {name!r}. Generators: {', '.join(sorted(GENERATORS))}.")
    return name


def read_additions(text: str) -> str:
    """Refuse changes that are not GROUP=N."""
    parse_changes(text)
    return text


def read_removals(text: str) -> str:
    """Refuse changes that are neither GROUP=N nor names of nodes."""
    parse_changes(text, by_name=True)
    return text


def read_failure_models(text: str) -> str:
    """Refuse failures that are not [GROUP=]DISTRIBUTION(...)."""
    parse_failure_models(text)
    return text


def read_failure_list(text: str) -> str:
    """Return listed failures in their one spelling, empty for none."""
    return failures_text(parse_failures(text)) if text else ""


def read_overhead(text: str) -> str:
    """Return an overhead in its one spelling."""
    try:
        return str(Overhead.read(text))
    except ValueError:
        raise InvalidParameter(f"restart_overhead must be {OVERHEAD_RULE}, not {text}.") from None


def read_checkpoints(text: str) -> str:
    """Return when checkpoints are written in its one spelling."""
    if text == "none" or text in CHECKPOINT_RULES:
        return text
    if float(text) < 0.001:
        raise InvalidParameter(f"checkpoints must be {CHECKPOINTS_RULE}, not {text}.")
    return f"{float(text):.15g}"
