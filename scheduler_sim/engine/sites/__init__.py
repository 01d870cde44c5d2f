"""Sites: clusters with partitions, QOS, accounts, limits, reservations and the parameters of their scheduler."""

from scheduler_sim.engine.clusters.hosts import expand_hosts, fold_hosts
from scheduler_sim.engine.errors import InvalidSite
from scheduler_sim.engine.sites.changes import (
    add_site_nodes,
    drop_site_nodes,
    with_another_group,
    with_cluster,
    with_group_again,
    with_group_count,
    without_group,
)
from scheduler_sim.engine.sites.differences import Difference, differences
from scheduler_sim.engine.sites.documents import LineOf, read_document, read_site, read_site_file, write_site
from scheduler_sim.engine.sites.fair_share import ShareTree, classic, fair_tree
from scheduler_sim.engine.sites.parts import (
    Account,
    Limits,
    Nodes,
    Outage,
    Partition,
    Preemption,
    Priority,
    Qos,
    Reservation,
    Scheduling,
)
from scheduler_sim.engine.sites.reading import Note
from scheduler_sim.engine.sites.recognised import read_site_files
from scheduler_sim.engine.sites.site import Site
from scheduler_sim.engine.sites.slurm_differences import Lines, differing_lines
from scheduler_sim.engine.sites.slurm_files import SOURCES, read_slurm_site
from scheduler_sim.engine.sites.slurm_writing import slurm_conf

__all__ = [
    "SOURCES",
    "Account",
    "Difference",
    "InvalidSite",
    "Limits",
    "LineOf",
    "Lines",
    "Nodes",
    "Note",
    "Outage",
    "Partition",
    "Preemption",
    "Priority",
    "Qos",
    "Reservation",
    "Scheduling",
    "ShareTree",
    "Site",
    "add_site_nodes",
    "classic",
    "differences",
    "differing_lines",
    "drop_site_nodes",
    "expand_hosts",
    "fair_tree",
    "fold_hosts",
    "read_document",
    "read_site",
    "read_site_file",
    "read_site_files",
    "read_slurm_site",
    "slurm_conf",
    "with_another_group",
    "with_cluster",
    "with_group_again",
    "with_group_count",
    "without_group",
    "write_site",
]
