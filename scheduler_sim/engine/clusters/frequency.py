"""Steps of frequency of a group's devices: how fast they work and what they draw, as one node group says it."""

from dataclasses import dataclass, fields
from itertools import pairwise

from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.finite import is_finite_number


@dataclass(frozen=True)
class Frequency:
    """One step; what it leaves out is the group's own. The figures are called as those of `NodeGroup`.

    Attributes:
        cpu_speed, gpu_speed: seconds of a task's runtime that pass in one second.
        cpu_busy_watts, gpu_busy_watts: of one core and one GPU.

    Raises:
        InvalidCluster: a step that states nothing, or a value that has no meaning.
    """

    cpu_speed: float | None = None
    gpu_speed: float | None = None
    cpu_busy_watts: float | None = None
    gpu_busy_watts: float | None = None

    def __post_init__(self) -> None:
        if not self.stated:
            raise InvalidCluster(f"A step of frequencies states none of {', '.join(one.name for one in fields(self))}.")
        for name, value in self.stated.items():
            number = is_finite_number(value)
            if not number or value < 0 or (value == 0 and name.endswith("speed")):
                least = "above 0" if name.endswith("speed") else "a number from 0 up"
                raise InvalidCluster(f"{name} of a step of frequencies is {value!r}, not {least}.")

    @property
    def stated(self) -> dict[str, float]:
        """What it says, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) is not None}


def check_steps(steps: tuple[Frequency, ...], number: int) -> None:
    """Refuse steps that state different figures or do not descend in speed, and a number that none of them has.

    Raises:
        InvalidCluster: so it is.
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= max(len(steps), 1):
        raise InvalidCluster(
            f"frequency is {number!r}, and {len(steps) or 'no'} frequencies are stated, numbered from 1."
        )
    for one, other in pairwise(steps):
        if set(one.stated) != set(other.stated):
            raise InvalidCluster("All steps of frequencies state the same figures.")
        for name in ("cpu_speed", "gpu_speed"):
            if name in one.stated and one.stated[name] < other.stated[name]:
                raise InvalidCluster(f"{name} of frequencies ascends: the fastest step comes first.")
