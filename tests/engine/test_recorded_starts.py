"""Starts that were played beside those that were recorded, by hand-made cases with exact values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scheduler_sim import engine
from scheduler_sim.engine.measuring.fidelity import Fidelity, StartDifferences, fidelity
from scheduler_sim.engine.measuring.recording import overfull
from scheduler_sim.engine.sites import Site, expand_hosts, fold_hosts, read_slurm_site
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.workloads.columns import Labels
from scheduler_sim.engine.workloads.requests import Requests

BATCH = engine.NodeGroup(name="batch", count=2, cores=4)
FAT = engine.NodeGroup(name="fat", count=1, cores=8, gpus=2, gpu_type="a100")


def cluster(*groups: engine.NodeGroup) -> engine.Cluster:
    return engine.Cluster(name="small", groups=groups)


def workload(starts: list[float], **columns: Any) -> engine.Workload:
    given = {"arrival_time": [0.0] * len(starts), "runtime": [100.0] * len(starts)} | columns
    return engine.Workload.from_columns(recorded_start_time=starts, **given)


def played(tasks: engine.Workload, where: engine.Cluster, policy: str = "recorded") -> engine.Simulation:
    simulation = engine.Simulation(workload=tasks, cluster=where, policy=engine.parse_policy(policy))
    simulation.advance()
    return simulation


def replayed(tasks: engine.Workload, where: engine.Cluster, policy: str = "recorded", **more: Any) -> Fidelity:
    return fidelity(played(tasks, where, policy), **more)


def test_differences_of_starts_are_those_of_the_formulas() -> None:
    arrival = np.zeros(4)
    recorded, starts = np.array([0.0, 100.0, 200.0, 1000.0]), np.array([2.0, 95.0, 260.0, 1000.0])
    found = StartDifferences.of(arrival, recorded, starts)
    assert found.tasks == 4
    assert found.within == {2: 0.5, 5: 0.75, 30: 0.75, 60: 1.0, 600: 1.0}
    # A tenth of 0, 10, 20 and 100 s.
    assert found.within_tenth == 0.5
    assert (found.mean_absolute, found.median_absolute) == (67 / 4, 3.5)
    assert found.p95_absolute == pytest.approx(5 + 0.85 * 55)
    assert found.mean_difference == 57 / 4
    assert (found.recorded_mean_wait, found.played_mean_wait) == (325.0, 1357 / 4)
    assert found.rank_correlation == pytest.approx(1.0)


def test_ranks_of_waits_that_are_turned_round_correlate_to_minus_one_and_those_of_equal_waits_do_not() -> None:
    arrival, recorded = np.zeros(3), np.array([1.0, 2.0, 3.0])
    assert StartDifferences.of(arrival, recorded, recorded[::-1]).rank_correlation == pytest.approx(-1.0)
    assert StartDifferences.of(arrival, recorded, np.ones(3)).rank_correlation is None


def test_mean_waits_are_the_same_within_a_part_of_the_log_s_or_a_second() -> None:
    def of(recorded: float, starts: float) -> StartDifferences:
        return StartDifferences.of(np.zeros(1), np.array([recorded]), np.array([starts]))

    assert of(100, 105).has_same_mean_wait()
    assert of(100, 95).has_same_mean_wait()
    assert not of(100, 106).has_same_mean_wait()
    assert of(100, 106).has_same_mean_wait(0.1)
    assert of(0, 1).has_same_mean_wait()
    assert not of(0, 2).has_same_mean_wait()


def test_a_cluster_that_holds_the_recorded_starts_replays_every_one_of_them() -> None:
    tasks = workload([0.0, 0.0, 100.0], cpus=[4, 4, 4])
    found = replayed(tasks, cluster(BATCH))
    assert found.every is not None
    assert found.every.mean_absolute == 0
    assert (found.late_tasks, found.first) == (0, None)
    # 300 s x 4 cores of 200 s x 8 cores.
    assert found.recorded_cpu_utilisation == found.played_cpu_utilisation == 0.75
    assert found.recorded_gpu_utilisation is None
    assert not overfull(tasks, cluster(BATCH))


def test_too_small_a_cluster_is_told_by_its_first_instant_and_by_the_tasks_that_do_not_fit() -> None:
    tasks = workload([0.0, 10.0, 10.0], cpus=[4, 4, 3])
    [found] = overfull(tasks, cluster(BATCH))
    assert (found.resource, found.where, found.time, found.held, found.there) == ("cores", "", 10.0, 11.0, 8.0)
    assert tasks.task_id[found.rows].tolist() == [3]
    replay = replayed(tasks, cluster(BATCH))
    assert (replay.late, replay.late_tasks) == ((3,), 1)
    first = replay.first
    assert first is not None
    assert (first.task_id, first.reason, first.recorded_time, first.played_time) == (3, "no_room", 10.0, 100.0)
    assert (first.cores, first.played_cores, first.recorded_cores, first.all_cores) == (3, 8, 8, 8)


def test_what_ends_when_another_starts_makes_room_and_logs_may_round_by_a_second() -> None:
    for end in (100.0, 100.9):
        assert not overfull(workload([0.0, 100.0], cpus=[8, 8], runtime=[end, 5.0]), cluster(BATCH))
    assert overfull(workload([0.0, 100.0], cpus=[8, 8], runtime=[101.5, 5.0]), cluster(BATCH))


def test_tasks_that_only_some_nodes_can_hold_are_summed_over_those_nodes() -> None:
    where = cluster(BATCH, FAT)
    gpus = workload([0.0, 5.0, 6.0], cpus=[1, 1, 1], gpus=[1, 1, 1], gpu_type=["a100", "", "a100"])
    [found] = overfull(gpus, cluster(BATCH, FAT, engine.NodeGroup(name="old", count=1, cores=1, gpus=0)))[:1]
    assert (found.resource, found.held, found.there, found.time) == ("GPUs", 3.0, 2.0, 6.0)
    large = workload([0.0, 5.0], cpus=[6, 6])
    [found] = overfull(large, where)
    assert (found.resource, found.where, found.held, found.there) == ("cores", "on nodes of more than 4 cores", 12, 8)
    two_kinds = cluster(FAT, engine.NodeGroup(name="v100", count=1, cores=8, gpus=8, gpu_type="v100"))
    typed = workload([0.0, 5.0], cpus=[1, 1], gpus=[2, 1], gpu_type=["a100", "a100"])
    [found] = overfull(typed, two_kinds)
    assert (found.resource, found.where, found.held, found.there) == ("GPUs", "on nodes with a100 GPUs", 3, 2)
    assert not overfull(workload([0.0, 5.0], cpus=[1, 1], gpus=[2, 1], gpu_type=["a100", "v100"]), two_kinds)


def test_memory_counts_where_every_node_limits_it() -> None:
    tasks = workload([0.0, 5.0], cpus=[1, 1], memory_mb=[600, 600])
    limited = engine.NodeGroup(name="limited", count=1, cores=4, memory_mb=1000)
    [found] = overfull(tasks, cluster(limited))
    assert (found.resource, found.held, found.there) == ("MB", 1200, 1000)
    assert not overfull(tasks, cluster(limited, BATCH))


def test_tasks_without_a_recorded_start_and_those_of_another_load_are_not_looked_at() -> None:
    tasks = workload([0.0, np.nan], cpus=[8, 8])
    assert not overfull(tasks, cluster(BATCH))
    found = replayed(tasks, cluster(BATCH), "fcfs")
    assert found.every is not None
    assert (found.unrecorded, found.every.tasks) == (1, 1)
    nothing = replayed(workload([np.nan], cpus=[1]), cluster(BATCH), "fcfs")
    assert (nothing.every, nothing.unrecorded, nothing.recorded_cpu_utilisation) == (None, 1, None)


def test_room_in_all_and_none_where_the_task_is_put_is_said_with_the_node_group() -> None:
    # Two tasks of six cores only the fat node can hold, and eight cores of the others are free all the time.
    first = replayed(workload([0.0, 50.0], cpus=[6, 6]), cluster(BATCH, FAT)).first
    assert first is not None
    assert (first.task_id, first.reason, first.group) == (2, "not_placed", "fat")
    assert (first.played_cores, first.all_cores) == (6, 16)
    assert (first.group_held_cores, first.group_cores) == (6, 8)


def test_starts_before_arrivals_and_before_the_ends_of_parents_are_told_as_such() -> None:
    early = replayed(workload([0.0], cpus=[1], arrival_time=[60.0]), cluster(BATCH)).first
    assert early is not None
    assert early.reason == "before_arrival"
    bound = workload([0.0, 50.0], cpus=[1, 1], dependencies=[[], [1]])
    child = replayed(bound, cluster(BATCH)).first
    assert child is not None
    assert (child.task_id, child.reason, child.played_time) == (2, "waits_for_parents", 100.0)


def test_a_task_that_starts_sooner_than_recorded_is_told_with_what_was_held_in_both() -> None:
    first = replayed(workload([0.0, 90.0], cpus=[4, 4]), cluster(BATCH), "fcfs").first
    assert first is not None
    assert (first.task_id, first.reason, first.time) == (2, "sooner", 0.0)
    assert (first.played_cores, first.recorded_cores) == (4, 4)
    assert replayed(workload([0.0, 90.0], cpus=[4, 4]), cluster(BATCH), "fcfs", over=90.0).first is None


def test_groups_are_compared_apart_by_queue_qos_and_hour_of_the_day() -> None:
    requests = Requests.blank(3, qos=Labels.from_texts(["high", "", "high"]))
    tasks = workload(
        [7000.0, 7300.0, 7100.0],
        cpus=[1, 1, 1],
        arrival_time=[6900.0, 7300.0, 7000.0],
        queue=["short", "long", "short"],
        requests=requests,
    )
    found = replayed(tasks, cluster(BATCH), "fcfs", clock_zero=23 * 3600)
    assert {name: one.tasks for name, one in found.by_queue.items()} == {"long": 1, "short": 2}
    assert {name: one.tasks for name, one in found.by_qos.items()} == {"": 1, "high": 2}
    assert {name: one.tasks for name, one in found.by_hour.items()} == {"00": 2, "01": 1}
    assert found.by_queue["short"].mean_difference == -100
    document = found.as_json()
    assert document["by_hour"]["01"]["within"]["2"] == 1.0
    assert document["first"]["reason"] == "sooner"


def site(**more: Any) -> Site:
    groups = [{"hosts": "n[1-4]", "cores": 4, "memory_mb": 1000}, {"hosts": "g[1-2]", "cores": 8, "gpus": 2}]
    partitions = [
        {"name": "batch", "hosts": "n[1-4]", "is_default": True},
        {"name": "fat", "hosts": "g[1-2]"},
        {"name": "alone", "hosts": "n[1-2]", "exclusive": True},
        {"name": "crowd", "hosts": "g1", "oversubscribe": 2},
    ]
    return Site.from_json({"name": "s", "groups": groups, "partitions": partitions} | more)


def over(tasks: engine.Workload, where: Site) -> list[tuple[str, str, float, float, float]]:
    return [(one.resource, one.where, one.time, one.held, one.there) for one in overfull(tasks, where)]


def test_on_a_site_what_its_partitions_hold_must_fit_their_own_nodes() -> None:
    starts = [0.0, 5.0, 6.0]
    # Eight cores each: the cluster as a whole has 32, and the default partition sixteen of them.
    tasks = workload(starts, cpus=[8, 8, 8], queue=["", "batch", "batch"])
    assert over(tasks, site()) == [("cores", "in partition batch", 6.0, 24, 16)]
    assert not over(workload(starts, cpus=[8, 8, 8], queue=["", "batch", "fat"]), site())
    assert not over(workload(starts, cpus=[8, 8, 8], queue=["x", "x", "x"]), site())
    several = Requests.blank(3, partitions=Labels.from_texts(["batch,fat"] * 3))
    assert not over(workload(starts, cpus=[8, 8, 8], queue=["batch"] * 3, requests=several), site())
    assert over(workload(starts, cpus=[12, 12, 12], queue=["batch"] * 3, requests=several), site()) == [
        ("cores", "in partitions batch, fat", 6.0, 36, 32)
    ]
    # What is in a part of a partition counts for the whole of it.
    assert over(workload(starts, cpus=[8, 8, 4], queue=["batch", "alone", "batch"]), site()) == [
        ("cores", "in partition batch", 6.0, 20, 16)
    ]


def test_on_a_site_gpus_memory_and_whole_nodes_are_summed_too() -> None:
    gpus = workload([0.0, 5.0], cpus=[1, 1], gpus=[3, 2], queue=["fat", "fat"])
    assert over(gpus, site()) == [("GPUs", "in partition fat", 5.0, 5, 4)]
    memory = workload([0.0, 5.0], cpus=[1, 1], memory_mb=[3000, 1001])
    assert over(memory, site()) == [("MB", "in partition batch", 5.0, 4001, 4000)]
    assert not over(memory, site(is_memory_shared_out=False))
    alone = workload([0.0, 5.0, 6.0], cpus=[1, 1, 1], queue=["alone"] * 3)
    assert over(alone, site()) == [("nodes", "in partition alone", 6.0, 3, 2)]
    whole = workload([0.0, 5.0], cpus=[5, 9])
    assert over(whole, site(placement="nodes")) == [("nodes", "in partition batch", 5.0, 5, 4)]
    spread = Requests.blank(2, nodes=np.array([2, 3]))
    assert not over(workload([0.0, 5.0], cpus=[2, 3], requests=spread), site())
    assert over(workload([0.0, 5.0], cpus=[2, 3], requests=spread), site(placement="nodes"))
    crowd = workload([0.0, 5.0], cpus=[8, 8], queue=["crowd", "crowd"])
    assert not over(crowd, site())


@pytest.mark.parametrize("scenario", ["S1A", "S1B", "S2", "S3", "S4"])
def test_a_real_site_could_hold_what_its_log_tells(slurm_path: Callable[[str], Path], scenario: str) -> None:
    folder = slurm_path(scenario)
    gres = folder / "conf" / "gres.conf"
    real, _ = read_slurm_site(
        {}, slurm_conf_file=folder / "conf" / "slurm.conf", gres_conf_file=gres if gres.exists() else None
    )
    log = "sacct_X_all_epoch.tsv.gz" if scenario == "S2" else "sacct_X_all.psv.gz"
    tasks = read_trace(folder / "sacct" / log).workload
    assert not np.isnan(tasks.recorded_start_time).any()
    assert over(tasks, real) == []
    # One node fewer for the same jobs is seen.
    assert scenario != "S1A" or over(tasks, drop_a_node(real))


def drop_a_node(real: Site) -> Site:
    document = real.as_json()
    (group,) = document["groups"]
    group["hosts"] = fold_hosts(expand_hosts(group["hosts"])[1:])
    group["count"] -= 1
    document["partitions"] = [{"name": "main", "is_default": True}]
    return Site.from_json(document)


def test_every_instant_is_summed_as_a_slow_count_does() -> None:
    generator = np.random.default_rng(5)
    for _ in range(30):
        count = 40
        starts = generator.integers(0, 60, count).astype(float)
        tasks = workload(
            starts.tolist(), cpus=generator.integers(1, 5, count), runtime=generator.integers(2, 20, count)
        )
        there = int(generator.integers(8, 40))
        where = cluster(engine.NodeGroup(name="n", count=1, cores=there))
        found = overfull(tasks, where)
        begin, end = tasks.recorded_start_time, tasks.recorded_start_time + tasks.runtime - 1
        levels = {
            time: tasks.cpus[(begin <= time) & (end > time)].sum() for time in np.unique(begin[end > begin]).tolist()
        }
        over = {time: level for time, level in levels.items() if level > there}
        assert [(one.time, one.held) for one in found] == ([(min(over), over[min(over)])] if over else [])
