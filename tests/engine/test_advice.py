"""Advice as configuration: what is printed brings about what was meant, and what Slurm cannot be told is said."""

import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import msgspec
import pytest

from scheduler_sim.engine.answers.advice import NOBODY_RESERVES, ONLY_FIRST, Advice, advise
from scheduler_sim.engine.policies import ORDERS, Policy, parse_policy
from scheduler_sim.engine.policies.orders.multifactor import queue_factor
from scheduler_sim.engine.sites import (
    Preemption,
    Priority,
    Scheduling,
    Site,
    add_site_nodes,
    differing_lines,
    drop_site_nodes,
    expand_hosts,
    read_slurm_site,
    slurm_conf,
)
from scheduler_sim.engine.sites.slurm_settings import OVERRIDES, overridden
from scheduler_sim.engine.sites.slurm_writing import span_text
from scheduler_sim.engine.sites.values import minutes

DESCRIPTION = {
    "name": "small",
    "groups": [
        {"hosts": "c[01-04]", "cores": 64, "memory_mb": 256_000, "features": ["skylake", "ib"], "weight": 10},
        {"hosts": "g[1-2]", "cores": 32, "memory_mb": 512_000, "gpus": 4, "gpu_type": "a100", "gres": {"fs": 2048}},
    ],
    "partitions": [
        {"name": "batch", "hosts": "c[01-04]", "is_default": True, "max_time": 86_400, "default_time": 600},
        {"name": "gpu", "hosts": "g[1-2]", "max_time": 43_200, "tier": 2, "allowed_accounts": ["physics"]},
        {"name": "debug", "hosts": "c[01-02]", "max_time": 300, "exclusive": True, "max_nodes": 2, "priority": 5},
    ],
    "scheduling": {"backfill_interval_time": 60, "backfill_depth_per_user": 20, "others": ["bf_yield_interval=9"]},
    "qos": [
        {"name": "normal", "priority": 10},
        {"name": "urgent", "priority": 100, "preempts": ["normal"], "limits": {"user_resources": {"cpu": 192}}},
    ],
    "accounts": [
        {"name": "root"},
        {"name": "physics", "parent": "root", "shares": 60},
        {"name": "physics", "user": "ann"},
    ],
}


@pytest.fixture
def small() -> Site:
    return Site.from_json(DESCRIPTION)


def conf_of(folder: Path, text: str) -> Site:
    """Return what our own reader makes of a slurm.conf."""
    (folder / "slurm.conf").write_text(text)
    site, notes = read_slurm_site({}, slurm_conf_file=folder / "slurm.conf")
    assert [str(note) for note in notes if "not understood" in note.reason] == []
    return site


def taken_in(conf: str, lines: tuple[str, ...]) -> str:
    """Return a slurm.conf into which somebody wrote the printed lines, as their comments say."""
    kept = conf.splitlines()
    for line in lines:
        if without := re.fullmatch(r"# without (\w+)", line):
            kept = [one for one in kept if not one.startswith(f"{without[1]}=")]
        elif gone := re.fullmatch(r"# take out of the NodeName lines: (.*)", line):
            kept = [smaller for one in kept if (smaller := _without_hosts(one, set(expand_hosts(gone[1]))))]
        elif line.startswith("NodeName="):
            hosts = set(expand_hosts(line.split()[0].partition("=")[2]))
            kept = [*(smaller for one in kept if (smaller := _without_hosts(one, hosts))), line]
        elif not line.startswith("#"):
            # A partition is told by its name, a setting by its own.
            key = f"{line.split()[0]} " if line.startswith("PartitionName=") else f"{line.partition('=')[0]}="
            kept = [*(one for one in kept if not f"{one} ".startswith(key)), line]
    return "\n".join(kept)


def _without_hosts(line: str, hosts: set[str]) -> str:
    if not line.startswith("NodeName="):
        return line
    first, _, rest = line.partition(" ")
    left = [name for name in expand_hosts(first.partition("=")[2]) if name not in hosts]
    return f"NodeName={','.join(left)} {rest}" if left else ""


def means_the_same(one: Site, other: Site) -> None:
    """Compare what both are played by; the order of nodes and partitions in the file is none of it."""

    def nodes(site: Site) -> dict[str, object]:
        return {
            name: (group.cores, group.memory_mb, group.gpus, group.gpu_type, rest.features, rest.weight, rest.gres)
            for group, rest in zip(site.cluster.groups, site.nodes, strict=True)
            for name in expand_hosts(rest.hosts)
        }

    def partitions(site: Site) -> dict[str, object]:
        return {
            part.name: (
                msgspec.structs.replace(part, hosts=""),
                {site.hosts[number] for number in site.numbers(part.hosts)},
            )
            for part in site.partitions
        }

    assert nodes(one) == nodes(other)
    assert partitions(one) == partitions(other)
    for room in ("scheduling", "priority", "preemption", "placement", "is_memory_shared_out", "enforces"):
        assert getattr(one, room) == getattr(other, room), room


def whole_round(advice: Advice, configured: Site, folder: Path) -> None:
    """Write the advice into the configured site's slurm.conf, and read the site that was meant."""
    means_the_same(conf_of(folder, taken_in(slurm_conf(configured), advice.lines.conf)), advice.site)


def test_a_site_is_written_and_read_as_the_same(small: Site, tmp_path: Path) -> None:
    means_the_same(conf_of(tmp_path, slurm_conf(small)), small)


OTHER_VALUES = {
    ("priority", "kind"): "basic",
    ("priority", "fair_share"): "classic",
    ("priority", "flags"): ("ACCRUE_ALWAYS",),
    ("priority", "resource_weights"): {"cpu": 5.0, "gres/gpu": 7.0},
    ("preemption", "kind"): "partition",
    ("preemption", "mode"): "requeue",
    ("scheduling", "others"): ("bf_yield_interval=9",),
}
"""What is no default of settings that are neither switches nor numbers."""

ROOMS = {
    "scheduling": Scheduling(),
    # Their settings are in force under these ways of working alone.
    "priority": Priority(kind="multifactor"),
    "preemption": Preemption(kind="qos", mode="cancel"),
}
FIELDS = [
    (room, field.name)
    for room, part in ROOMS.items()
    for field in msgspec.structs.fields(part)
    # Slurm looks every 30 seconds, and nothing sets it.
    if field.name != "limit_check_interval_time"
]


@pytest.mark.parametrize(("room", "field"), FIELDS)
def test_every_setting_of_a_site_is_written_and_read_back(small: Site, tmp_path: Path, room: str, field: str) -> None:
    """A setting that sites get and the writer does not know fails here."""
    default = getattr(ROOMS[room], field)
    other = OTHER_VALUES.get((room, field), not default if isinstance(default, bool) else 7)
    part = msgspec.structs.replace(ROOMS[room], **{field: other})
    read = conf_of(tmp_path, slurm_conf(msgspec.structs.replace(small, **{room: part})))
    assert getattr(getattr(read, room), field) == other


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 90, 3600, 86_340, 86_400, 90_061, 604_800])
def test_spans_are_written_as_slurm_reads_them(seconds: int) -> None:
    assert minutes(span_text(seconds)) == seconds


@pytest.mark.parametrize("name", OVERRIDES)
def test_every_parameter_of_slurm_is_printed_as_the_site_that_was_played(
    small: Site, tmp_path: Path, name: str
) -> None:
    texts = {"resource_weights": "cpu=5,gres/gpu=7", "flags": "ACCRUE_ALWAYS", "kind": "multifactor"}
    field = OVERRIDES[name].where.partition(".")[2]
    text = texts.get(field, "yes" if OVERRIDES[name].expected == "yes or no" else "7")
    # Settings of priorities are slurm.conf's only under the plugin that they are of.
    configured = overridden(small, {"PriorityType": "multifactor"}) if name.startswith(("Priority", "Fair")) else small
    advice = advise(_overriding(name, text), configured=configured)
    meant = overridden(configured, {name: text})
    assert advice.is_whole
    if meant != configured:
        assert any(
            line.startswith((f"{name}=", "SchedulerParameters=", "SchedulerType=")) for line in advice.lines.conf
        )
    assert msgspec.structs.replace(advice.site, cluster=meant.cluster) == meant
    whole_round(advice, configured, tmp_path)


def _overriding(name: str, text: str) -> Policy:
    policy = parse_policy("slurm")
    return replace(policy, order=policy.order.with_values({name: text}))


@pytest.mark.parametrize(
    ("order", "backfill"), list(product(("fcfs", "multifactor"), ("", "+list", "+easy", "+conservative(depth=7)")))
)
def test_what_slurm_can_do_is_read_back_as_meant(small: Site, tmp_path: Path, order: str, backfill: str) -> None:
    advice = advise(parse_policy(order + backfill), configured=small)
    assert advice.is_whole
    whole_round(advice, small, tmp_path)
    scheduling, priority = advice.site.scheduling, advice.site.priority
    assert scheduling.backfill == bool(backfill)
    assert (ONLY_FIRST in scheduling.others) == (backfill == "+easy")
    assert scheduling.backfill_least_priority_reserved == (NOBODY_RESERVES if backfill == "+list" else None)
    assert scheduling.backfill_depth == (7 if "7" in backfill else 500)
    assert priority.kind == ("basic" if order == "fcfs" else "multifactor")
    assert "bf_yield_interval=9" in scheduling.others


def test_the_order_multifactor_keeps_its_ratios(small: Site) -> None:
    site = advise(parse_policy("multifactor+easy"), configured=small, is_known=False).site
    assert (site.priority.age_weight, site.priority.job_size_weight, site.priority.fair_share_weight) == (
        1000,
        500,
        2000,
    )
    largest = max(part.priority for part in site.partitions)
    for part in site.partitions:
        assert site.priority.partition_weight * part.priority / largest == 1000 * queue_factor(part.name)


def test_a_site_that_weighs_the_factors_keeps_its_weights(small: Site) -> None:
    own = Priority(kind="basic", age_weight=7, fair_share_weight=9)
    advice = advise(parse_policy("multifactor+easy"), configured=msgspec.structs.replace(small, priority=own))
    assert advice.site.priority == msgspec.structs.replace(own, kind="multifactor")
    assert {"PriorityType=priority/multifactor", "PriorityWeightAge=7"} <= set(advice.lines.conf)


def test_plans_reach_as_far_as_the_longest_limit(small: Site) -> None:
    longer = [msgspec.structs.replace(part, max_time=3 * 86_400.0) for part in small.partitions]
    site = advise(parse_policy("fcfs+easy"), configured=msgspec.structs.replace(small, partitions=tuple(longer))).site
    assert site.scheduling.backfill_window_time == 3 * 86_400


@pytest.mark.parametrize("order", [order.name for order in ORDERS])
def test_every_order_is_brought_about_or_refused_in_a_sentence(small: Site, order: str) -> None:
    policy = parse_policy(order)
    advice = advise(policy, configured=small)
    assert advice.is_whole == (order in ("fcfs", "multifactor", "slurm"))
    for sentence in (*advice.unexpressed, *advice.remarks):
        assert sentence.endswith(".")
    if not advice.is_whole:
        assert advice.unexpressed[0].startswith(f"The order {policy.order.text} ")
        assert advice.site.priority == small.priority


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("fcfs+easy(order=sjf)", "tries what may pass in the order of the queue, not by sjf"),
        ("fcfs+easy(predict=last_two)", "predicts nothing"),
        ("fcfs+easy@worst_fit", "LLN=YES"),
        ("fcfs~requeue", "give way by partition (PriorityTier) or by QOS"),
        ("srf", "no factor for the time limit"),
        ("oracle", "oracle"),
        ("lowest_slot", "it holds tasks back by a series of carbon, which Slurm does not read"),
        ("wait_awhile", "it holds tasks back and stops them by a series of carbon"),
        ("las", "it stops and shares out by its own rule"),
    ],
)
def test_what_slurm_cannot_express_is_said(small: Site, policy: str, words: str) -> None:
    advice = advise(parse_policy(policy), configured=small)
    assert any(words in sentence for sentence in advice.unexpressed)


def test_nodes_more_are_a_line_and_their_partitions(small: Site, tmp_path: Path) -> None:
    advice = advise(parse_policy("slurm"), configured=small, changed=add_site_nodes(small, "gpu=2"))
    assert advice.lines.conf == (
        "# more nodes: g[3-4]",
        "NodeName=g[3-4] CPUs=32 RealMemory=512000 Gres=gpu:a100:4,fs:2048",
        "# in place of the line of partition gpu",
        "PartitionName=gpu Nodes=g[1-4] MaxTime=720 PriorityTier=2 AllowAccounts=physics",
    )
    assert any("gres.conf" in sentence for sentence in advice.remarks)
    whole_round(advice, small, tmp_path)


@pytest.mark.parametrize("change", ["batch=1", "g1", "c[02-03]", "gpu=2"])
def test_nodes_fewer_are_taken_out_of_the_lines(small: Site, tmp_path: Path, change: str) -> None:
    advice = advise(parse_policy("slurm"), configured=small, changed=drop_site_nodes(small, change))
    assert any(line.startswith("# take out of the NodeName lines: ") for line in advice.lines.conf)
    assert any(sentence.startswith("Drain") for sentence in advice.remarks)
    whole_round(advice, small, tmp_path)


def test_a_site_that_does_it_already_needs_nothing(small: Site) -> None:
    assert advise(parse_policy("slurm"), configured=small).is_empty
    assert not advise(parse_policy("fcfs"), configured=small, is_known=False).is_empty


def test_qos_and_accounts_change_by_commands(small: Site) -> None:
    document = small.as_json()
    document["qos"][0] = {"name": "normal", "priority": 50, "limits": {"job_time": 5400}}
    document["qos"][1]["limits"] = {"user_resources": {"node": 2}}
    document["qos"].append({"name": "it's new", "usage_factor": 0.5})
    document["accounts"][1]["shares"] = 10
    document["accounts"][2]["limits"] = {"user_jobs": 3, "all_resource_seconds": {"cpu": 6000}}
    document["accounts"].append({"name": "art", "parent": "root"})
    lines = differing_lines(small, Site.from_json(document))
    assert lines.conf == ()
    assert lines.commands == (
        "sacctmgr -i add qos 'it'\"'\"'s new'",
        "sacctmgr -i modify qos normal set Priority=50 MaxWallDurationPerJob=90",
        "sacctmgr -i modify qos urgent set MaxTRESPerUser=node=2,cpu=-1",
        "sacctmgr -i modify qos 'it'\"'\"'s new' set Priority=0 GraceTime=0 UsageFactor=0.5",
        "sacctmgr -i modify account physics set Fairshare=10",
        "sacctmgr -i modify user ann where account=physics set GrpTRESMins=cpu=100 MaxJobs=3",
        "sacctmgr -i add account art parent=root Fairshare=1",
    )
    back = differing_lines(Site.from_json(document), small).commands
    assert "sacctmgr -i modify qos normal set Priority=10 MaxWallDurationPerJob=-1" in back
    assert "sacctmgr -i modify user ann where account=physics set GrpTRESMins=cpu=-1 MaxJobs=-1" in back
    assert back[-1] == "sacctmgr -i delete account art"
