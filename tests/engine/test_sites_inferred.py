"""Sites inferred from the jobs that ran on them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim.engine.errors import InvalidCluster, InvalidTrace
from scheduler_sim.engine.kernels.site.asks import asks
from scheduler_sim.engine.sites import Note, Site, fold_hosts, read_slurm_site
from scheduler_sim.engine.sites.inferred import site_from_trace
from scheduler_sim.engine.traces import read_trace

PathOf = Callable[[str], Path]

NAMES = ("JobID", "Partition", "Submit", "Start", "ElapsedRaw", "TimelimitRaw", "AllocCPUS", "ReqCPUS", "NodeList")


def infer(*jobs: tuple[Any, ...], more: str = "") -> tuple[Site, list[Note]]:
    """Infer a site from jobs: partition, start, run time, cores, nodes, and columns that are named in `more`."""
    names = [*NAMES, *more.split()]
    rows = [
        (number, partition, 0, start, run, 10, cores, cores, nodes, *others)
        for number, (partition, start, run, cores, nodes, *others) in enumerate(jobs, 1)
    ]
    text = "\n".join("\t".join(map(str, row)) for row in (names, *rows))
    return site_from_trace(io.BytesIO(text.encode()), trace_name="jobs.tsv")


def nodes(site: Site) -> dict[str, tuple[int, int, str]]:
    return {
        described.hosts: (group.cores, group.gpus, group.gpu_type)
        for group, described in zip(site.cluster.groups, site.nodes, strict=True)
    }


def test_cores_are_those_ever_in_use_at_once() -> None:
    site, notes = infer(
        ("main", 0, 60, 4, "n1"),
        ("main", 30, 60, 8, "n1"),
        ("main", 60, 30, 4, "n1"),
        # A second one of the same name needs no more.
        ("main", 0, 60, 3, "n2"),
    )
    assert nodes(site) == {"n[1-2]": (12, 0, "")}
    assert site.name == "jobs"
    assert any(note.text.startswith("n[1-2]: 12 cores") and "1 of 2 nodes" in note.reason for note in notes)


def test_runs_on_several_nodes_need_so_many_cores_together() -> None:
    site, _ = infer(("main", 0, 60, 64, "n[1-4]"), ("main", 0, 60, 2, "login"))
    assert nodes(site) == {"login": (2, 0, ""), "n[1-4]": (16, 0, "")}


def test_sizes_of_nodes_that_are_called_alike_are_told_apart_where_several_have_them() -> None:
    small = [("main", 0, 60, 32, f"n{number}") for number in range(1, 6)]
    large = [("main", 0, 60, 64, f"n{number}") for number in range(6, 11)]
    site, _ = infer(*small, *large, ("main", 0, 60, 5, "n11"))
    assert nodes(site) == {"n[1-5]": (32, 0, ""), "n[6-9],n10": (64, 0, ""), "n11": (32, 0, "")}


def test_gpus_are_those_in_use_at_once_with_the_model_that_is_named() -> None:
    site, _ = infer(
        ("gpu", 0, 60, 4, "g1", "gres/gpu:a100=2,gres/gpu=2"),
        ("gpu", 0, 60, 4, "g1", "gres/gpu:a100=2,gres/gpu=2"),
        ("gpu", 0, 60, 4, "h[1-2]", "gres/gpu:v100=8,gres/gpu=8"),
        more="AllocTRES",
    )
    assert nodes(site) == {"g1": (8, 4, "a100"), "h[1-2]": (2, 4, "v100")}


def test_partitions_have_the_nodes_on_which_their_jobs_ran() -> None:
    site, _ = infer(
        *(("main", 0, 60, 4, f"n{number}") for number in range(1, 5)),
        ("most", 0, 60, 12, "n[1-3]"),
        ("few", 0, 60, 8, "n[1-2]"),
    )
    assert {one.name: (one.hosts, one.is_default) for one in site.partitions} == {
        "few": ("n[1-2]", False),
        "main": ("n[1-4]", True),
        "most": ("n[1-4]", False),
    }
    assert {one.max_time for one in site.partitions} == {600}


def test_features_are_those_that_jobs_on_a_node_asked_for() -> None:
    site, _ = infer(
        ("main", 0, 60, 4, "n1", "ib&fast"),
        ("main", 0, 60, 4, "n2", ""),
        ("main", 0, 60, 4, "m1", "fast|slow"),
        ("main", 0, 60, 4, "n2", "slow|fast"),
        more="Constraints",
    )
    assert [one.features for one in site.nodes] == [("fast",), ("fast", "ib")]


def test_a_partition_whose_jobs_always_had_whole_nodes_gives_whole_nodes() -> None:
    text = "\n".join(
        [
            "JobID|Partition|Submit|Start|ElapsedRaw|AllocCPUS|ReqCPUS|NodeList|QOS",
            "1|whole|0|0|9|16|1|n1|long",
            "2|whole|0|0|9|32|32|n[2-3]|long",
            "3|shared|0|9|9|4|4|n1|",
        ]
    )
    site, _ = site_from_trace(io.BytesIO(text.encode()), name="mine")
    assert {one.name: one.exclusive for one in site.partitions} == {"whole": True, "shared": False}
    assert ([one.name for one in site.qos], {one.max_time for one in site.partitions}) == (["long"], {None})
    assert site.name == "mine"


@pytest.mark.parametrize(
    ("jobs", "error", "said"),
    [
        ([("main", 0, 60, 4, "")], InvalidTrace, "no job that ran on a node"),
        ([("main", 0, 60, 4, "None assigned")], InvalidTrace, "no job that ran on a node"),
        ([("main", 0, 60, 4, "n[1-")], InvalidCluster, "brackets"),
    ],
)
def test_what_shows_no_node_is_refused(jobs: list[tuple[Any, ...]], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        infer(*jobs)


def test_a_file_without_the_nodes_is_told_what_to_print() -> None:
    with pytest.raises(InvalidTrace, match="without NodeList; print it with"):
        site_from_trace(io.BytesIO(b"JobID|Submit|Start|ElapsedRaw|AllocCPUS\n1|0|0|9|1\n"))


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("S1A", {"n[01-32]": (16, 0, "")}),
        # Jobs on ga used half of its cores at most.
        (
            "S2",
            {
                "c[01-10]": (64, 0, ""),
                "d[01-10]": (64, 0, ""),
                "ga[01-04]": (32, 4, "a100"),
                "gv[01-04]": (32, 4, "v100"),
            },
        ),
        ("S3", {"n[01-16]": (32, 0, "")}),
        ("S4", {"n[01-16]": (32, 0, "")}),
    ],
)
def test_real_clusters_are_found_in_their_accounting(
    scenario: str, expected: dict[str, tuple[int, int, str]], slurm_path: PathOf
) -> None:
    site, _ = site_from_trace(slurm_path(f"{scenario}/sacct/sacct_X_all.psv.gz"))
    assert nodes(site) == expected
    if scenario == "S2":
        assert {one.name: one.hosts for one in site.partitions} == {
            "batch": "c[01-10],d[01-10]",
            "debug": "c[01-02]",
            "gpu": "ga[01-04],gv[01-04]",
        }
        assert [one.features for one in site.nodes[:2]] == [("ib", "skylake"), ("bigmem", "icelake")]


@pytest.mark.parametrize(
    ("scenario", "form"),
    [
        ("S1A", "sacct_X_all.psv"),
        ("S2", "sacct_X_all.psv"),
        ("S2", "sacct.json"),
        ("S2", "sacct_X_textforms.psv"),
        ("S3", "sacct_X_all.psv"),
        ("S4", "sacct_D_X_all.psv"),
    ],
)
def test_every_job_could_start_on_its_site_as_configured_and_as_inferred(
    scenario: str, form: str, slurm_path: PathOf
) -> None:
    accounting = slurm_path(f"{scenario}/sacct/{form}.gz")
    conf, dump, qos = (
        slurm_path(f"{scenario}/conf/{name}") for name in ("slurm.conf", "sacctmgr_dump.cfg", "sacctmgr_qos.txt")
    )
    tasks = read_trace(accounting).workload
    configured, _ = read_slurm_site({"dump": dump, "qos": qos}, slurm_conf_file=conf)
    for site in (configured, site_from_trace(accounting)[0]):
        assert not asks(tasks, site).reason.any()


RUNS = st.lists(
    st.tuples(
        st.integers(0, 100),
        st.integers(0, 50),
        st.lists(st.integers(1, 6), min_size=1, max_size=4, unique=True),
        st.integers(1, 8),
    ),
    min_size=1,
    max_size=12,
)


def test_nodes_of_a_run_that_took_no_time_have_a_core() -> None:
    site, _ = infer(("main", 0, 10, 3, "n1"), ("main", 20, 0, 3, "n[1-3]"))
    assert [group.cores for group in site.cluster.groups] == [3, 1]


@settings(max_examples=60, deadline=None)
@given(RUNS)
def test_every_run_fits_on_the_nodes_that_are_inferred(runs: list[tuple[int, int, list[int], int]]) -> None:
    jobs = [
        ("main", start, run, len(on) * each, fold_hosts(f"n{number}" for number in sorted(on)))
        for start, run, on, each in runs
    ]
    site, _ = infer(*jobs)
    cores = {
        host: group.cores
        for group, described in zip(site.cluster.groups, site.nodes, strict=True)
        for host in [site.hosts[number] for number in site.numbers(described.hosts)]
    }
    for _, _, _, asked, on in jobs:
        assert sum(cores[site.hosts[number]] for number in site.numbers(on)) >= asked
    for instant in range(151):
        for host in cores:
            alone = sum(asked for _, start, run, asked, on in jobs if on == host and start <= instant < start + run)
            assert alone <= cores[host]
