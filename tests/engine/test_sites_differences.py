"""What differs between two sites, and the changes of node groups that an editor makes."""

from typing import Any

import pytest

from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites import (
    Site,
    differences,
    with_another_group,
    with_group_again,
    with_group_count,
    without_group,
)

DESCRIPTION: dict[str, Any] = {
    "name": "small",
    "groups": [
        {"name": "thin", "hosts": "c[1-4]", "cores": 64},
        {"name": "gpu", "hosts": "g[1-2]", "cores": 32, "gpus": 4, "gpu_type": "a100"},
    ],
    "partitions": [{"name": "batch", "hosts": "c[1-4]"}, {"name": "gpu", "hosts": "g[1-2]", "max_time": 60}],
    "qos": [{"name": "high", "limits": {"user_jobs": 4}}],
    "accounts": [{"name": "root"}, {"name": "root", "user": "ann", "shares": 2}],
    "reservations": [{"name": "repair", "start_time": 0, "end_time": 10, "hosts": "g2"}],
    "priority": {"kind": "multifactor"},
}


@pytest.fixture
def small() -> Site:
    return Site.from_json(DESCRIPTION)


def found(before: Site, **changed: Any) -> list[tuple[str, str, str, Any, Any]]:
    after = Site.from_json({**DESCRIPTION, **changed})
    return [(one.part, one.name, one.key, one.before, one.after) for one in differences(before, after)]


def test_a_site_does_not_differ_from_itself_under_another_name(small: Site) -> None:
    assert found(small, name="other") == []


def test_each_changed_value_is_one_difference(small: Site) -> None:
    assert found(
        small,
        groups=[{**DESCRIPTION["groups"][0], "cores": 32}, DESCRIPTION["groups"][1]],
        partitions=[DESCRIPTION["partitions"][0], {"name": "gpu", "hosts": "g[1-2]", "tier": 2}],
        qos=[{"name": "high", "limits": {"user_jobs": 5}}],
        accounts=[{"name": "root"}, {"name": "root", "user": "ann", "shares": 3}],
        priority={"kind": "multifactor", "age_weight": 5},
        placement="nodes",
    ) == [
        ("groups", "thin", "cores", 64, 32),
        ("partitions", "gpu", "tier", 1, 2),
        ("partitions", "gpu", "max_time", 60, None),
        ("qos", "high", "user_jobs", 4, 5),
        ("accounts", "ann in root", "shares", 2, 3),
        ("priority", "", "age_weight", 0, 5),
        ("", "", "placement", "cores", "nodes"),
    ]


def test_entries_that_came_and_went_are_named_whole(small: Site) -> None:
    away = [{"hosts": "g1", "start_time": 60, "kill": True}]
    rows = found(small, groups=DESCRIPTION["groups"][1:], partitions=[{"name": "all"}], reservations=[], outages=away)
    assert [(part, name, before is None, after is None) for part, name, _, before, after in rows] == [
        ("groups", "thin", False, True),
        ("partitions", "batch", False, True),
        ("partitions", "gpu", False, True),
        ("partitions", "all", True, False),
        ("reservations", "repair", False, True),
        ("outages", "g1 from 60 s", True, False),
    ]


def test_a_group_whose_name_follows_from_its_hosts_is_the_same_with_another_node() -> None:
    before, after = (
        Site.from_json({"groups": [{"hosts": hosts, "cores": 4}, {"hosts": "x1", "cores": 8}]})
        for hosts in ("c[1-4]", "c[1-6]")
    )
    assert [(one.name, one.key, one.before, one.after) for one in differences(before, after)] == [
        ("c[1-4]", "name", "c[1-4]", "c[1-6]"),
        ("c[1-4]", "count", 4, 6),
        ("c[1-4]", "hosts", "c[1-4]", "c[1-6]"),
    ]


def test_a_group_gets_more_nodes_and_fewer_under_the_name_of_the_site(small: Site) -> None:
    more = with_group_count(small, "thin", 6)
    more.check()
    assert (more.name, more.nodes[0].hosts, more.partitions[0].hosts) == ("small", "c[1-6]", "c[1-6]")
    assert with_group_count(more, "thin", 4).as_json() == small.as_json()
    fewer = with_group_count(small, "gpu", 1)
    fewer.check()
    assert (fewer.partitions[1].hosts, fewer.reservations[0].hosts) == ("g1", "")
    with pytest.raises(InvalidCluster, match="count is 0"):
        with_group_count(small, "gpu", 0)
    with pytest.raises(InvalidCluster, match="no node group or partition 'none'"):
        with_group_count(small, "none", 1)


def test_a_group_is_there_again_where_it_was_and_can_be_taken_away(small: Site) -> None:
    twice = with_group_again(small, "thin")
    twice.check()
    assert [group.name for group in twice.cluster.groups] == ["thin", "thin-2", "gpu"]
    assert (twice.nodes[1].hosts, twice.partitions[0].hosts) == ("c[5-8]", "c[1-8]")
    assert [group.name for group in with_group_again(twice, "thin").cluster.groups] == [
        "thin",
        "thin-3",
        "thin-2",
        "gpu",
    ]
    assert without_group(twice, "thin-2").as_json() == small.as_json()
    with pytest.raises(InvalidCluster, match="no node left"):
        without_group(without_group(small, "thin"), "gpu")


def test_a_new_group_is_one_node_of_one_core_in_no_partition_that_names_its_nodes(small: Site) -> None:
    larger = with_another_group(with_another_group(small))
    larger.check()
    assert [group.name for group in larger.cluster.groups] == ["thin", "gpu", "new1", "new2"]
    assert (larger.hosts[-2:], larger.partitions) == (("new1", "new2"), small.partitions)
