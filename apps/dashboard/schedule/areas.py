"""Spans in which nodes were not there for everybody: outages, failures and reservations."""

from collections.abc import Iterable
from dataclasses import dataclass

from apps.dashboard.schedule.placements import Placements
from apps.live.play.configuration import RunConfiguration
from apps.live.play.sites import played_site
from apps.results.models import Run
from scheduler_sim import engine
from scheduler_sim.engine.away import away_spans
from scheduler_sim.engine.sites import Site

AREAS_SHOWN = 2_000


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


def areas(run: Run, placed: Placements, low: float, high: float) -> list[Area]:
    """Return what lies between `low` and `high`, by node and time, at most `AREAS_SHOWN`."""
    configuration = RunConfiguration.from_json(run.configuration)
    cluster = engine.Cluster.from_json(run.cluster)
    found = list(_away(cluster, configuration, placed, high))
    site = played_site(configuration)
    if site is not None:
        found += _of_site(site, high)
    seen = [one for one in found if one.start_time < high and one.end_time > low]
    return sorted(seen, key=lambda one: (one.node, one.start_time, one.kind))[:AREAS_SHOWN]


def _away(cluster: engine.Cluster, configuration: RunConfiguration, placed: Placements, high: float) -> Iterable[Area]:
    listed = configuration.engine_options(cluster).failures
    begin = float(placed.arrival.min())
    for one in away_spans(cluster, listed, begin=begin, seed=configuration.seed, until_time=high):
        kind = "failure" if one.failed else "outage"
        yield Area(one.node, one.start_time, one.end_time, kind, kind)


def _of_site(site: Site, high: float) -> Iterable[Area]:
    for one in site.outages:
        end = high if one.end_time is None else one.end_time
        for node in site.numbers(one.hosts):
            yield Area(node, one.start_time, end, "outage", one.reason or "outage")
    for kept in site.reservations:
        for node in site.numbers(kept.hosts):
            yield Area(node, kept.start_time, kept.end_time, "reservation", f"reservation {kept.name}")
