"""A cluster as a list of node groups."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from scheduler_sim.engine.errors import InvalidCluster


@dataclass(frozen=True)
class Outage:
    """A span of time in which the nodes of a group take no new task.

    Attributes:
        start_time, end_time: seconds on the workload's clock, `start_time <= end_time`.
        nodes: how many nodes of the group, the highest numbered ones first.
    """

    start_time: float
    end_time: float
    nodes: int


@dataclass(frozen=True)
class NodeGroup:
    """Nodes that are alike.

    Attributes:
        name: what people call them.
        count: how many nodes.
        cores, gpus: devices of one node.
        gpu_type: the GPU's model, empty where there is none.
        memory_mb: memory of one node; None does not limit it.
        cpu_speed, gpu_speed: how many seconds of a task's runtime pass in one second.
        bandwidth_mb_per_second: of the link between host and GPU.
        cpu_idle_watts, cpu_busy_watts: of one core.
        gpu_idle_watts, gpu_busy_watts: of one GPU.
        usd_per_core_hour, usd_per_gpu_hour: the price of holding one.
        outages: when nodes of the group are away.
    """

    name: str
    count: int
    cores: int
    gpus: int = 0
    gpu_type: str = ""
    memory_mb: float | None = None
    cpu_speed: float = 1.0
    gpu_speed: float = 1.0
    bandwidth_mb_per_second: float = 16000.0
    cpu_idle_watts: float = 0.0
    cpu_busy_watts: float = 0.0
    gpu_idle_watts: float = 0.0
    gpu_busy_watts: float = 0.0
    usd_per_core_hour: float = 0.0
    usd_per_gpu_hour: float = 0.0
    outages: tuple[Outage, ...] = field(default=())


@dataclass(frozen=True)
class Cluster:
    """Node groups under one name; nodes are numbered from 0 through the groups in their order."""

    name: str
    groups: tuple[NodeGroup, ...]

    def __post_init__(self) -> None:
        if not self.groups:
            raise InvalidCluster(f"Cluster {self.name} has no node group.")

    @property
    def cores(self) -> int:
        """Cores in all."""
        return sum(group.count * group.cores for group in self.groups)

    @property
    def gpus(self) -> int:
        """GPUs in all."""
        return sum(group.count * group.gpus for group in self.groups)

    @property
    def nodes(self) -> int:
        """Nodes in all."""
        return sum(group.count for group in self.groups)

    @property
    def is_pool(self) -> bool:
        """True when the cluster is one pool of alike processors that any task may be spread over."""
        (first, *rest) = self.groups
        return not rest and first.count == 1 and first.gpus == 0 and first.memory_mb is None and not first.outages

    def as_json(self) -> dict[str, Any]:
        """Return the description that `Cluster.from_json` takes back."""
        return {"name": self.name, "groups": [asdict(group) for group in self.groups]}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Build a cluster from a description.

        Raises:
            InvalidCluster: a key that is unknown or missing, or a value of the wrong kind.
        """
        try:
            groups = tuple(
                NodeGroup(**{**group, "outages": tuple(Outage(**outage) for outage in group.get("outages", ()))})
                for group in document["groups"]
            )
            return cls(name=str(document["name"]), groups=groups)
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidCluster(f"The cluster description is not valid: {error}.") from error
