"""The site that a run is played on: found when the run is asked for, and read anew whenever it is played."""

from collections.abc import Iterable

import msgspec

from apps.live.play.cluster_changes import ClusterChanges
from apps.live.play.configuration import RunConfiguration, blaming
from apps.live.play.options import InvalidOption, options_of, read_options
from apps.results.models import Run
from apps.tasks.errors import SiteError
from apps.tasks.models import Site
from scheduler_sim.engine import sites
from scheduler_sim.engine.clusters.hosts import fold_hosts


def site_settled(configuration: RunConfiguration, changes: ClusterChanges) -> tuple[RunConfiguration, sites.Site]:
    """Return the configuration with the version of its site and what is changed of it, and the changed site.

    Raises:
        InvalidOption: no such site, or a change that it does not allow; the option is blamed.
    """
    stored = stored_site(configuration)
    if stored is None:
        raise InvalidOption("The run names no site.", "site")
    site = stored.as_site()
    for option, change in changes.steps():
        with blaming(option):
            site = change(site)
    given = changes.given() or None
    return msgspec.structs.replace(configuration, site=stored.reference, site_changes=given), site


def stored_site(configuration: RunConfiguration) -> Site | None:
    """Return the version of the site that a run names, None where it names none.

    Raises:
        InvalidOption: no such site; the sentence names those there are.
    """
    if configuration.site is None:
        return None
    try:
        found: Site = Site.objects.referred(configuration.site)
    except SiteError as error:
        raise InvalidOption(str(error), "site") from error
    return found


def node_names(run: Run) -> tuple[str, ...]:
    """Return the names of a run's nodes by number; none where it is played on a cluster, whose nodes have no names."""
    if run.site_id is None:
        return ()
    site = played_site(RunConfiguration.from_json(run.configuration))
    return () if site is None else site.hosts


def host_list(nodes: Iterable[int], hosts: tuple[str, ...]) -> str:
    """Return nodes as Slurm lists them, such as `n[01-04]`; `hosts` are the names of all (see `node_names`)."""
    return fold_hosts(hosts[number] if hosts else f"node{number}" for number in nodes)


def played_site(configuration: RunConfiguration) -> sites.Site | None:
    """Return the site that a run is played on, with what is changed of it; None where it names none.

    Raises:
        InvalidOption, InvalidCluster: no such site, or a change that it does not allow.
    """
    stored = stored_site(configuration)
    if stored is None:
        return None
    asked = read_options(options_of(ClusterChanges), configuration.site_changes or {})
    return ClusterChanges(**asked).apply(stored.as_site())
