"""Logs replayed on their site: each task on the nodes where it really ran, at the instant at which it started."""

import numpy as np
import pytest

from scheduler_sim.engine import Simulation, Workload, parse_policy
from scheduler_sim.engine.kernels.site.dealing import dealt_cores
from scheduler_sim.engine.sites import Site, read_slurm_site
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Labels

SITE = Site.from_json({"name": "small", "groups": [{"hosts": "n[1-3]", "cores": 8, "memory_mb": 800}]})


def log(rows: list[tuple[float, float, int, str]], **more: object) -> Workload:
    """Return tasks that ran: start, run time, cores, nodes."""
    start, runtime, cpus, nodes = zip(*rows, strict=True)
    requests = Requests.blank(len(rows), recorded_nodes=Labels.from_texts(nodes), **more)
    return Workload.from_columns(
        arrival_time=np.zeros(len(rows)),
        runtime=runtime,
        cpus=cpus,
        recorded_start_time=start,
        requests=requests,
    )


def replayed(workload: Workload, site: Site = SITE) -> tuple[list[float], list[int]]:
    simulation = Simulation(workload, site.cluster, parse_policy("recorded"), site=site)
    simulation.advance()
    return simulation.outcome().start_time.tolist(), simulation.outcome().node.tolist()


def test_a_task_goes_where_it_really_ran_although_other_nodes_come_first():
    assert replayed(log([(0, 10, 8, "n3"), (5, 10, 8, "n2"), (10, 10, 8, "n3")])) == ([0, 5, 10], [2, 1, 2])


def test_a_task_waits_from_its_arrival_or_its_parents_end_until_its_recorded_start():
    given = log([(50, 100, 1, "n1"), (60, 10, 1, "n1"), (200, 10, 1, "n1"), (300, 5, 1, "n1")])
    workload = Workload.from_columns(
        arrival_time=[0.0, 10.0, 20.0, 30.0],
        runtime=given.runtime,
        cpus=given.cpus,
        recorded_start_time=given.recorded_start_time,
        dependencies=[[], [], [1], []],
        requests=Requests.blank(
            4, recorded_nodes=Labels.from_texts(["n1"] * 4), eligible_time=np.array([np.nan] * 3 + [100.0])
        ),
    )
    for site in (SITE, None):
        cluster = SITE.cluster
        simulation = Simulation(workload, cluster, parse_policy("recorded"), site=site)
        simulation.advance()
        outcome = simulation.outcome()
        assert outcome.start_time.tolist() == [50, 60, 200, 300]
        # Only sites know that the last one asks not to start before.
        assert outcome.ready_time.tolist() == [0, 10, 150, 100 if site else 30]


def test_cores_on_several_nodes_are_dealt_so_that_what_came_later_fits():
    # Eight cores on n1 alone would leave none for the second, sixteen on two nodes leave eight.
    workload = log([(0, 100, 8, "n[1-2]"), (1, 10, 5, "n1"), (2, 10, 3, "n2")])
    assert replayed(workload) == ([0, 1, 2], [0, 0, 1])
    nodes = [np.array([0, 1]), np.array([0]), np.array([1])]
    assert workload.requests is not None
    (cores,) = dealt_cores(workload, workload.requests, SITE, nodes, [False] * 3).values()
    assert cores.sum() == 8
    assert 3 <= cores[1] <= 5, "n1 has three cores left, and n2 five"


def test_memory_that_goes_with_cores_counts_where_they_are():
    each = np.array([100.0, np.nan, np.nan])
    workload = log([(0, 100, 6, "n[1-2]"), (1, 10, 1, "n1"), (2, 10, 1, "n2")], memory_mb_per_core=each)
    other = Workload.from_columns(
        arrival_time=workload.arrival_time,
        runtime=workload.runtime,
        cpus=workload.cpus,
        memory_mb=[600, 500, 100],
        recorded_start_time=workload.recorded_start_time,
        requests=workload.requests,
    )
    assert replayed(other)[0] == [0, 1, 2]


def test_a_task_with_fewer_cores_than_nodes_does_not_keep_the_others_from_being_dealt():
    workload = log([(0, 100, 8, "n[1-2]"), (1, 10, 5, "n1"), (2, 10, 3, "n2"), (200, 10, 1, "n[1-3]")])
    assert replayed(workload)[0] == [0, 1, 2, 200]


def test_memory_that_is_not_shared_out_has_no_part_in_the_dealing():
    free = Site.from_json({**SITE.as_json(), "is_memory_shared_out": False})
    each = np.array([900.0, 900.0, 900.0])
    workload = log([(0, 100, 8, "n[1-2]"), (1, 10, 5, "n1"), (2, 10, 3, "n2")], memory_mb_per_core=each)
    assert replayed(workload, free)[0] == [0, 1, 2]


def test_what_the_log_cannot_mean_is_late_and_not_silently_placed():
    starts, _ = replayed(log([(0, 10, 8, "n1"), (1, 10, 8, "n1"), (2, 20, 8, "n2"), (2, 20, 8, "n3")]))
    assert starts[0] == 0
    assert starts[1] > 1 or starts[2] > 2 or starts[3] > 2


def test_nodes_that_the_site_does_not_have_say_nothing():
    assert replayed(log([(0, 10, 8, "elsewhere7"), (0, 10, 8, "n3")]))[0] == [0, 0]


def test_other_policies_choose_nodes_by_themselves():
    workload = log([(0, 10, 8, "n3")])
    simulation = Simulation(workload, SITE.cluster, parse_policy("fcfs"), site=SITE)
    simulation.advance()
    assert simulation.outcome().node.tolist() == [0]


@pytest.mark.parametrize(("name", "jobs"), [("S1A", 404), ("S2", 1135), ("S3", 647), ("S4", 606)])
def test_every_recorded_start_of_a_real_cluster_is_brought_about_on_its_nodes(name, jobs, slurm_path):
    folder = slurm_path(f"{name}/conf/slurm.conf").parent
    gres = folder / "gres.conf"
    site, _ = read_slurm_site(
        {"dump": folder / "sacctmgr_dump.cfg", "qos": folder / "sacctmgr_qos.txt"},
        slurm_conf_file=folder / "slurm.conf",
        gres_conf_file=gres if gres.exists() else None,
    )[:2]
    workload = read_trace(slurm_path(f"{name}/sacct/sacct_X_all.psv.gz")).workload
    assert len(workload) == jobs
    simulation = Simulation(workload, site.cluster, parse_policy("recorded"), site=site)
    simulation.advance()
    outcome = simulation.outcome()
    np.testing.assert_array_equal(outcome.start_time, workload.recorded_start_time)
    assert workload.requests is not None
    lists = workload.requests.recorded_nodes
    first = np.array([min(site.numbers(hosts), default=-1) for hosts in lists.names])[lists.codes]
    np.testing.assert_array_equal(outcome.node, first)
