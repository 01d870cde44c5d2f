"""Single rules of Slurm, on sites small enough to know the answer."""

from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Labels, Workload
from tests.engine.reference_slurm import Phases, ReferenceSlurm

QUICK = {"submission_delay_time": 1, "backfill_interval_time": 2, "backfill_resolution_time": 1}


def site(groups: list[dict[str, Any]] | None = None, **parts: Any) -> Site:
    groups = groups or [{"hosts": "n[1-4]", "cores": 4}]
    return Site.from_json({"name": "small", "groups": groups, "scheduling": QUICK, **parts})


def play(where: Site, jobs: list[dict[str, Any]]) -> ReferenceSlurm:
    """Play jobs that are told by `at`, `runs`, `limit`, and what they ask for."""
    own = {"at", "runs", "limit", "cpus", "queue", "user", "account", "after"}
    asked = {key: [job.get(key) for job in jobs] for job in jobs for key in job if key not in own}
    blank = Requests.blank(len(jobs))
    stated = {
        name: Labels.from_texts([value or "" for value in values])
        if isinstance(getattr(blank, name), Labels)
        else np.array([getattr(blank, name)[0] if value is None else value for value in values])
        for name, values in asked.items()
    }
    workload = Workload.from_columns(
        task_id=range(1, len(jobs) + 1),
        arrival_time=[job["at"] for job in jobs],
        runtime=[job["runs"] for job in jobs],
        duration_estimate=[job.get("limit", 60 * -(-job["runs"] // 60)) for job in jobs],
        cpus=[job.get("cpus", 1) for job in jobs],
        user=[job.get("user", "ann") for job in jobs],
        group=[job.get("account", "physics") for job in jobs],
        queue=[job.get("queue", "") for job in jobs],
        dependencies=[job.get("after", []) for job in jobs],
        requests=Requests.blank(len(jobs), **stated),
    )
    return ReferenceSlurm(workload, where, Phases(main=0.5, backfill=0.25)).play()


def nodes(simulated: ReferenceSlurm, number: int) -> list[int]:
    return [node + 1 for node, _ in simulated.jobs[number].shares]


def test_a_job_that_does_not_fit_blocks_its_partition_until_the_backfill_loop_looks() -> None:
    simulated = play(
        site(),
        [
            {"at": 0, "runs": 600, "nodes": 3, "exclusive": True},
            {"at": 10, "runs": 60, "nodes": 4, "exclusive": True},
            {"at": 10.1, "runs": 60, "nodes": 1, "exclusive": True},
        ],
    )
    _, large, small = simulated.jobs
    assert small.started_by == "backfill"
    assert small.start - 10.1 < 3
    assert large.start > 600


def test_what_would_delay_a_planned_job_does_not_start() -> None:
    simulated = play(
        site(),
        [
            {"at": 0, "runs": 100, "limit": 120, "nodes": 3, "exclusive": True},
            {"at": 10, "runs": 60, "nodes": 4, "exclusive": True},
            {"at": 11, "runs": 30, "limit": 600, "nodes": 1, "exclusive": True},
        ],
    )
    assert simulated.jobs[2].start > simulated.jobs[1].start


def test_the_run_of_nodes_that_fits_most_tightly_is_taken() -> None:
    busy = [{"at": 0, "runs": 300, "cpus": 4, "features": "old"}]
    where = site(
        [
            {"hosts": "n[1-3]", "cores": 4},
            {"hosts": "n4", "cores": 4, "features": ["old"]},
            {"hosts": "n[5-6]", "cores": 4},
        ]
    )
    simulated = play(where, [*busy, {"at": 5, "runs": 60, "nodes": 2, "exclusive": True}])
    assert nodes(simulated, 0) == [4]
    assert nodes(simulated, 1) == [5, 6]


def test_lighter_nodes_come_first_even_where_others_fit_more_tightly() -> None:
    where = site([{"hosts": "n[1-4]", "cores": 8, "weight": 1}, {"hosts": "n[5-6]", "cores": 4, "weight": 9}])
    simulated = play(where, [{"at": 0, "runs": 60, "tasks": 1, "cores_per_task": 4}])
    assert nodes(simulated, 0) == [1]


def test_tasks_are_dealt_in_whole_ones_and_the_last_take_what_is_left() -> None:
    where = site([{"hosts": "n[1-2]", "cores": 6}])
    simulated = play(where, [{"at": 0, "runs": 60, "tasks": 3, "cores_per_task": 4}])
    assert simulated.jobs[0].shares == [(0, 6), (1, 4)]


@pytest.mark.parametrize(("delay", "longest"), [(1, 2.1), (3, 4.1)])
def test_submissions_wait_for_the_next_tick_that_is_late_enough(delay: float, longest: float) -> None:
    where = site(scheduling={**QUICK, "submission_delay_time": delay, "backfill": False})
    simulated = play(where, [{"at": 0.75 * k, "runs": 1} for k in range(8)])
    waits = [job.start - job.submit for job in simulated.jobs]
    assert min(waits) > 0
    assert max(waits) < longest
    assert {job.started_by for job in simulated.jobs} == {"main"}


def test_a_job_over_its_limit_is_stopped_at_the_next_look_at_limits() -> None:
    simulated = play(site(), [{"at": 0, "runs": 500, "limit": 60}])
    (job,) = simulated.jobs
    assert job.outcome == "TIMEOUT"
    assert 60 <= job.end - job.start < 92


def test_a_preempted_job_waits_and_runs_again_from_its_beginning() -> None:
    where = site(
        qos=[
            {"name": "low", "preempt_mode": "requeue"},
            {"name": "high", "preempts": ["low"], "priority": 10},
        ],
        preemption={"kind": "qos", "mode": "requeue"},
    )
    low = {"at": 0, "runs": 300, "nodes": 4, "exclusive": True, "qos": "low"}
    simulated = play(where, [low, {"at": 50, "runs": 60, "cpus": 4, "qos": "high"}])
    preempted, urgent = simulated.jobs
    assert urgent.start - 50 < 3
    first, second = preempted.attempts
    assert second[0] - first[1] >= 121
    assert second[1] - second[0] == pytest.approx(300)


TIERS: dict[str, Any] = {
    "groups": [{"hosts": "n[1-2]", "cores": 4, "memory_mb": 1000}],
    "default_memory_mb_per_core": 100,
    "partitions": [{"name": "low", "is_default": True, "tier": 1}, {"name": "high", "tier": 2}],
    "preemption": {"kind": "partition", "mode": "suspend"},
}


def test_a_suspended_job_goes_on_where_it_was_once_its_cores_are_free() -> None:
    high = {"at": 50, "runs": 40, "cpus": 2, "queue": "high"}
    simulated = play(
        site(**TIERS),
        [
            {"at": 0, "runs": 100, "limit": 120, "nodes": 1, "tasks": 4, "queue": "low"},
            {"at": 1, "runs": 100, "limit": 120, "nodes": 1, "tasks": 4, "queue": "low"},
            high,
            {"at": 60, "runs": 10, "cpus": 2, "queue": "low"},
        ],
    )
    suspended, other, urgent, late = simulated.jobs
    assert urgent.start - 50 < 2
    assert suspended.attempts == [
        (suspended.first_start, urgent.start),
        (urgent.end, pytest.approx(urgent.end + 100 - (urgent.start - suspended.first_start))),
    ]
    assert suspended.outcome == "COMPLETED"
    assert len(other.attempts) == 1
    # Two cores of the node are idle, and belong to the suspended job.
    assert late.start >= other.end


def test_a_suspended_job_keeps_its_memory() -> None:
    low = {"at": 0, "runs": 100, "nodes": 1, "tasks": 4, "memory_mb_per_node": 600.0, "queue": "low"}
    high = {"at": 50, "runs": 20, "nodes": 1, "tasks": 1, "queue": "high"}
    simulated = play(
        site(**TIERS),
        [low, low, {**high, "memory_mb_per_node": 500.0}, {**high, "at": 51, "memory_mb_per_node": 400.0}],
    )
    _, other, large, small = simulated.jobs
    assert small.start - 51 < 2
    assert large.start >= other.end > 100


def test_a_job_that_must_give_way_is_stopped_at_the_first_look_at_limits_after_its_grace_time() -> None:
    where = site(
        partitions=[{"name": "low", "is_default": True, "grace_time": 20}, {"name": "high", "tier": 2}],
        preemption={"kind": "partition", "mode": "cancel"},
    )
    low = {"at": 0, "runs": 500, "limit": 600, "nodes": 4, "exclusive": True, "queue": "low"}
    simulated = play(where, [low, {"at": 50, "runs": 60, "cpus": 4, "queue": "high"}])
    preempted, urgent = simulated.jobs
    assert preempted.outcome == "PREEMPTED"
    assert 70 <= preempted.end < 50 + 2 + 20 + 31
    assert preempted.end <= urgent.start < preempted.end + 3


def test_a_job_beyond_the_number_that_may_be_submitted_is_refused_and_one_after_an_end_is_not() -> None:
    where = site(
        accounts=[{"name": "physics"}, {"name": "physics", "user": "ann", "limits": {"user_submitted": 2}}],
        enforces=["limits"],
    )
    simulated = play(where, [{"at": at, "runs": 20} for at in (0, 1, 2, 40, 41, 42)])
    assert [job.outcome for job in simulated.jobs] == ["COMPLETED", "COMPLETED", "CANCELLED"] * 2
    assert simulated.jobs[2].reason == "AssocMaxSubmitJobLimit"


USED: dict[str, Any] = {
    "accounts": [
        {"name": "physics", "limits": {"all_resource_seconds": {"cpu": 600}}},
        {"name": "physics", "user": "ann"},
    ],
    "priority": {"kind": "multifactor", "calculation_period_time": 10, "decay_half_life_time": 0},
}


def test_jobs_wait_and_running_ones_stop_once_as_much_has_been_used_as_may() -> None:
    simulated = play(site(**USED, enforces=["limits"]), [{"at": k, "runs": 300, "cpus": 4} for k in range(2)])
    # Eight cores use 600 core-seconds in 75 s, which the calculation at 79 s counts and the look at 89 s after it sees.
    assert [job.outcome for job in simulated.jobs] == ["TIMEOUT", "TIMEOUT"]
    assert all(79 <= job.end < 79 + 31 + 1 for job in simulated.jobs)
    late = play(site(**USED, enforces=["limits"]), [{"at": 0, "runs": 160, "cpus": 4}, {"at": 200, "runs": 60}]).jobs[1]
    assert late.reason == "AssocGrpCPUMinutesLimit"
    assert np.isnan(late.start)


def test_on_a_safe_site_no_job_starts_that_could_use_more_than_is_left_and_none_is_stopped() -> None:
    jobs = [{"at": k, "runs": 60, "limit": 120, "cpus": 3} for k in range(3)]
    simulated = play(site(**USED, enforces=["safe"]), jobs)
    first, second, third = simulated.jobs
    # 360 of 600 core-seconds are taken by the first limit; 180 were used when it has ended, and 360 more fit.
    assert first.outcome == second.outcome == "COMPLETED"
    assert first.end <= second.start < first.end + 3
    assert third.reason == "AssocGrpCPUMinutesLimit"
    assert np.isnan(third.start)


def test_what_was_used_counts_half_after_the_half_life() -> None:
    halved = {**USED, "priority": {**USED["priority"], "decay_half_life_time": 100}}
    jobs = [{"at": 0, "runs": 149, "limit": 180, "cpus": 3}, {"at": 150, "runs": 60, "limit": 120, "cpus": 4}]
    second = play(site(**halved, enforces=["safe"]), jobs).jobs[1]
    used = sum(3 * 0.5 ** ((second.start - at) / 100) for at in range(149))
    # Eight of ten core-minutes are asked for: it starts when three are no longer counted, of five at first.
    assert second.start > 160
    assert used < 180 * 1.05
    assert used * 2 ** (13 / 100) > 180


def test_running_jobs_may_use_no_more_yet_than_is_said() -> None:
    parts = {**USED, "accounts": [{"name": "physics", "limits": {"all_running_resource_seconds": {"cpu": 600}}}]}
    parts["accounts"].append({"name": "physics", "user": "ann"})
    jobs = [{"at": 0, "runs": 500, "limit": 540, "cpus": 1}, {"at": 1, "runs": 60, "limit": 120, "cpus": 1}]
    second = play(site(**parts, enforces=["limits"]), jobs).jobs[1]
    # Nine whole core-minutes are ahead until the calculation at 9 s, and two more were beyond ten.
    assert 9 <= second.start < 9 + 3
    basic = play(site(**{**parts, "priority": {}}, enforces=["limits"]), jobs).jobs
    assert basic[0].end <= basic[1].start < basic[0].end + 3


def test_who_is_suspended_on_a_node_that_fails_does_not_go_on_for_an_instant() -> None:
    away = {"start_time": 50, "end_time": 400, "nodes": 1, "kill": True}
    failing = {"hosts": "n1", "cores": 4, "memory_mb": 1000, "outages": [away]}
    jobs = [
        {"at": 0, "runs": 100, "cpus": 4, "queue": "high", "eligible_time": 20.0},
        {"at": 1, "runs": 100, "cpus": 4, "queue": "low"},
    ]
    low = play(site(**{**TIERS, "groups": [failing]}), jobs).jobs[1]
    assert all(end > begin for begin, end in low.attempts)
    suspended, again = low.attempts
    assert suspended[1] < 30
    assert again[0] >= 400


def test_a_limit_of_a_qos_holds_in_place_of_the_same_one_of_an_account() -> None:
    parts: dict[str, Any] = {
        "qos": [{"name": "wide", "limits": {"all_resources": {"cpu": 12}}}, {"name": "plain"}],
        "accounts": [{"name": "physics", "limits": {"all_resources": {"cpu": 4}}}, {"name": "physics", "user": "ann"}],
        "enforces": ["associations", "limits", "qos"],
    }
    jobs = [{"at": k, "runs": 600, "cpus": 4} for k in range(4)]
    wide = play(site(**parts), [{**job, "qos": "wide"} for job in jobs])
    plain = play(site(**parts), [{**job, "qos": "plain"} for job in jobs])
    assert [job.start < 10 for job in wide.jobs] == [True, True, True, False]
    assert [job.start < 10 for job in plain.jobs] == [True, False, False, False]


def test_nodes_of_a_reservation_take_no_job_that_would_run_into_it() -> None:
    where = site(reservations=[{"name": "service", "hosts": "n[1-3]", "start_time": 100, "end_time": 400}])
    simulated = play(where, [{"at": 0, "runs": 60, "nodes": 2, "exclusive": True, "limit": 120}])
    assert simulated.jobs[0].start >= 400


def test_a_job_on_a_node_that_fails_is_requeued_and_avoids_it() -> None:
    failing = {"hosts": "n1", "cores": 4, "outages": [{"start_time": 50, "end_time": 9999, "nodes": 1, "kill": True}]}
    simulated = play(site([failing, {"hosts": "n2", "cores": 4, "weight": 5}]), [{"at": 0, "runs": 100, "cpus": 4}])
    (job,) = simulated.jobs
    first, second = job.attempts
    assert first[1] == 50
    assert second[0] >= 171
    assert nodes(simulated, 0) == [2]


def test_an_array_runs_no_more_of_its_tasks_than_it_says() -> None:
    simulated = play(site(), [{"at": 0, "runs": 100, "array": 1, "array_limit": 2} for _ in range(6)])
    changes = sorted((time, sign) for job in simulated.jobs for time, sign in ((job.start, 1), (job.end, -1)))
    assert max(np.cumsum([sign for _, sign in changes])) == 2
