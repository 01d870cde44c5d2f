"""Nodes are added to a site and taken from it, and its partitions and reservations follow."""

import pytest

from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites import Site, add_site_nodes, drop_site_nodes

DESCRIPTION = {
    "name": "small",
    "groups": [
        {"name": "thin", "hosts": "c[01-09]", "cores": 64, "features": ["skylake"]},
        {"name": "fat", "hosts": "c[10-11]", "cores": 64, "memory_mb": 1e6},
        {"name": "gpu", "hosts": "gpu-a,gpu-b", "cores": 32, "gpus": 4},
    ],
    "partitions": [
        {"name": "batch", "hosts": "c[01-11]", "is_default": True},
        {"name": "short", "hosts": "c[01-04]"},
        {"name": "gpu", "hosts": "gpu-a,gpu-b"},
        {"name": "all"},
    ],
    "reservations": [{"name": "repair", "start_time": 0, "end_time": 10, "hosts": "c[08-10]"}],
}


@pytest.fixture
def small() -> Site:
    return Site.from_json(DESCRIPTION)


def hosts(site: Site) -> dict[str, str]:
    return {partition.name: partition.hosts for partition in site.partitions}


def test_new_nodes_have_new_names_and_are_where_the_last_node_of_their_group_is(small: Site) -> None:
    larger = add_site_nodes(small, "thin=2")
    larger.check()
    assert larger.nodes[0].hosts == "c[01-09,12-13]"
    assert larger.cluster.groups[0].count == 11
    assert hosts(larger) == {
        "batch": "c[01-13]",
        "short": "c[01-04]",
        "gpu": "gpu-a,gpu-b",
        "all": "ALL",
    }
    assert larger.numbers("c12") == (9,), "nodes are numbered through the groups"
    assert larger.nodes[0].features == ("skylake",)
    assert larger.reservations == small.reservations


def test_a_partition_names_its_last_node(small: Site) -> None:
    larger = add_site_nodes(small, "batch=1")
    assert [group.count for group in larger.cluster.groups] == [9, 3, 2], "c11, the last node of batch, is fat"
    assert add_site_nodes(small, "short=1").cluster.groups[0].count == 10
    assert hosts(add_site_nodes(small, "short=1"))["short"] == "c[01-04,12]"


def test_names_without_a_number_get_one(small: Site) -> None:
    larger = add_site_nodes(small, "gpu=2")
    assert larger.hosts[-4:] == ("gpu-a", "gpu-b", "gpu-b1", "gpu-b2")


def test_the_last_nodes_of_a_group_are_dropped_from_everything_that_names_them(small: Site) -> None:
    smaller = drop_site_nodes(small, "thin=2")
    smaller.check()
    assert smaller.nodes[0].hosts == "c[01-07]"
    assert hosts(smaller)["batch"] == "c[01-07,10-11]"
    assert smaller.reservations[0].hosts == "c10"


def test_nodes_are_dropped_by_name(small: Site) -> None:
    smaller = drop_site_nodes(small, "c[01,11],gpu-a")
    smaller.check()
    assert smaller.hosts == ("c02", "c03", "c04", "c05", "c06", "c07", "c08", "c09", "c10", "gpu-b")
    assert hosts(smaller)["short"] == "c[02-04]"


def test_a_partition_may_lose_all_its_nodes(small: Site) -> None:
    smaller = drop_site_nodes(small, "gpu=2")
    smaller.check()
    assert [group.name for group in smaller.cluster.groups] == ["thin", "fat"]
    assert smaller.numbers(hosts(smaller)["gpu"]) == ()
    with pytest.raises(InvalidCluster, match="Partition gpu has no node that could be copied; name a node group"):
        add_site_nodes(smaller, "gpu=1")


def test_a_changed_site_survives_its_description(small: Site) -> None:
    changed = drop_site_nodes(add_site_nodes(small, "fat=3,gpu=1"), "c03")
    assert changed.name == "small fat+3,gpu+1 -c03"
    assert Site.from_json(changed.as_json()) == changed


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ("thick=1", "Site small has no node group or partition 'thick'. Groups: thin, fat, gpu. Partitions: batch, "),
        ("thin=10", "thin has 9 nodes, so 10 cannot be dropped"),
        ("c99", "Site small has no node c99"),
        ("ALL", "Site small would have no node left"),
        ("thin=0", "a whole number N above 0, not 'thin=0'"),
    ],
)
def test_what_cannot_be_dropped_is_said(small: Site, changes: str, sentence: str) -> None:
    with pytest.raises(InvalidCluster, match=sentence):
        drop_site_nodes(small, changes)


def test_nodes_cannot_be_added_without_saying_how_many(small: Site) -> None:
    with pytest.raises(InvalidCluster, match=r"Nodes are given as GROUP=N .* not 'c\[01-02\]'"):
        add_site_nodes(small, "c[01-02]")
