"""Switches of a site, from topology.conf and in its description."""

from dataclasses import replace

import pytest

from scheduler_sim.engine import Cluster
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites import (
    add_site_nodes,
    differences,
    read_site,
    read_site_files,
    read_slurm_site,
    write_site,
)

SLURM_CONF = """ClusterName=racked
NodeName=n[01-08] CPUs=8 RealMemory=1000
NodeName=login CPUs=2
PartitionName=all Nodes=ALL Default=YES
"""

TOPOLOGY_CONF = """# two racks below one switch
SwitchName=s0 Nodes=n[01-04] LinkSpeed=100
switchname=s1 nodes=n[05-08],gone \\
  Colour=red
include more.conf
BlockName=b1 Nodes=n[01-02]
"""


def switches_of(site):
    """Return the switches of each node, level by level."""
    assert site.cluster.topology is not None
    return site.cluster.topology.numbers(site.hosts).tolist()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "slurm.conf").write_text(SLURM_CONF)
    (tmp_path / "topology.conf").write_text(TOPOLOGY_CONF)
    (tmp_path / "more.conf").write_text("SwitchName=top Switches=s[0-1]\n")
    return tmp_path


def test_topology_conf_becomes_the_topology_of_a_site(folder):
    site, notes, _ = read_site_files([folder / "slurm.conf", folder / "topology.conf"])
    # The login node is on no switch and stands alone.
    assert switches_of(site) == [[0, 0, 0, 0, 1, 1, 1, 1, 2], [0] * 8 + [1]]
    assert site.as_json()["topology"].keys() == {"switches"}
    assert [(note.line, note.text) for note in notes] == [
        (2, "SwitchName"),
        (3, "gone"),
        (3, "colour=red"),
        (6, "BlockName=b1 Nodes=n[01-02]"),
    ]
    again, _ = read_slurm_site({}, slurm_conf_file=folder / "slurm.conf", topology_file=folder / "topology.conf")
    assert again == site


def test_a_text_without_switches_is_no_topology(folder):
    (folder / "topology.conf").write_text("BlockName=b1 Nodes=n[01-02]\n")
    with pytest.raises(InvalidCluster, match="names no switch"):
        read_slurm_site({}, slurm_conf_file=folder / "slurm.conf", topology_file=folder / "topology.conf")


def test_a_site_keeps_its_switches_when_it_is_written_changed_and_played_as_a_cluster(folder):
    site, _, _ = read_site_files([folder / "slurm.conf", folder / "topology.conf"])
    assert read_site(write_site(site)) == site
    more = add_site_nodes(site, "n[01-08]=1")
    assert switches_of(more)[0] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 3]
    without = type(site).from_json({key: value for key, value in site.as_json().items() if key != "topology"})
    (difference,) = differences(without, site)
    assert difference.key == "topology"
    assert difference.after == ("s0: n[01-04]", "s1: n[05-08]", "top: s[0-1]")
    # What a run keeps of the cluster alone knows the names no more.
    kept = Cluster.from_json(site.cluster.as_json())
    assert replace(kept, topology=None) == replace(site.cluster, topology=None)


def test_a_fault_of_a_topology_is_named_with_its_line():
    text = "name: small\ngroups:\n- {name: n, count: 2, cores: 4}\ntopology: {nodes_per_switch: 1, crossing: 0.5}\n"
    with pytest.raises(InvalidCluster, match=r"line 4: .*crossing is 0.5, not a number from 1 up"):
        read_site(text)
    assert read_site(text.replace("0.5", "1.5")).as_json()["topology"] == {"nodes_per_switch": [1], "crossing": 1.5}
