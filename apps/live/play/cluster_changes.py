"""What a run may change of the cluster that it names, one line an option."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Literal, Self, TypeVar

import msgspec

from apps.live.play.kinds import ELECTRICITY, STOPPED, WHAT_IF, Step, read_additions, read_failure_models, read_removals
from apps.live.play.options import COMMAND, SITE, About
from scheduler_sim import engine
from scheduler_sim.engine.sites import Site, add_site_nodes, drop_site_nodes, with_cluster
from scheduler_sim.engine.whatif import add_nodes, at_frequency, drop_nodes, kill_at_outages, let_fail, parse_changes

Ground = TypeVar("Ground", engine.Cluster, Site)
"""What tasks are played on."""


_change = partial(About, asked_in=(COMMAND, SITE), words={None: "as the cluster says"})

_nodes = partial(
    _change,
    section=WHAT_IF,
    metavar="GROUP=N",
    words={None: "none"},
    rule="GROUP=N, several with commas between them",
)
"""Of options that change how many nodes there are."""


class ClusterChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What a run changes of the cluster or site that it names.

    Of a cluster the changed one is stored, not the changes; of a site, whose versions stay what they are, the changes.
    """

    add_nodes: Annotated[
        str | None,
        _nodes(
            "More nodes",
            "N nodes more in a group, as GROUP=N; of a pool, whose group is called processors, N processors more; of a "
            "site GROUP may be a partition, and the new nodes are copies of the last node there",
            check=read_additions,
        ),
    ] = None
    drop_nodes: Annotated[
        str | None,
        _nodes(
            "Fewer nodes",
            "N nodes fewer in a group, as GROUP=N; of a pool N processors fewer; of a site GROUP may be a partition, "
            "and nodes may be named, as n[01-04]",
            check=read_removals,
        ),
    ] = None
    failures: Annotated[
        str | None,
        _change(
            "Failures of nodes",
            "when nodes fail by themselves and for how long, drawn by the seed: [GROUP=]exponential(mean_hours=H, "
            "repair_hours=H) or weibull(mean_hours=H, shape=K), of one node; a pool is one node",
            STOPPED,
            metavar="[GROUP=]MODEL,...",
            check=read_failure_models,
            rule="[GROUP=]exponential(mean_hours=H,repair_hours=H), several with commas between them",
        ),
    ] = None
    outages: Annotated[
        Literal["drain", "kill"] | None,
        _change(
            "At a listed outage",
            "whether what runs on the nodes of a listed outage may finish, or is ended as at a failure",
            STOPPED,
            words={None: "as the cluster says", "drain": "tasks finish", "kill": "tasks are ended"},
        ),
    ] = None

    frequency: Annotated[
        Step | None,
        _change(
            "Step of frequency",
            "the number of the step, from 1 for the fastest on, that holds in all node groups that state frequencies",
            ELECTRICITY,
            metavar="N",
        ),
    ] = None

    def given(self) -> dict[str, str]:
        """Return the changes that are asked for, by name."""
        return {name: str(value) for name, value in msgspec.structs.asdict(self).items() if value is not None}

    def and_then(self, more: Self) -> Self:
        """Return what both change one after the other: numbers of nodes add up, and nodes named stay dropped."""
        numbers: Counter[str] = Counter()
        named = []
        for changes in (self, more):
            for text, sign in ((changes.add_nodes, 1), (changes.drop_nodes, -1)):
                for name, number in parse_changes(text, by_name=True).items() if text else ():
                    if number is None:
                        named.append(name)
                    else:
                        numbers[name] += sign * number
        return type(self)(
            add_nodes=nodes_text({name: number for name, number in numbers.items() if number > 0}),
            drop_nodes=nodes_text(
                {name: -number for name, number in numbers.items() if number < 0}, list(dict.fromkeys(named))
            ),
            failures=more.failures or self.failures,
            outages=more.outages or self.outages,
            frequency=more.frequency or self.frequency,
        )

    def apply(self, ground: Ground) -> Ground:
        """Return the changed cluster or site.

        Raises:
            InvalidCluster: a group that it does not have, or more nodes fewer than there are.
        """
        for _, change in self.steps():
            ground = change(ground)
        return ground

    def steps(self) -> Iterator[tuple[str, Callable[[Any], Any]]]:
        """Yield the changes in their order, each under the name of its option."""
        yield "add_nodes", self.grown
        yield "drop_nodes", self.shrunk
        yield "failures", self.failing
        yield "outages", self.interrupted
        yield "frequency", self.stepped

    def grown(self, ground: Ground) -> Ground:
        """Return the cluster or site with what is added."""
        if not self.add_nodes:
            return ground
        return add_site_nodes(ground, self.add_nodes) if isinstance(ground, Site) else add_nodes(ground, self.add_nodes)

    def shrunk(self, ground: Ground) -> Ground:
        """Return the cluster or site without what is dropped."""
        if not self.drop_nodes:
            return ground
        if isinstance(ground, Site):
            return drop_site_nodes(ground, self.drop_nodes)
        return drop_nodes(ground, self.drop_nodes)

    def failing(self, ground: Ground) -> Ground:
        """Return the cluster or site with nodes that fail."""
        models = self.failures
        return _changed(ground, lambda cluster: let_fail(cluster, models)) if models else ground

    def interrupted(self, ground: Ground) -> Ground:
        """Return the cluster or site whose outages do what is asked for."""
        kill = self.outages == "kill"
        return _changed(ground, lambda cluster: kill_at_outages(cluster, kill=kill)) if self.outages else ground

    def stepped(self, ground: Ground) -> Ground:
        """Return the cluster or site whose devices work at the step of frequency that is asked for."""
        number = self.frequency
        return ground if number is None else _changed(ground, lambda cluster: at_frequency(cluster, number))


def nodes_text(numbers: Mapping[str, int], named: Iterable[str] = ()) -> str | None:
    """Write numbers of nodes, and nodes by their names, as the options take them; None for none."""
    return ",".join([*(f"{name}={number}" for name, number in numbers.items()), *named]) or None


def _changed(ground: Ground, change: Callable[[engine.Cluster], engine.Cluster]) -> Ground:
    return with_cluster(ground, change) if isinstance(ground, Site) else change(ground)
