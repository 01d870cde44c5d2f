"""How nodes on which nothing runs go to sleep and wake again, as one node group says it."""

from dataclasses import dataclass

from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.finite import is_finite_number


@dataclass(frozen=True)
class Sleep:
    """How the nodes of a group sleep.

    Attributes:
        suspend_time: seconds without a task until a node sleeps, as Slurm's SuspendTime.
        resume_time: seconds from the start of a task that needs it until it is awake, of Slurm's ResumeTimeout what it
            really takes.
        asleep_watts, waking_watts: of one node; None for what it draws when it is idle.

    Raises:
        InvalidCluster: a value that has no meaning.
    """

    suspend_time: float
    resume_time: float
    asleep_watts: float = 0.0
    waking_watts: float | None = None

    def __post_init__(self) -> None:
        for key in ("suspend_time", "resume_time", "asleep_watts", "waking_watts"):
            value = getattr(self, key)
            if value is None and key == "waking_watts":
                continue
            number = is_finite_number(value)
            if not number or value < 0:
                raise InvalidCluster(f"{key} of a sleep is {value!r}, not a number from 0 up.")
