"""A cluster as a list of node groups, checked once on the way in."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.clusters.failures import FailureModel
from scheduler_sim.engine.clusters.frequency import Frequency, check_steps
from scheduler_sim.engine.clusters.hosts import LARGEST_NODES
from scheduler_sim.engine.clusters.network import Network
from scheduler_sim.engine.clusters.sleep import Sleep
from scheduler_sim.engine.clusters.slices import Slice, slices
from scheduler_sim.engine.clusters.topology import Topology
from scheduler_sim.engine.errors import InvalidCluster, InvalidParameter, InvalidSite
from scheduler_sim.engine.finite import is_finite_number
from scheduler_sim.engine.series import PueCurve, kind_named

LARGEST_GPUS_PER_NODE = 64
"""The kernels hold the devices of a node in one 64-bit mask."""


@dataclass(frozen=True)
class Outage:
    """A span of time in which some nodes of a group take no new task; what runs there finishes.

    Attributes:
        start_time, end_time: seconds on the workload's clock, `start_time <= end_time`; the nodes are back at
            `end_time` itself.
        nodes: how many nodes of the group, the highest numbered ones first.
        kill: what runs there ends as at a failure, which nobody foresees.
    """

    start_time: float
    end_time: float
    nodes: int
    kill: bool = False


@dataclass(frozen=True)
class NodeGroup:
    """Nodes that are alike.

    Attributes:
        name: what people call them.
        count: how many nodes.
        cores, gpus: devices of one node.
        gpu_type: the GPU's model, empty where there is none; of slices their profile, behind the model if there is one.
        memory_mb: memory of one node; None does not limit it.
        cpu_speed, gpu_speed: how many seconds of a task's runtime pass in one second.
        bandwidth_mb_per_second: of the link between host and GPU.
        cpu_idle_watts, cpu_busy_watts: of one core.
        gpu_idle_watts, gpu_busy_watts: of one GPU.
        usd_per_core_hour, usd_per_gpu_hour: the price of holding one.
        outages: when nodes of the group are away.
        failures: how often nodes fail by themselves; None for never.
        sleep: how its nodes sleep where nothing runs on them; None for never.
        frequencies: steps of speed and watts, the fastest first; what they state goes before the group's own figures.
        frequency: the number of the step that holds, from 1 on.
        part_of: what the whole nodes are called of which these are parts, with slices of one profile each.

    Raises:
        InvalidCluster: a value that has no meaning; the sentence names the group and the value.
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
    failures: FailureModel | None = None
    sleep: Sleep | None = None
    part_of: str = ""
    frequencies: tuple[Frequency, ...] = ()
    frequency: int = 1

    def __post_init__(self) -> None:
        self._take_step()
        for key in ("name", "gpu_type", "part_of"):
            if not isinstance(getattr(self, key), str):
                raise InvalidCluster(f"Node group {self.name}: {key} is not a text.")
        for key, smallest, largest in (
            ("count", 1, LARGEST_NODES),
            ("cores", 0, 2**31),
            ("gpus", 0, LARGEST_GPUS_PER_NODE),
        ):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= largest:
                raise InvalidCluster(
                    f"Node group {self.name}: {key} is {value!r}, not a whole number from {smallest} to {largest}."
                )
        if self.cores == 0 and self.gpus == 0:
            raise InvalidCluster(f"Node group {self.name} has neither cores nor GPUs.")
        for key in ("cpu_speed", "gpu_speed", "bandwidth_mb_per_second"):
            if not is_finite_number(getattr(self, key)) or getattr(self, key) <= 0:
                raise InvalidCluster(f"Node group {self.name}: {key} is {getattr(self, key)!r}, not above 0.")
        for key in _NOT_NEGATIVE:
            value = getattr(self, key)
            if (value is None and key == "memory_mb") or (is_finite_number(value) and value >= 0):
                continue
            raise InvalidCluster(f"Node group {self.name}: {key} is {value!r}, not a number from 0 up.")
        for outage in self.outages:
            self._check_outage(outage)

    @property
    def node_idle_watts(self) -> float:
        """What one node draws when nothing runs on it."""
        return self.cores * self.cpu_idle_watts + self.gpus * self.gpu_idle_watts

    @property
    def slower_steps(self) -> int:
        """How many steps of frequency are slower than the one that holds."""
        return len(self.frequencies) - self.frequency if self.frequencies else 0

    def at_step_below(self, down: int) -> "NodeGroup":
        """Return the group so many steps of frequency below the one that holds, or at its slowest."""
        return replace(self, frequency=self.frequency + min(down, self.slower_steps))

    def _take_step(self) -> None:
        try:
            check_steps(self.frequencies, self.frequency)
        except InvalidCluster as error:
            raise InvalidCluster(f"Node group {self.name}: {error}") from None
        if self.frequencies:
            for name, value in self.frequencies[self.frequency - 1].stated.items():
                object.__setattr__(self, name, value)

    def _check_outage(self, outage: Outage) -> None:
        if not (is_finite_number(outage.start_time) and is_finite_number(outage.end_time)):
            raise InvalidCluster(f"Node group {self.name}: an outage starts or ends at no finite time.")
        if outage.end_time < outage.start_time:
            raise InvalidCluster(
                f"Node group {self.name}: an outage ends at {outage.end_time:g} s, before its start at "
                f"{outage.start_time:g} s."
            )
        if isinstance(outage.nodes, bool) or not isinstance(outage.nodes, int) or not 1 <= outage.nodes <= self.count:
            raise InvalidCluster(
                f"Node group {self.name}: an outage takes {outage.nodes!r} nodes, not 1 to {self.count}."
            )


_NOT_NEGATIVE = (
    "memory_mb",
    "cpu_idle_watts",
    "cpu_busy_watts",
    "gpu_idle_watts",
    "gpu_busy_watts",
    "usd_per_core_hour",
    "usd_per_gpu_hour",
)


@dataclass(frozen=True)
class Cluster:
    """Node groups under one name; nodes are numbered from 0 through the groups in their order.

    Attributes:
        topology: the racks and switches, by the names of nodes; None where they do not matter.
        network: the links on which tasks send data to those that depend on them; None where that takes no time.
        series: kinds of series of its electricity, and the name of each; what stores series knows them.
        pue_by_temperature: what its PUE is by the temperature outside; None where that is not known.
    """

    name: str
    groups: tuple[NodeGroup, ...]
    topology: Topology | None = None
    network: Network | None = None
    series: tuple[tuple[str, str], ...] = ()
    pue_by_temperature: PueCurve | None = None

    def __post_init__(self) -> None:
        if not self.groups:
            raise InvalidCluster(f"Cluster {self.name} has no node group.")
        if self.nodes > LARGEST_NODES:
            raise InvalidCluster(f"Cluster {self.name} has {self.nodes} nodes, more than {LARGEST_NODES}.")
        if len({group.sleep.resume_time for group in self.groups if group.sleep is not None}) > 1:
            raise InvalidCluster(f"Cluster {self.name}: resume_time is not the same in all groups whose nodes sleep.")

    @property
    def states_watts(self) -> bool:
        """True where some group says what its devices draw."""
        names = ("cpu_idle_watts", "cpu_busy_watts", "gpu_idle_watts", "gpu_busy_watts")
        return any(getattr(group, name) for group in self.groups for name in names)

    @property
    def states_prices(self) -> bool:
        """True where some group says what holding its devices costs."""
        return any(group.usd_per_core_hour or group.usd_per_gpu_hour for group in self.groups)

    @property
    def sleeps(self) -> bool:
        """True when nodes of some group go to sleep."""
        return any(group.sleep is not None for group in self.groups)

    @property
    def has_slower_steps(self) -> bool:
        """True when some group states frequencies that are slower than the one that holds."""
        return any(group.slower_steps for group in self.groups)

    @property
    def steps_down(self) -> "tuple[Cluster, ...]":
        """This cluster, and as it is one step of frequency after the other below those that hold.

        All groups go down together, each no further than to its slowest step.
        """
        downs = range(max(group.slower_steps for group in self.groups) + 1)
        return tuple(replace(self, groups=tuple(group.at_step_below(down) for group in self.groups)) for down in downs)

    @property
    def resume_time(self) -> float:
        """Seconds that a node takes to wake, alike in all groups that sleep; 0 where none does."""
        return max((group.sleep.resume_time for group in self.groups if group.sleep is not None), default=0.0)

    @property
    def idle_watts(self) -> float:
        """What all nodes draw together when nothing runs and none sleeps."""
        return sum(group.count * group.node_idle_watts for group in self.groups)

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

    def of_groups(self, name: str) -> npt.NDArray[np.float64]:
        """Return one figure of every node group, shape (groups,)."""
        return np.array([getattr(group, name) for group in self.groups], np.float64)

    def group_of_nodes(self) -> npt.NDArray[np.int64]:
        """Return the group number of every node, shape (nodes,)."""
        return np.repeat(np.arange(len(self.groups)), [group.count for group in self.groups])

    def groups_at(self, node: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the group number of each of these nodes, which may be read only."""
        if len(self.groups) == 1:
            return np.broadcast_to(np.int64(0), node.shape)
        return self.group_of_nodes()[node]

    def at_groups(self, name: str, group: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return one figure of each of these node groups, which may be read only."""
        values = self.of_groups(name)
        return np.broadcast_to(values[0], group.shape) if len(values) == 1 else values[group]

    @property
    def node_names(self) -> list[str]:
        """What nodes are called where a site does not name them: their group's name and a number from 1."""
        return [f"{group.name}{number}" for group in self.groups for number in range(1, group.count + 1)]

    @property
    def fails(self) -> bool:
        """True when nodes fail by themselves, or listed outages end what runs."""
        return any(group.failures is not None or any(one.kill for one in group.outages) for group in self.groups)

    def as_json(self) -> dict[str, Any]:
        """Return the description that `Cluster.from_json` takes back."""
        document: dict[str, Any] = {"name": self.name, "groups": [_as_json(group) for group in self.groups]}
        if self.topology is not None:
            document["topology"] = self.topology.as_json(self.node_names)
        if self.network is not None:
            document["network"] = self.network.as_json()
        return document | self.electricity_as_json()

    def electricity_as_json(self) -> dict[str, Any]:
        """Return what a description says of the cluster's electricity; nothing where that is nothing."""
        document: dict[str, Any] = {}
        if self.series:
            document["series"] = dict(self.series)
        if self.pue_by_temperature is not None:
            document["pue_by_temperature"] = [list(point) for point in self.pue_by_temperature.points]
        return document

    @classmethod
    def from_json(cls, document: Any, node_names: Sequence[str] | None = None) -> Self:
        """Build a cluster from a description such as `as_json` gives.

        Args:
            node_names: by which the topology calls the nodes, where they are not the cluster's own `node_names`.

        Raises:
            InvalidCluster: a key that is unknown or missing, or a value of the wrong kind.
        """
        _check_keys("The cluster description", document, required={"name", "groups"}, optional=_OPTIONAL)
        if not isinstance(document["groups"], list | tuple):
            raise InvalidCluster("The cluster description's groups are not a list.")
        groups = tuple(part for group in document["groups"] for part in _parts(group))
        cluster = cls(name=str(document["name"]), groups=groups, **read_electricity(document))
        if document.get("network") is not None:
            of_groups = [group.name for group in groups]
            cluster = replace(cluster, network=Network.from_json(document["network"], of_groups))
        if document.get("topology") is None:
            return cluster
        parted = next((group.part_of for group in groups if group.part_of), None)
        if parted is not None:
            raise InvalidCluster(f"Node group {parted} has slices of several profiles, which racks do not know.")
        names = cluster.node_names if node_names is None else node_names
        return replace(cluster, topology=Topology.from_json(document["topology"], names))


_OPTIONAL = {"topology", "network", "series", "pue_by_temperature"}


def read_electricity(document: Mapping[str, Any]) -> dict[str, Any]:
    """Read what a description says of its electricity, as fields of a cluster.

    Raises:
        InvalidSite: a kind of series that there is not, a name that is no text, or a curve that has no meaning.
    """
    found: dict[str, Any] = {}
    named = document.get("series")
    if named is not None:
        if not isinstance(named, Mapping):
            raise InvalidSite("series is not a mapping of kinds to names of series.", "series")
        for kind, name in named.items():
            path = f"series.{kind}"
            try:
                kind_named(str(kind))
            except InvalidParameter as error:
                raise InvalidSite(f"series: {error}", path) from None
            if not isinstance(name, str) or not name.strip() or "," in name:
                raise InvalidSite(f"series: {kind} is {name!r}, not the name of a series.", path)
        found["series"] = tuple((str(kind), name.strip()) for kind, name in named.items())
    if document.get("pue_by_temperature") is not None:
        path = "pue_by_temperature"
        try:
            found[path] = PueCurve.of_pairs(document[path])
        except InvalidParameter as error:
            raise InvalidSite(str(error), path) from None
        if "temperature" not in dict(found.get("series", ())):
            raise InvalidSite("pue_by_temperature has no meaning without a series of temperature.", path)
    return found


def _as_json(group: NodeGroup) -> dict[str, Any]:
    """Describe a group; what was added to descriptions later is left out where it is not used, as they are stored."""
    document = asdict(group)
    document["outages"] = [
        {key: value for key, value in outage.items() if key != "kill" or value} for outage in document["outages"]
    ]
    for name in ("failures", "sleep"):
        if document[name] is None:
            del document[name]
    if not group.part_of:
        del document["part_of"]
    del document["frequencies"], document["frequency"]
    if group.frequencies:
        document["frequencies"] = [one.stated for one in group.frequencies]
        document["frequency"] = group.frequency
    return document


def _parts(document: Any) -> list[NodeGroup]:
    """Read a group; one whose GPUs are cut into slices of several profiles becomes a group for each profile."""
    if not isinstance(document, dict) or document.get("mig") is None:
        return [_group(document)]
    whole = _group({key: value for key, value in document.items() if key != "mig"})
    if not whole.gpus:
        raise InvalidCluster(f"Node group {whole.name}: mig cuts GPUs into slices, and its nodes have none.")
    if whole.frequencies and any(name.startswith("gpu") for name in whole.frequencies[0].stated):
        raise InvalidCluster(f"Node group {whole.name}: frequencies of GPUs are not known of their slices (mig).")
    kinds = slices(f"Node group {whole.name}", document["mig"])
    if len(kinds) == 1:
        return [replace(whole, **_of_slices(whole, kinds[0]))]
    if whole.failures is not None or any(outage.kill for outage in whole.outages):
        raise InvalidCluster(
            f"Node group {whole.name} has slices of several profiles, which are played as nodes of their own, and a "
            "node that fails would not take all of them."
        )
    of_all = [one.given * one.count for one in kinds]
    ends = [round(whole.cores * sum(of_all[: place + 1])) for place in range(len(kinds))]
    cores = np.diff([0, *ends]).tolist()
    return [
        replace(
            whole,
            **_of_slices(whole, one),
            name=f"{whole.name}/{one.profile}",
            part_of=whole.name,
            cores=cores[place],
            memory_mb=None if whole.memory_mb is None else whole.memory_mb * of_all[place],
        )
        for place, one in enumerate(kinds)
    ]


def _of_slices(whole: NodeGroup, one: Slice) -> dict[str, Any]:
    """Return what the nodes of a group have as GPUs where these are slices.

    What GPUs draw when idle and what they cost is shared out among their slices; of what work adds, a slice draws its
    part of the GPU's compute slices.
    """
    gpus = whole.gpus * one.count
    if gpus > LARGEST_GPUS_PER_NODE:
        raise InvalidCluster(
            f"Node group {whole.name}: {whole.gpus} GPUs of {one.count} slices are {gpus} devices of a node, more than "
            f"{LARGEST_GPUS_PER_NODE}."
        )
    idle = whole.gpu_idle_watts * one.given
    return {
        "gpus": gpus,
        "gpu_type": f"{whole.gpu_type}_{one.profile}" if whole.gpu_type else one.profile,
        "gpu_idle_watts": idle,
        "gpu_busy_watts": idle + (whole.gpu_busy_watts - whole.gpu_idle_watts) * one.share,
        "usd_per_gpu_hour": whole.usd_per_gpu_hour * one.given,
    }


def _group(document: Any) -> NodeGroup:
    known = {item.name for item in fields(NodeGroup)}
    name = document.get("name", "without a name") if isinstance(document, dict) else "without a name"
    _check_keys(f"Node group {name}", document, required={"name", "count", "cores"}, optional=known)
    spans = document.get("outages", ())
    if not isinstance(spans, list | tuple):
        raise InvalidCluster(f"Node group {name}: outages is not a list.")
    outages = []
    for span in spans:
        _check_keys(f"An outage of node group {name}", span, {"start_time", "end_time", "nodes"}, {"kill"})
        outages.append(Outage(**span))
    failures = document.get("failures")
    if failures is not None:
        known = {item.name for item in fields(FailureModel)}
        _check_keys(f"The failures of node group {name}", failures, {"mean_hours"}, known)
        failures = FailureModel(**failures)
    sleep = document.get("sleep")
    if sleep is not None:
        known = {item.name for item in fields(Sleep)}
        _check_keys(f"The sleep of node group {name}", sleep, {"suspend_time", "resume_time"}, known)
        sleep = Sleep(**sleep)
    steps = document.get("frequencies", ())
    if not isinstance(steps, list | tuple):
        raise InvalidCluster(f"Node group {name}: frequencies is not a list.")
    known = {item.name for item in fields(Frequency)}
    for step in steps:
        _check_keys(f"A step of frequencies of node group {name}", step, set(), known)
    changed = {"outages": tuple(outages), "failures": failures, "sleep": sleep}
    return NodeGroup(**{**document, **changed, "frequencies": tuple(Frequency(**step) for step in steps)})


def _check_keys(what: str, document: Any, required: set[str], optional: set[str]) -> None:
    if not isinstance(document, dict):
        raise InvalidCluster(f"{what} is not a mapping of names to values.")
    missing = sorted(required - set(document))
    if missing:
        raise InvalidCluster(f"{what} lacks {', '.join(missing)}.")
    unknown = sorted(str(key) for key in set(document) - required - optional)
    if unknown:
        raise InvalidCluster(
            f"{what} has unknown keys: {', '.join(unknown)}. Known: {', '.join(sorted(required | optional))}."
        )
