"""The kinds of values that options have, and what is checked of them beyond their type."""

from typing import Annotated

from msgspec import Meta

from scheduler_sim import engine
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.estimates import Estimates
from scheduler_sim.engine.generators import GENERATORS
from scheduler_sim.engine.policies.agent import RewardWeights
from scheduler_sim.engine.whatif import parse_changes

LARGEST = 2**63 - 1

Count = Annotated[int, Meta(ge=1, le=LARGEST)]
Depth = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Meta(ge=0, le=LARGEST)]
Part = Annotated[float, Meta(ge=0.0, le=0.99)]
Factor = Annotated[float, Meta(gt=0.0)]
Weight = Annotated[float, Meta(ge=0.0, le=1e6)]
EstimatesText = Annotated[
    str,
    Meta(
        pattern=r"^(trace|exact|(factor|uniform):[0-9]{1,6}(\.[0-9]{1,6})?|predicted:[A-Za-z0-9_-]{1,60}(\.[0-9]{1,6})?)$",
        max_length=80,
    ),
]


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


def read_model(name: str) -> str:
    """Refuse a generator that does not exist."""
    if name not in GENERATORS:
        raise InvalidParameter(f"There is no generator called {name!r}. Generators: {', '.join(sorted(GENERATORS))}.")
    return name


def read_changes(text: str) -> str:
    """Refuse changes that are not GROUP=N."""
    parse_changes(text)
    return text
