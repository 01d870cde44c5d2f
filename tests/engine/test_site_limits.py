"""Limits of a site hold under every policy: on jobs, on submissions, on what is used."""

import numpy as np
import pytest

from scheduler_sim.engine.kernels.site.never import never_starts
from scheduler_sim.engine.sites import Site, read_site
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Labels, Workload
from tests.engine.ruled_site import RULED, metered, playable, ruled_jobs, words_of


@pytest.mark.parametrize("policy", ["fcfs+list", "fcfs+easy", "fcfs+conservative", "slurm"])
@pytest.mark.parametrize("seed", range(3))
def test_limits_of_jobs_hold_at_every_instant(policy, seed):
    site, workload = read_site(RULED), ruled_jobs(seed)
    simulation = playable(policy, workload, site)
    workload = simulation.workload
    spans = simulation.spans()
    user, group = workload.user.texts()[spans.row], workload.group.texts()[spans.row]
    assert workload.requests is not None
    qos = workload.requests.qos.texts()[spans.row]
    for instant in np.unique(spans.start_time).tolist():
        runs = (spans.start_time <= instant) & (spans.end_time > instant)
        in_main = workload.queue.texts()[spans.row] == "main"
        assert (runs & in_main).sum() <= 9
        # What the QOS of partition main limits, accounts do not: only outside of it cat is held to two jobs.
        assert (runs & (user == "cat") & ~in_main).sum() <= 2
        for one in ("ann", "bob", "cat"):
            assert (runs & (qos == "normal") & (user == one)).sum() <= 3
        cores = workload.requests.tasks[spans.row]
        assert cores[runs & (group == "one")].sum() <= 80
        assert cores[runs & (qos == "normal") & (group == "two")].sum() <= 64
        assert workload.requests.nodes[spans.row][runs & (qos == "scav")].sum() <= 4
        array = workload.requests.array[spans.row]
        for number in range(1, 4):
            assert (runs & (array == number)).sum() <= 2


@pytest.mark.parametrize("policy", ["fcfs", "fcfs+easy", "fcfs+conservative", "slurm"])
def test_no_more_tasks_are_there_than_may_be_submitted(policy):
    document = read_site(RULED).as_json()
    document["qos"][1]["limits"] = {"user_submitted": 3}
    document["accounts"][0]["limits"] = {"all_submitted": 12}
    document["accounts"][4]["limits"] = {"user_submitted": 4}
    simulation = playable(policy, ruled_jobs(8, 300), Site.from_json(document))
    workload, outcome, attempts = simulation.workload, simulation.outcome(), simulation.history().attempts
    assert workload.requests is not None
    words = words_of(simulation)
    refused = np.isin(words, ["QOSMaxSubmitJobPerUserLimit", "AssocGrpSubmitJobsLimit", "AssocMaxSubmitJobLimit"])
    assert set(words[refused]) == {"QOSMaxSubmitJobPerUserLimit", "AssocGrpSubmitJobsLimit", "AssocMaxSubmitJobLimit"}
    assert (attempts[refused] == 0).all()
    assert (outcome.finish_time[refused] == workload.arrival_time[refused]).all()
    user, group, qos = workload.user.texts(), workload.group.texts(), workload.requests.qos.texts()
    for instant in np.unique(workload.arrival_time).tolist():
        there = (workload.arrival_time <= instant) & (outcome.finish_time > instant) & ~refused
        assert (there & (group == "one")).sum() <= 12
        # Of urgent tasks the QOS says how many, in place of their account.
        assert (there & (user == "cat") & (qos != "urgent")).sum() <= 4
        assert (there & (user == "ann") & (qos == "urgent")).sum() <= 3


METERING = ["fcfs", "fcfs+easy", "fcfs+conservative", "multifactor+easy", "slurm"]


@pytest.mark.parametrize("policy", METERING)
def test_on_a_safe_site_no_account_uses_more_core_minutes_than_it_may_and_nothing_is_stopped(policy):
    simulation = playable(policy, ruled_jobs(9), metered("safe", all_resource_seconds={"cpu": 60_000}))
    workload, spans, history = simulation.workload, simulation.spans(), simulation.history()
    assert workload.requests is not None
    own = workload.group.texts()[spans.row] == "one"
    cores = workload.requests.tasks[spans.row]
    # Minutes are rounded down, of what was used and of what may be used yet.
    assert 30_000 < (cores * (spans.end_time - spans.start_time))[own].sum() < 60_000 + 120
    assert not (history.ending == 1).any()
    waited = words_of(simulation)[history.attempts == 0]
    assert "AssocGrpCPUMinutesLimit" in waited


@pytest.mark.parametrize("policy", METERING)
def test_what_runs_is_stopped_and_nothing_starts_once_an_account_has_used_what_it_may(policy):
    simulation = playable(policy, ruled_jobs(9), metered("limits", all_resource_seconds={"cpu": 60_000}))
    workload, spans = simulation.workload, simulation.spans()
    assert workload.requests is not None
    own = workload.group.texts() == "one"
    used = (workload.requests.tasks[spans.row] * (spans.end_time - spans.start_time))[own[spans.row]].sum()
    # It is known at the next calculation, within 60 s, and seen by slurm at the next look at limits, within 32 s.
    assert 60_000 < used < 60_000 + 128 * (60 + 32)
    stopped = simulation.history().ending == 1
    assert stopped.any()
    assert own[stopped].all()
    ended = simulation.outcome().finish_time[stopped].max()
    assert not (own[spans.row] & (spans.start_time >= ended)).any()


@pytest.mark.parametrize("policy", METERING)
def test_running_tasks_never_have_more_core_minutes_ahead_than_an_account_may(policy):
    site = metered("limits", all_running_resource_seconds={"cpu": 12_000}, job_resource_seconds={"cpu": 9000})
    simulation = playable(policy, ruled_jobs(9), site)
    workload, spans = simulation.workload, simulation.spans()
    assert workload.requests is not None
    own = workload.group.texts()[spans.row] == "one"
    cores, limit = workload.requests.tasks[spans.row], workload.duration_estimate[spans.row]
    assert (cores * limit)[own].max() <= 9000
    highest = 0.0
    for instant in np.unique(spans.start_time).tolist():
        runs = own & (spans.start_time <= instant) & (spans.end_time > instant)
        highest = max(highest, (cores * (limit - (instant - spans.start_time)))[runs].sum())
    assert 9000 < highest < 12_000 + 60


@pytest.mark.parametrize(
    ("account", "own", "of_job", "of_partition", "kept_out"),
    [
        (300, None, None, None, [400, 600]),  # what a user's entry does not say the account above says
        (300, 500, None, None, [600]),
        (300, None, 500, None, [600]),  # what the job's QOS says no account does
        (300, 200, 9999, 500, [600]),  # nor the job's QOS what the partition's says
        (None, None, None, None, []),
    ],
)
def test_the_nearest_limit_of_time_that_is_said_keeps_longer_tasks_out(account, own, of_job, of_partition, kept_out):
    document = read_site(RULED).as_json()

    def limit(one, seconds):
        one["limits"] = one.get("limits", {}) | ({} if seconds is None else {"job_time": seconds})

    for one in document["accounts"]:
        if one["name"] == "one":
            limit(one, own if one.get("user") == "ann" else account if not one.get("user") else None)
    limit(next(one for one in document["qos"] if one["name"] == "urgent"), of_job)
    limit(next(one for one in document["qos"] if one["name"] == "whole"), of_partition)
    limits = np.array([100.0, 400.0, 600.0])
    workload = Workload.from_columns(
        arrival_time=np.zeros(3),
        runtime=np.ones(3),
        duration_estimate=limits,
        cpus=np.ones(3),
        queue=["main"] * 3,
        user=["ann"] * 3,
        group=["one"] * 3,
        requests=Requests.blank(3, qos=Labels.from_texts(["urgent"] * 3)),
    )
    never = never_starts(workload, Site.from_json(document))
    assert limits[never.rows].tolist() == kept_out
    word = "AssocMaxWallDurationPerJobLimit" if of_job is None else "QOSMaxWallDurationPerJobLimit"
    assert set(never.reasons) <= {word}
