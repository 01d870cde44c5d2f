"""What a run may change of the cluster that it names, one line an option."""

from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import msgspec

from apps.live.play.kinds import STOPPED, WHAT_IF, read_changes, read_failure_models
from apps.live.play.options import COMMAND, SITE, About
from scheduler_sim import engine
from scheduler_sim.engine.whatif import add_nodes, drop_nodes, kill_at_outages, let_fail


def _nodes(label: str, help_text: str) -> About:
    """Return what an option says of itself that changes how many nodes there are."""
    return About(
        label,
        help_text,
        WHAT_IF,
        metavar="GROUP=N",
        asked_in=(COMMAND, SITE),
        check=read_changes,
        words={None: "none"},
        rule="GROUP=N, several with commas between them",
    )


class ClusterChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What a run changes of the cluster that it names; the changed cluster is stored, not the changes."""

    add_nodes: Annotated[
        str | None,
        _nodes(
            "More nodes",
            "N nodes more in a group, as GROUP=N; of a pool, whose group is called processors, N processors more",
        ),
    ] = None
    drop_nodes: Annotated[
        str | None,
        _nodes("Fewer nodes", "N nodes fewer in a group, as GROUP=N; of a pool N processors fewer"),
    ] = None
    failures: Annotated[
        str | None,
        About(
            "Failures of nodes",
            "when nodes fail by themselves and for how long, drawn by the seed: [GROUP=]exponential(mean_hours=H, "
            "repair_hours=H) or weibull(mean_hours=H, shape=K), of one node; a pool is one node",
            STOPPED,
            metavar="[GROUP=]MODEL,...",
            asked_in=(COMMAND, SITE),
            check=read_failure_models,
            words={None: "as the cluster says"},
            rule="[GROUP=]exponential(mean_hours=H,repair_hours=H), several with commas between them",
        ),
    ] = None
    outages: Annotated[
        Literal["drain", "kill"] | None,
        About(
            "At a listed outage",
            "whether what runs on the nodes of a listed outage may finish, or is ended as at a failure",
            STOPPED,
            asked_in=(COMMAND, SITE),
            words={None: "as the cluster says", "drain": "tasks finish", "kill": "tasks are ended"},
        ),
    ] = None

    def apply(self, cluster: engine.Cluster) -> engine.Cluster:
        """Return the changed cluster.

        Raises:
            InvalidCluster: a group that it does not have, or more nodes fewer than there are.
        """
        for _, change in self.steps():
            cluster = change(cluster)
        return cluster

    def steps(self) -> Iterator[tuple[str, Callable[[engine.Cluster], engine.Cluster]]]:
        """Yield the changes in their order, each under the name of its option."""
        yield "add_nodes", self.grown
        yield "drop_nodes", self.shrunk
        yield "failures", self.failing
        yield "outages", self.interrupted

    def grown(self, cluster: engine.Cluster) -> engine.Cluster:
        """Return the cluster with what is added."""
        return add_nodes(cluster, self.add_nodes) if self.add_nodes else cluster

    def shrunk(self, cluster: engine.Cluster) -> engine.Cluster:
        """Return the cluster without what is dropped."""
        return drop_nodes(cluster, self.drop_nodes) if self.drop_nodes else cluster

    def failing(self, cluster: engine.Cluster) -> engine.Cluster:
        """Return the cluster with nodes that fail."""
        return let_fail(cluster, self.failures) if self.failures else cluster

    def interrupted(self, cluster: engine.Cluster) -> engine.Cluster:
        """Return the cluster whose outages do what is asked for."""
        return kill_at_outages(cluster, kill=self.outages == "kill") if self.outages else cluster
