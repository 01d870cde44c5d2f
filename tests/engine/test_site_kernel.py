"""Workloads on sites: what is played, what is refused, and that it does not matter in how many pieces."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine import Options, Simulation, parse_policy
from scheduler_sim.engine.clusters.failures import Failure
from scheduler_sim.engine.contract import REASONS
from scheduler_sim.engine.errors import EngineError, InvalidPolicy, OversizedTasks
from scheduler_sim.engine.kernels.site.kernel import SiteKernel
from scheduler_sim.engine.kernels.site.never import fit_to_site, never_starts
from scheduler_sim.engine.kernels.site.reasons import WORDS
from scheduler_sim.engine.sites import ShareTree, Site, classic, fair_tree, read_site
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Labels, Workload
from tests.engine.ruled_site import RULED, metered, playable, played, ruled_jobs, words_of

SMALL = """
name: small
groups:
- {hosts: "c[01-06]", cores: 16, memory_mb: 64000, features: [skylake], weight: 10}
- {hosts: "d[01-03]", cores: 16, memory_mb: 128000, features: [icelake, bigmem], weight: 20}
- {hosts: "g[01-02]", cores: 16, memory_mb: 64000, gpus: 4, gpu_type: a100, weight: 50}
partitions:
- {name: batch, hosts: "c[01-06],d[01-03]", is_default: true, max_time: 7200}
- {name: gpu, hosts: "g[01-02]", max_time: 7200}
- {name: debug, hosts: "c[01-02]", max_time: 600, tier: 10}
scheduling: {submission_delay_time: 1, main_interval_time: 10, backfill_interval_time: 3, backfill_resolution_time: 1}
priority: {age_weight: 1000, job_size_weight: 500, partition_weight: 300}
"""

POLICIES = ["fcfs", "fcfs+list", "fcfs+easy", "fcfs+conservative", "sjf", "wfp3+easy", "multifactor+easy", "slurm"]


def small() -> Site:
    return read_site(SMALL)


def jobs(seed: int, count: int = 120) -> Workload:
    """Return jobs of every kind for the small site."""
    random = np.random.default_rng(seed)
    part = random.choice(["batch", "batch", "batch", "gpu", "debug"], count)
    gpu, debug = part == "gpu", part == "debug"
    nodes = np.where(random.random(count) < 0.5, random.integers(1, 4, count), 0)
    nodes = np.where(gpu | debug, np.minimum(nodes, 2), nodes)
    requests = Requests.blank(
        count,
        nodes=nodes,
        tasks=np.where(nodes > 0, nodes * random.integers(1, 17, count), random.integers(0, 20, count)),
        cores_per_task=np.ones(count, np.int64),
        gpus_per_node=np.where(gpu, random.integers(1, 5, count), 0).astype(np.float64),
        exclusive=(random.random(count) < 0.1) & (nodes > 0),
    )
    return Workload.from_columns(
        arrival_time=np.sort(random.integers(0, 3000, count)).astype(np.float64),
        runtime=random.integers(5, 400, count).astype(np.float64),
        duration_estimate=random.choice([300.0, 420.0, 600.0], count),
        cpus=random.integers(1, 17, count),
        gpus=np.where(gpu, 1, 0),
        queue=part.tolist(),
        requests=requests,
    )


@pytest.mark.parametrize("policy", POLICIES)
def test_every_task_starts_after_it_is_ready_on_a_node_of_its_partition(policy):
    site, workload = small(), jobs(1)
    simulation = played(policy, workload, site)
    outcome = simulation.outcome()
    assert simulation.done
    assert (outcome.start_time >= outcome.ready_time).all()
    assert np.allclose(outcome.finish_time, outcome.start_time + workload.runtime)
    nodes = {one.name: set(site.numbers(one.hosts)) for one in site.partitions}
    for part, node in zip(workload.queue.texts(), outcome.node.tolist(), strict=True):
        assert node in nodes[part]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_run_in_pieces_is_the_run_at_once(policy):
    site, workload = small(), jobs(2)
    whole = played(policy, workload, site).outcome()
    pieces = Simulation(workload, site.cluster, parse_policy(policy), site=site)
    time = 0.0
    while not pieces.done:
        pieces.advance(until_time=time, max_events=7)
        time += 13.7
    assert np.array_equal(pieces.outcome().start_time, whole.start_time)
    assert np.array_equal(pieces.outcome().completion_order, whole.completion_order)


def test_seeds_move_the_phases_of_slurm_and_nothing_else():
    site, workload = small(), jobs(3)
    first, same = (played("slurm", workload, site, seed=4).outcome().start_time for _ in range(2))
    other = played("slurm", workload, site, seed=5).outcome().start_time
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
    fixed = "slurm(main_phase=0.5,backfill_phase=0.25,decay_phase=1)"
    one, two = (played(fixed, workload, site, seed=seed).outcome().start_time for seed in (4, 5))
    assert np.array_equal(one, two)


def test_a_changed_setting_changes_the_run_and_an_unknown_one_is_refused():
    site, workload = small(), jobs(3)
    plain, rare = (
        played(policy, workload, site).outcome().start_time for policy in ("slurm", "slurm(bf_interval=600)")
    )
    assert not np.array_equal(plain, rare)
    with pytest.raises(InvalidPolicy, match=r"bf_intervall.*Did you mean bf_interval"):
        parse_policy("slurm(bf_intervall=3)")


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ("drf+list", "rule of its own"),
        ("srtf", "stops running tasks"),
        ("fcfs+easy@best_fit", "weights and numbers"),
        ("fcfs+easy(order=sjf)", "easy is without parameters"),
    ],
)
def test_what_is_not_played_on_a_site_is_refused_by_one_sentence(policy, sentence):
    site = small()
    with pytest.raises(EngineError, match=sentence):
        Simulation(jobs(1), site.cluster, parse_policy(policy), site=site)


def test_slurm_needs_a_site():
    with pytest.raises(InvalidPolicy, match="plays on a site"):
        Simulation(jobs(1), small().cluster, parse_policy("slurm"))


@pytest.mark.parametrize("policy", ["fcfs+easy", "slurm"])
def test_a_run_with_failures_by_chance_ends_though_some_tasks_can_never_start(policy):
    document = metered("safe", all_resource_seconds={"cpu": 60_000}).as_json()
    document["groups"][0]["failures"] = {"mean_hours": 0.5, "repair_hours": 2.0}
    document["scheduling"]["backfill_interval_time"] = 60
    simulation = playable(policy, ruled_jobs(9), Site.from_json(document))
    history = simulation.history()
    assert simulation.done
    assert (simulation.attempts().reason == REASONS.index("failed")).any()
    assert "AssocGrpCPUMinutesLimit" in words_of(simulation)[history.attempts == 0]


@pytest.mark.parametrize("seed", range(3))
def test_attempts_of_displaced_tasks_add_up(seed):
    site, workload = read_site(RULED), ruled_jobs(seed, 300)
    simulation = playable("slurm", workload, site)
    attempts, history, outcome = simulation.attempts(), simulation.history(), simulation.outcome()
    held = np.zeros(len(simulation.workload))
    np.add.at(held, attempts.row, attempts.end_time - attempts.start_time)
    several = history.attempts > 1
    assert several.any()
    assert np.allclose(held[several], history.held_time[several])
    ran = history.ending == 0
    assert np.allclose(history.service_time[ran], simulation.workload.runtime[ran])
    again = attempts.reason == REASONS.index("requeued")
    assert again.any()
    # Every attempt is told of a task that has several, and of one that was cancelled while it waited to go on.
    told, counts = np.unique(attempts.row, return_counts=True)
    assert np.array_equal(counts, history.attempts[told])
    assert set(np.flatnonzero(several)) <= set(told.tolist())
    last = outcome.finish_time[several & ran] - history.begun_time[several & ran]
    assert np.allclose(last, simulation.workload.runtime[several & ran])


@pytest.mark.parametrize("by", ["partition", "qos"])
def test_suspended_tasks_go_on_where_they_were_and_no_core_is_used_twice(by):
    document = small().as_json()
    document["preemption"] = {"kind": by, "mode": "suspend"}
    document["partitions"][2]["hosts"] = document["partitions"][0]["hosts"]
    document["qos"] = [{"name": "normal"}, {"name": "urgent", "preempts": ["normal"]}]
    site = Site.from_json(document)
    workload = jobs(6, 300)
    assert workload.requests is not None
    urgent = (workload.queue.texts() == "debug") | (np.arange(300) % 5 == 0)
    qos = Labels.from_texts(np.where(urgent, "urgent", "normal"))
    workload = replace(workload, requests=replace(workload.requests, qos=qos))
    simulation = played("slurm", workload, site)
    attempts, history, spans = simulation.attempts(), simulation.history(), simulation.spans()
    suspended = np.unique(attempts.row[attempts.reason == REASONS.index("suspended")])
    assert len(suspended) > 3
    np.testing.assert_allclose(history.service_time, workload.runtime)
    np.testing.assert_allclose(history.held_time, workload.runtime)
    node = simulation.outcome().node
    assert (attempts.node == node[attempts.row]).all()
    asked = workload.requests
    assert asked is not None
    cores = np.where(asked.tasks > 0, asked.tasks, workload.cpus)
    alone = (asked.nodes == 1) & ~asked.exclusive
    for instant in np.unique(spans.start_time).tolist():
        runs = (spans.start_time <= instant) & (spans.end_time > instant) & alone[spans.row]
        used = np.bincount(spans.node[runs], weights=cores[spans.row[runs]], minlength=11)
        assert used.max() <= 16


def test_tasks_that_share_a_core_are_refused_and_one_a_core_is_played():
    document = small().as_json()
    document["partitions"][0]["oversubscribe"] = 2
    with pytest.raises(InvalidPolicy, match="take turns"):
        Simulation(jobs(1), small().cluster, parse_policy("slurm"), site=Site.from_json(document))
    document["partitions"][0]["oversubscribe"] = 1
    document["preemption"] = {"kind": "partition", "mode": "gang"}
    one, other = (played("slurm", jobs(1), where).outcome() for where in (small(), Site.from_json(document)))
    assert np.array_equal(one.start_time, other.start_time)


@pytest.mark.parametrize("policy", ["fcfs", "fcfs+easy", "fcfs+conservative", "slurm"])
def test_no_task_runs_into_a_reservation(policy):
    site, workload = read_site(RULED), ruled_jobs(5, 300)
    simulation = playable(policy, workload, site)
    outcome, known = simulation.outcome(), simulation.workload
    limit = np.ceil(known.duration_estimate / 60) * 60
    started = ~np.isnan(outcome.start_time)
    begun = simulation.history().begun_time
    meets = started & (np.floor(begun) < 1200) & (np.floor(begun) + limit > 900)
    assert meets.any()
    assert (outcome.node[meets] >= 5).all()


def test_tasks_that_can_never_start_are_told_with_the_reason():
    site = read_site(RULED)
    requests = Requests.blank(
        7,
        nodes=np.array([9, 1, 2, 1, 1, 5, 1]),
        tasks=np.array([9, 1, 2, 1, 1, 5, 1]),
        cores_per_task=np.array([1, 1, 1, 17, 1, 1, 1]),
        qos=Labels.from_texts(["normal", "normal", "normal", "normal", "fast", "scav", "normal"]),
    )
    workload = Workload.from_columns(
        arrival_time=np.zeros(7),
        runtime=np.ones(7),
        duration_estimate=[60.0, 4000.0, 60.0, 60.0, 60.0, 60.0, 60.0],
        cpus=np.ones(7),
        queue=["main", "main", "small", "main", "main", "main", "nowhere"],
        user=["ann"] * 7,
        group=["one"] * 7,
        requests=requests,
    )
    never = never_starts(workload, site)
    assert never.rows.tolist() == list(range(7))
    assert list(never.reasons) == [
        "BadConstraints",
        "PartitionTimeLimit",
        "PartitionNodeLimit",
        "BadConstraints",
        "InvalidQOS",
        "QOSGrpNodeLimit",
        "InvalidPartition",
    ]
    with pytest.raises(OversizedTasks, match="7 tasks could never start on site ruled"):
        Simulation(workload, site.cluster, parse_policy("slurm"), site=site)


def test_a_reservation_takes_whom_it_lists_and_others_that_name_it_never_start():
    document = read_site(RULED).as_json()
    document["accounts"].append({"name": "deep", "parent": "one"})
    document["accounts"] += [{"name": "deep", "user": "dan"}, {"name": "two", "user": "ann"}]
    document["reservations"] = [
        {"name": "of-ann", "start_time": 0, "end_time": 9000, "hosts": "n[01-02]", "users": ["ann"]},
        {"name": "of-one", "start_time": 0, "end_time": 9000, "hosts": "n03", "accounts": ["one"]},
    ]
    document["reservations"] += [
        {"name": "not-bob", "start_time": 0, "end_time": 9000, "hosts": "n04", "users": ["-bob"], "accounts": ["-two"]}
    ]
    who = [("ann", "one"), ("ann", "two"), ("bob", "one"), ("dan", "deep"), ("cat", "two"), ("dan", "deep")]
    who += [("ann", "one"), ("bob", "one"), ("cat", "two")]
    named = ["of-ann", "of-ann", "of-ann", "of-one", "of-one", "", "not-bob", "not-bob", "not-bob"]
    workload = Workload.from_columns(
        arrival_time=np.zeros(9),
        runtime=np.ones(9),
        duration_estimate=np.full(9, 60.0),
        cpus=np.ones(9),
        user=[user for user, _ in who],
        group=[account for _, account in who],
        requests=Requests.blank(9, reservation=Labels.from_texts(named)),
    )
    never = never_starts(workload, Site.from_json(document))
    assert never.rows.tolist() == [2, 4, 7, 8]
    assert set(never.reasons) == {"Access denied to requested reservation"}


def test_waiting_tasks_have_slurms_own_reasons():
    site, workload = read_site(RULED), ruled_jobs(7, 300)
    left, *_ = fit_to_site(workload, site, on_oversize="drop")
    simulation = Simulation(left, site.cluster, parse_policy("slurm"), site=site)
    seen: set[str] = set()
    for time in range(100, 2000, 100):
        simulation.advance(until_time=float(time))
        kernel = simulation.kernel
        assert isinstance(kernel, SiteKernel)
        ready = simulation.outcome().ready_time <= time
        waits = ready & np.isnan(simulation.outcome().start_time) & (simulation.history().ending < 0)
        seen |= {WORDS[code] for code in kernel.reasons()[waits].tolist()}
    assert {"Resources", "Priority", "QOSMaxJobsPerUserLimit", "JobArrayTaskLimit", "AssocGrpCpuLimit"} <= seen


def test_a_task_with_features_in_a_form_that_is_not_read_never_starts_and_the_others_do():
    wanted = ["skylake", "skylake*2&icelake*1", "icelake|", "skylake|icelake"]
    workload = Workload.from_columns(
        arrival_time=np.zeros(4),
        runtime=np.ones(4),
        cpus=np.ones(4),
        requests=Requests.blank(4, features=Labels.from_texts(wanted)),
    )
    never = never_starts(workload, small())
    assert never.rows.tolist() == [1, 2]
    assert set(never.reasons) == {"BadConstraints"}


def test_a_task_whose_needed_parent_failed_never_starts_and_others_do():
    site = small()
    requests = Requests.blank(
        4,
        tasks=np.ones(4, np.int64),
        fails=np.array([True, False, False, False]),
        needs_success=np.array([False, True, False, True]),
    )
    workload = Workload.from_columns(
        arrival_time=np.zeros(4),
        runtime=np.full(4, 20.0),
        duration_estimate=np.full(4, 60.0),
        cpus=np.ones(4),
        dependencies=[[], [1], [1], [2]],
        requests=requests,
    )
    for policy in ("fcfs", "slurm"):
        simulation = played(policy, workload, site)
        outcome = simulation.outcome()
        assert simulation.done
        assert simulation.history().attempts.tolist() == [1, 0, 1, 0]
        assert simulation.history().ending.tolist() == [3, 2, 0, 2]
        assert outcome.start_time[2] >= outcome.finish_time[0]


def test_the_compiled_shares_are_those_of_the_readable_ones():
    random = np.random.default_rng(3)
    for way in ("fair_tree", "classic"):
        for _ in range(20):
            site = tree_site(random, way)
            tree = ShareTree.of(site.accounts)
            workload = Workload.from_columns(arrival_time=[0.0], runtime=[1.0], cpus=[1])
            kernel = SiteKernel(Simulation(workload, site.cluster, parse_policy("slurm"), site=site).problem())
            usage = np.where(tree.is_user, random.choice([0.0, 1.0, 2.5, 7.0], len(tree.names)), 0.0)
            expected = fair_tree(tree, usage) if way == "fair_tree" else classic(tree, usage, damping=2.0)
            factors = kernel.factors(usage)
            assert np.allclose(factors[tree.is_user], expected[tree.is_user], rtol=1e-12)


def tree_site(random: np.random.Generator, way: str) -> Site:
    """Return a site with a random tree of accounts and users, some of which count as their parents' siblings."""
    accounts: list[dict[str, Any]] = [{"name": "root"}]
    names = ["root"]
    for number in range(int(random.integers(1, 7))):
        share: Any = "parent" if random.random() < 0.2 else int(random.integers(0, 4))
        accounts.append({"name": f"a{number}", "parent": str(random.choice(names)), "shares": share})
        names.append(f"a{number}")
    for number in range(int(random.integers(1, 10))):
        own: Any = "parent" if random.random() < 0.2 else int(random.integers(0, 4))
        accounts.append({"name": str(random.choice(names[1:])), "user": f"u{number}", "shares": own})
    document = {
        "name": "tree",
        "groups": [{"hosts": "n1", "cores": 4}],
        "accounts": accounts,
        "priority": {"kind": "multifactor", "fair_share_weight": 1000, "fair_share": way, "damping": 2.0},
    }
    return Site.from_json(document)


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_runs_on_a_node_that_failed_and_what_ran_there_runs_again(policy):
    document = small().as_json()
    document["groups"][0]["outages"] = [{"start_time": 500.0, "end_time": 1500.0, "nodes": 3, "kill": True}]
    document["groups"][1]["outages"] = [{"start_time": 200.0, "end_time": 900.0, "nodes": 1}]
    site = Site.from_json(document)
    workload = jobs(3)
    simulation = played(policy, workload, site)
    assert simulation.done
    history, ended = simulation.history(), simulation.attempts()
    failed = ended.reason == REASONS.index("failed")
    assert failed.any()
    assert (ended.end_time[failed] == 500.0).all()
    assert (history.attempts[ended.row[failed]] == 2).all()
    np.testing.assert_allclose(history.service_time, workload.runtime)
    spans = simulation.spans()
    alone = (
        workload.requests is not None and (workload.requests.nodes <= 1)[spans.row] & (workload.cpus <= 16)[spans.row]
    )
    for first, last, begin, end in ((3, 5, 500.0, 1500.0), (8, 8, 200.0, 900.0)):
        there = (spans.node >= first) & (spans.node <= last) & alone
        assert not (there & (spans.start_time >= begin) & (spans.start_time < end)).any()


def test_a_listed_failure_is_of_one_node_and_others_are_refused():
    workload, site = jobs(4), small()
    options = Options(failures=(Failure(100.0, 50.0, node=0),))
    simulation = Simulation(workload, site.cluster, parse_policy("slurm"), site=site, options=options)
    simulation.advance()
    assert simulation.done
    for other in (
        Options(failures=(Failure(100.0, 50.0, share=0.5),)),
        Options(failures=options.failures, max_failures=3),
        Options(failures=options.failures, requeue_at="end"),
    ):
        with pytest.raises(InvalidPolicy, match="On a site"):
            Simulation(workload, site.cluster, parse_policy("slurm"), site=site, options=other)
