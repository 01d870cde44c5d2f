"""Sites read from Slurm's own files."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from scheduler_sim.engine.clusters.presets import PRESETS, load_cluster
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites import (
    SOURCES,
    Site,
    drop_site_nodes,
    parts,
    read_site,
    read_slurm_site,
    slurm_conf,
    write_site,
)

PathOf = Callable[[str], Path]

CONF = """
ClusterName=tiny   # a comment
include common.conf
NodeName=DEFAULT CPUs=8 RealMemory=16000
NodeName=a[1-2] Feature=fast,ib Weight=5
nodename=g1 Gres=gpu:2 CoresPerSocket=4 Sockets=2 ThreadsPerCore=1 \\
    Weight=50
NodeSet=fastones Nodes=a1
PartitionName=DEFAULT MaxTime=1-00:00:00 DefMemPerCPU=2G
PartitionName=main Nodes=a[1-2] Default=YES
PartitionName=quick Nodes=fastones MaxTime=30 PriorityTier=10 OverSubscribe=EXCLUSIVE
PartitionName=gpu Nodes=g1 MaxTime=INFINITE AllowQos=high ColourOfTheDoor=red
"""
COMMON = """
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=bf_window=2880,bf_interval=15,bf_continue,made_up=3
PriorityType=priority/multifactor
PriorityWeightQOS=1000
PriorityDecayHalfLife=14-0
PriorityFlags=NO_FAIR_TREE
PreemptType=preempt/partition_prio
PreemptMode=SUSPEND,GANG
"""
GRES = "NodeName=g1 Name=gpu Type=a100 File=/dev/nvidia[0-1]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("slurm.conf", CONF), ("common.conf", COMMON), ("gres.conf", GRES)):
        (tmp_path / name).write_text(text)
    return tmp_path


def read(folder: Path) -> tuple[Site, list[str]]:
    site, notes = read_slurm_site({}, slurm_conf_file=folder / "slurm.conf", gres_conf_file=folder / "gres.conf")
    return site, [str(note) for note in notes]


def test_nodes_take_the_defaults_above_them(folder: Path) -> None:
    site, _ = read(folder)
    fast, gpus = site.cluster.groups
    assert (site.name, site.hosts) == ("tiny", ("a1", "a2", "g1"))
    assert (fast.count, fast.cores, fast.memory_mb, fast.gpus) == (2, 8, 16000, 0)
    assert (gpus.count, gpus.cores, gpus.gpus, gpus.gpu_type) == (1, 8, 2, "a100")
    assert [(nodes.features, nodes.weight) for nodes in site.nodes] == [(("fast", "ib"), 5), ((), 50)]


def test_partitions_take_their_words_and_units(folder: Path) -> None:
    main, quick, gpu = read(folder)[0].partitions
    assert (main.is_default, main.max_time, main.default_memory_mb_per_core) == (True, 86_400, 2048)
    assert (quick.hosts, quick.max_time, quick.tier, quick.exclusive) == ("a1", 1800, 10, True)
    assert (gpu.max_time, gpu.allowed_qos) == (None, ("high",))


def test_settings_of_an_included_file_count(folder: Path) -> None:
    site, _ = read(folder)
    assert (site.scheduling.backfill_window_time, site.scheduling.backfill_interval_time) == (172_800, 15)
    assert (site.priority.kind, site.priority.qos_weight) == ("multifactor", 1000)
    assert (site.priority.fair_share, site.priority.decay_half_life_time) == ("classic", 14 * 86_400)
    assert (site.preemption.kind, site.preemption.mode, site.is_memory_shared_out) == ("partition", "suspend", False)


def noted(folder: Path, line: str) -> tuple[Site, list[str]]:
    """Return the site with a line more, and the notes of that line."""
    (folder / "slurm.conf").write_text(CONF + line)
    site, notes = read(folder)
    return site, [note for note in notes if "slurm.conf, line 13" in note]


def test_a_partition_without_nodes_has_none(folder: Path) -> None:
    site, notes = noted(folder, "PartitionName=empty State=UNKNOWN MaxMemPerNode=0")
    assert site.partitions[-1].hosts == ""
    assert site.numbers(site.partitions[-1].hosts) == ()
    assert site.partitions[-1].max_memory_mb_per_node is None
    assert notes == ["slurm.conf, line 13: State=UNKNOWN: not understood"]


@pytest.mark.parametrize(
    "setting", ["SchedulerParameters=sched_interval=-1", "PriorityWeightAge=-5", "FairShareDampeningFactor=0"]
)
def test_a_value_that_means_nothing_here_is_noted_and_costs_no_more(folder: Path, setting: str) -> None:
    site, notes = noted(folder, setting)
    assert len(notes) == 1
    assert (site.scheduling.main_interval_time, site.priority.age_weight, site.priority.damping) == (60, 0, 1)


def test_the_last_setting_holds(folder: Path) -> None:
    site, _ = noted(folder, "PreemptType=preempt/none\\\n")
    assert site.preemption.kind == "none"
    assert not noted(folder, "SchedulerParameters=bf_interval=-1")[0].scheduling.backfill


def test_parts_of_a_gpu_are_a_type(folder: Path) -> None:
    site, _ = noted(folder, "NodeName=mig CPUs=8 Gres=gpu:1g.5gb:7,fs:2K")
    assert (site.cluster.groups[-1].gpus, site.cluster.groups[-1].gpu_type) == (7, "1g.5gb")
    assert site.nodes[-1].gres == {"fs": 2048}


def test_what_is_not_understood_is_listed_with_its_line(folder: Path) -> None:
    _, notes = read(folder)
    assert notes == [
        "common.conf, line 5: made_up=3: has no effect here",
        "slurm.conf, line 12: ColourOfTheDoor=red: has no effect here",
    ]


def test_an_include_that_is_missing_is_noted(folder: Path) -> None:
    (folder / "common.conf").unlink()
    _, notes = read(folder)
    assert notes[0] == "slurm.conf, line 3: include common.conf: cannot be read: No such file or directory"


def test_files_that_include_each_other_are_refused(folder: Path) -> None:
    (folder / "common.conf").write_text("include common.conf\n")
    with pytest.raises(InvalidCluster, match="include each other"):
        read(folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("Nodes=g1", "Nodes=g7"), "Site tiny has no node g7"),
        (("a[1-2] Feature", "a[1-2 Feature"), "brackets"),
        (("PartitionName=quick", "PartitionName=quick,quick"), ""),
    ],
)
def test_parts_that_contradict_each_other_are_refused(folder: Path, change: tuple[str, str], sentence: str) -> None:
    (folder / "slurm.conf").write_text(CONF.replace(*change))
    if sentence:
        with pytest.raises(InvalidCluster, match=sentence):
            read(folder)
    else:
        assert len(read(folder)[0].partitions) == 3


def test_files_without_a_node_are_refused(tmp_path: Path) -> None:
    (tmp_path / "slurm.conf").write_text("ClusterName=x\n")
    with pytest.raises(InvalidCluster, match="name no node"):
        read_slurm_site({}, slurm_conf_file=tmp_path / "slurm.conf")


def test_accounts_of_a_dump_and_of_a_table_are_the_same(tmp_path: Path) -> None:
    dump = (
        "Cluster - 'tiny':Fairshare=1:QOS='normal'\nParent - 'root'\n"
        "Account - 'lab':Description='a lab':Fairshare=5:GrpTRES=cpu=64,gres/gpu:a100=4,mem=1T:QOS='high,normal'\n"
        "Parent - 'lab'\nUser - 'ann':Fairshare=2:MaxJobs=3\n"
    )
    table = (
        "Cluster|Account|User|Partition|Share|GrpTRES|MaxJobs|QOS|Def QOS|Par Name|ID\n"
        "tiny|root|||1|||normal|||1\n"
        + "tiny|lab|||5|cpu=64,gres/gpu:a100=4,mem=1T||high,normal||root|2\ntiny|lab|ann||2||3||||3\n"
    )
    (tmp_path / "slurm.conf").write_text("NodeName=n1 CPUs=1\n")
    sites = []
    for key, text in (("dump", dump), ("assoc", table)):
        (tmp_path / key).write_text(text)
        sites.append(read_slurm_site({key: tmp_path / key}, slurm_conf_file=tmp_path / "slurm.conf")[0])
    lab = next(one for one in sites[0].accounts if one.name == "lab" and not one.user)
    ann = next(one for one in sites[0].accounts if one.user)
    assert (lab.parent, lab.shares, lab.limits.all_resources) == (
        "root",
        5,
        {"cpu": 64, "gres/gpu:a100": 4, "mem": 1024**2},
    )
    assert (ann.name, ann.shares, ann.limits.user_jobs) == ("lab", 2, 3)
    assert sites[0].accounts == sites[1].accounts


@pytest.mark.parametrize("key", SOURCES)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / "slurm.conf").write_text("NodeName=n1 CPUs=1\n")
    (tmp_path / key).write_text("hello\n")
    with pytest.raises(InvalidCluster, match=key):
        read_slurm_site({key: tmp_path / key}, slurm_conf_file=tmp_path / "slurm.conf")


@pytest.mark.parametrize("preset", [name.replace("N", "4") for name in PRESETS if name != "auto"])
def test_every_cluster_is_a_site_of_one_partition(preset: str) -> None:
    cluster = load_cluster(preset)
    site = Site.from_json(cluster.as_json())
    assert site.cluster == cluster
    assert [partition.hosts for partition in site.partitions] == ["ALL"]
    assert len(site.numbers("ALL")) == cluster.nodes


def test_a_description_reads_to_the_same_site(folder: Path) -> None:
    site, _ = read(folder)
    assert read_site(write_site(site)) == site


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("groups:\n- {hosts: 'a[1-2]', cores: 4}\npartitions:\n- name: p\n  tier: -1\n", r"x.yaml, line 5: .*tier"),
        ("groups:\n- {hosts: a1, cores: 4}\nqos:\n- {name: q, colour: red}\n", r"x.yaml, line 4: .*unknown field"),
        ("groups:\n- {hosts: a1, cores: 4}\ncolour: red\n", r"x.yaml, line 3: .*unknown keys: colour"),
        ("groups:\n- {hosts: a1, cores: -4}\n", "cores is -4"),
        ("groups:\n- {hosts: 'a[1-3]', count: 2, cores: 4}\n", "are 3"),
        ("groups: [", "neither YAML nor JSON"),
        ("name: 2024-13-45\n", "neither YAML nor JSON"),
        ("[" * 5000, "neither YAML nor JSON"),
        ("- 1\n", "no mapping"),
        (
            "groups:\n- {hosts: a1, cores: 1}\naccounts:\n- {name: a, parent: b}\n- {name: b, parent: a}\n",
            "above itself",
        ),
        ("groups:\n- {hosts: a1, cores: 1}\nqos:\n- {name: a, preempts: [b]}\n", "QOS a preempts b"),
    ],
)
def test_a_description_with_a_fault_is_refused_with_line_and_key(text: str, sentence: str) -> None:
    with pytest.raises(InvalidCluster, match=sentence):
        read_site(text, name="x.yaml")


@pytest.mark.parametrize("scenario", ["S1A", "S1B", "S2", "S3", "S4"])
def test_a_real_clusters_files_and_printouts_agree(slurm_path: PathOf, scenario: str) -> None:
    folder = slurm_path(scenario) / "conf"
    gres = folder / "gres.conf"
    by_files, notes = read_slurm_site(
        {"dump": folder / "sacctmgr_dump.cfg", "qos": folder / "sacctmgr_qos.txt"},
        slurm_conf_file=folder / "slurm.conf",
        gres_conf_file=gres if gres.exists() else None,
    )
    printed = {
        "nodes": folder / "scontrol_node_oneline.txt",
        "partitions": folder / "scontrol_partition.txt",
        "config": folder / "scontrol_config.txt",
        "qos": folder / "sacctmgr_qos.txt",
        "assoc": folder / "sacctmgr_assoc.txt",
    }
    by_printouts, _ = read_slurm_site(printed)
    # Printed is what holds, where the file states nothing.
    partitions = [
        [msgspec.structs.replace(partition, preempt_mode=None) for partition in site.partitions]
        for site in (by_files, by_printouts)
    ]
    assert partitions[0] == partitions[1]
    for part in ("cluster", "nodes", "priority", "scheduling", "preemption", "qos", "placement", "enforces"):
        assert getattr(by_files, part) == getattr(by_printouts, part), part
    shares = [
        {(one.name, one.user): (one.parent, one.shares, one.limits) for one in site.accounts}
        for site in (by_files, by_printouts)
    ]
    assert shares[0] == shares[1]
    assert {note.text.split("=")[0] for note in notes} <= {"CompleteWait", "JobRequeue", "bf_yield_interval"}


def test_every_key_of_a_site_is_documented() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "sites.md").read_text()
    described = [one for one in vars(parts).values() if isinstance(one, msgspec.StructMeta)]
    keys = {field for part in described for field in part.__struct_fields__}
    keys |= set(Site.__struct_fields__) - {"cluster", "nodes"}
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []


def test_the_documented_description_is_a_site() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "sites.md").read_text()
    example = text.split("```yaml\n")[1].split("```")[0]
    site = read_site(example)
    assert (site.cluster.nodes, [partition.name for partition in site.partitions]) == (24, ["batch", "gpu"])


EVENTS = """Cluster|NodeName|TimeStart|TimeEnd|State|Reason|User
tiny||2026-01-31T08:00:00|Unknown||Cluster Registered TRES|
tiny|a1|2026-01-31T08:10:00|2026-01-31T08:20:00|DOWN*|Not responding|slurm(64030)
tiny|a[1-2]|2026-01-31T09:00:00|Unknown|IDLE+DRAIN|disk|root(0)
tiny|g1|2026-01-31T07:00:00|2026-01-31T08:00:01|IDLE+POWERED_DOWN|saving|root(0)
tiny|g1|2026-01-31T07:00:00|2026-01-31T08:00:00|DOWN|disk|root(0)
tiny|z9|2026-01-31T07:00:00|2026-01-31T08:00:01|DOWN|gone|root(0)
tiny|g1|yesterday|2026-01-31T08:00:01|DOWN|gone|root(0)
"""


def test_events_of_nodes_become_outages(folder: Path) -> None:
    (folder / "events.txt").write_text(EVENTS)
    site, notes = read_slurm_site(
        {}, slurm_conf_file=folder / "slurm.conf", events_file=folder / "events.txt", zero_at=1769846400.0
    )
    assert site.outages == (
        parts.Outage(hosts="a1", start_time=600.0, end_time=1200.0, kill=True, reason="Not responding"),
        parts.Outage(hosts="a[1-2]", start_time=3600.0, reason="disk"),
    )
    assert [str(note) for note in notes if note.file == "events.txt"] == [
        "events.txt, line 5: g1 IDLE+POWERED_DOWN: no state in which a node takes no work",
        "events.txt, line 7: z9: is no node of the site",
        "events.txt, line 8: TimeStart=yesterday: not understood",
        "events.txt: 1 outages: ended before time 0: left out",
    ]
    assert read_site(write_site(site)).outages == site.outages


def test_events_need_the_instant_that_is_time_0(folder: Path) -> None:
    (folder / "events.txt").write_text(EVENTS)
    with pytest.raises(InvalidCluster, match="holds events, which need the instant that is time 0"):
        read_slurm_site({}, slurm_conf_file=folder / "slurm.conf", events_file=folder / "events.txt")


def test_an_outage_that_ends_before_it_starts_is_refused() -> None:
    document = {"groups": [{"hosts": "n[1-2]", "cores": 4}]}
    with pytest.raises(InvalidCluster, match="The outage of n1 ends before it starts"):
        Site.from_json({**document, "outages": [{"hosts": "n1", "start_time": 5, "end_time": 4}]})


def test_nodes_that_go_take_their_outages_with_them() -> None:
    site = Site.from_json(
        {"groups": [{"hosts": "n[1-3]", "cores": 4}], "outages": [{"hosts": "n[2-3]", "start_time": 5}]}
    )
    assert [one.hosts for one in drop_site_nodes(site, "n3").outages] == ["n2"]


@pytest.mark.parametrize("requeues", [False, True])
def test_whether_jobs_are_requeued_is_read_and_written(requeues: bool, tmp_path: Path) -> None:
    conf = f"NodeName=n1 CPUs=4\nPartitionName=p Nodes=n1\nJobRequeue={int(requeues)}\n"
    (tmp_path / "slurm.conf").write_text(conf)
    site, notes = read_slurm_site({}, slurm_conf_file=tmp_path / "slurm.conf")
    assert site.scheduling.requeues_jobs == requeues
    assert notes == []
    (tmp_path / "written.conf").write_text(slurm_conf(site))
    again, _ = read_slurm_site({}, slurm_conf_file=tmp_path / "written.conf")
    assert again.scheduling == site.scheduling
