"""Where a task goes: the node and, for a task that may be split, its GPU fraction and device."""

from dataclasses import dataclass

from scheduler_sim.engine.policies.registry import Registry


@dataclass(frozen=True)
class Placement:
    """A registered placement.

    Attributes:
        name: as typed after `@` in a policy.
        code: the integer the node kernel knows it by.
        rule: one sentence for the help pages.
        source: paper and year, or `classic` / `baseline`.
        clairvoyant: true when it sees the true runtime.
    """

    name: str
    code: int
    rule: str
    source: str
    clairvoyant: bool = False


PLACEMENTS: Registry[Placement] = Registry("placement")

DEFAULT_PLACEMENT = "first_fit"

FIRST_FIT = PLACEMENTS.register(
    Placement(
        "first_fit",
        0,
        "The lowest-numbered node that fits; split tasks take gpu_fraction = compute_intensity.",
        "classic",
    )
)
