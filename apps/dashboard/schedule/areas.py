"""Spans in which nodes were not there for everybody: outages, failures and reservations."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from apps.dashboard.schedule.placements import Placements
from apps.live.play.configuration import RunConfiguration
from apps.live.play.sites import played_site
from apps.results.models import Run
from scheduler_sim import engine
from scheduler_sim.engine.clusters.away import away_spans
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.units import SECONDS_PER_HOUR

AREAS_SHOWN = 2_000

FAILURES_DRAWN = 50_000
"""So many failures are drawn again for a chart at the most; with more expected, none are."""

SITE_AREAS = 200_000
"""So many times of nodes that a site's outages and reservations take are looked at for a chart at the most."""


@dataclass(frozen=True)
class Area:
    """A node between two instants.

    Attributes:
        kind: `outage`, `failure` or `reservation`.
        what: a few words on it.
    """

    node: int
    start_time: float
    end_time: float
    kind: str
    what: str


def areas(run: Run, placed: Placements, low: float, high: float, begin_time: float | None = None) -> list[Area] | None:
    """Return what lies between `low` and `high`, by node and time; None where there are too many to be drawn.

    Args:
        begin_time: the first arrival of the run, by default that of what is placed; failures are drawn from it on.
    """
    configuration = RunConfiguration.from_json(run.configuration)
    cluster = engine.Cluster.from_json(run.cluster)
    begin = float(placed.arrival.min()) if begin_time is None else begin_time
    expected = sum(
        group.count * (high - begin) / ((group.failures.mean_hours + group.failures.repair_hours) * SECONDS_PER_HOUR)
        for group in cluster.groups
        if group.failures is not None
    )
    if expected > FAILURES_DRAWN:
        return None
    found = list(_away(cluster, configuration, begin, high))
    site = played_site(configuration)
    if site is not None:
        taken = of_site(site, low, high)
        if taken is None:
            return None
        found += taken
    seen = [one for one in found if one.start_time < high and one.end_time > low]
    return sorted(seen, key=lambda one: (one.node, one.start_time, one.kind))


def _away(cluster: engine.Cluster, configuration: RunConfiguration, begin: float, high: float) -> Iterable[Area]:
    listed = configuration.engine_options(cluster).failures
    for one in away_spans(cluster, listed, begin=begin, seed=configuration.seed, until_time=high):
        kind = "failure" if one.failed else "outage"
        yield Area(one.node, one.start_time, one.end_time, kind, kind)


def of_site(site: Site, low: float, high: float) -> list[Area] | None:
    """Return what a site's outages and reservations take between two instants; None where it is too much to draw."""
    seen = (one for one in _of_site(site, low, high) if one.start_time < high and one.end_time > low)
    found = list(islice(seen, SITE_AREAS + 1))
    return None if len(found) > SITE_AREAS else found


def _of_site(site: Site, low: float, high: float) -> Iterable[Area]:
    for one in site.outages:
        end = high if one.end_time is None else one.end_time
        for node in site.numbers(one.hosts):
            yield Area(node, one.start_time, end, "outage", one.reason or "outage")
    for kept in site.reservations:
        nodes = site.numbers(kept.hosts)
        for begin, end in kept.spans(high, low):
            for node in nodes if end > low else ():
                yield Area(node, begin, end, "reservation", f"reservation {kept.asked_as}")
