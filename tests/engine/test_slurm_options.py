"""What the line says that a job was submitted by."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler_sim.engine.traces.slurm_options import Dependency, Submission, read_submission


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sbatch -N 4 job.sh", {"nodes": 4, "most_nodes": 0, "sized": True}),
        ("sbatch -N4-8 job.sh", {"nodes": 4, "most_nodes": 8}),
        ("sbatch --nodes=2,4-8:2 job.sh", {"nodes": 2, "most_nodes": 8}),
        ("sbatch --nodes 1k job.sh", {"nodes": 1024}),
        ("/usr/bin/sbatch -n 4 -c 16", {"tasks": 4, "cores_per_task": 16, "tasks_per_node": 0}),
        ("sbatch -N 8 --ntasks-per-node=64 x", {"nodes": 8, "tasks_per_node": 64, "tasks": 512}),
        ("srun -n=3 hostname", {"tasks": 3}),
        ("sbatch --mem 8G x", {"memory_mb_per_node": 8192.0}),
        ("sbatch --mem-per-cpu=3500 x", {"memory_mb_per_core": 3500.0}),
        ("sbatch --mem=0 x", {"whole_memory": True}),
        ("sbatch --gres=gpu:a100:2 x", {"gpus_per_node": 2.0}),
        ("sbatch --gres=nvme:1,gpu x", {"gpus_per_node": 1.0}),
        ("sbatch --gpus-per-node a100:2,v100:1 x", {"gpus_per_node": 3.0}),
        ("sbatch -G 8 x", {"gpus_per_node": 0.0, "gpus_in_all": True}),
        (
            "sbatch -C icelake|skylake -p a,b -q long x",
            {"features": "icelake|skylake", "partitions": "a,b", "qos": "long"},
        ),
        ("sbatch --reservation=maint --exclusive x", {"reservation": "maint", "exclusive": True}),
        ("sbatch --exclusive=user x", {"exclusive": False}),
        ("sbatch --nice x", {"nice": 100}),
        ("sbatch --nice=-5 --no-requeue x", {"nice": -5, "requeueable": False}),
        ("sbatch --begin=now+2hours x", {"begin": 7200.0, "waits": False}),
        ("sbatch -b 2026-01-31T08:00 x", {"waits": True}),
        ("sbatch -a 0-99%8 x", {"array_limit": 8}),
        ("sbatch --array=1-4 x", {"array_limit": 0}),
        ("sbatch -H x", {"waits": True}),
        ("sbatch -HQ -N2 x", {"waits": True, "nodes": 2}),
        (
            "sbatch -d afterok:12:13_4,afterany:14 x",
            {"dependencies": (Dependency("afterok", ("12", "13_4")), Dependency("afterany", ("14",))), "waits": False},
        ),
        ("sbatch -d afterok:12?afterok:13 x", {"dependencies": (), "waits": True}),
        ("sbatch --dependency=singleton x", {"dependencies": (), "waits": True}),
        ("sbatch --dependency=after:12+5 x", {"dependencies": (), "waits": True}),
        # A word that begins one option only stands for it.
        ("sbatch --const=ib x", {"features": "ib"}),
    ],
)
def test_options_are_read(line: str, said: dict[str, Any]) -> None:
    read = read_submission(line)._asdict()
    assert {name: read[name] for name in said} == said
    assert read["unread"] == ()


@pytest.mark.parametrize(
    ("line", "nodes"),
    [
        ("sbatch -N 2 job.sh -N 9", 2),
        ("sbatch -N 2 --wrap exec run -N 9", 2),
        ("srun -W 30 -N 2 ./a.out --nodes=9", 2),
        ("sbatch -W -N 2 job.sh", 2),
        ("sbatch --wait -N 2 job.sh", 2),
        ("srun --wait 30 -N 2 ./a.out", 2),
        ("sbatch -J N -o -x -N 2", 2),
        ("sbatch -I60 -N 2 job.sh", 2),
        ("salloc -N 2 -- bash -N 9", 2),
    ],
)
def test_reading_ends_at_the_script(line: str, nodes: int) -> None:
    assert read_submission(line).nodes == nodes


@pytest.mark.parametrize(
    ("line", "unread"),
    [
        ("sbatch --frob --nodes=two -N 3 x", ("--frob", "--nodes=two")),
        ("sbatch -y -N 3 x", ("-y",)),
        ("sbatch --excl -N 3 x", ("--excl",)),
        ("sbatch -N 3 --mem=much --gres=gpu:a:b:c x", ("--mem=much", "--gres=gpu:a:b:c")),
        ("sbatch -N 3 -d", ("--dependency",)),
    ],
)
def test_what_is_not_understood_is_named_and_the_rest_is_read(line: str, unread: tuple[str, ...]) -> None:
    read = read_submission(line)
    assert (read.unread, read.nodes) == (unread, 3)


WORDS = st.sampled_from(
    [
        "-N",
        "-n",
        "-c",
        "--mem",
        "--gres",
        "-a",
        "-d",
        "--begin",
        "--nice",
        "-",
        "--",
        "---",
        "4",
        "x",
        "-HN4",
        "=",
        "--=2",
    ]
)


@given(st.lists(st.one_of(WORDS, st.text(max_size=6)), max_size=12))
def test_no_line_is_too_strange(words: list[str]) -> None:
    read = read_submission(" ".join(words))
    for name, blank in Submission()._asdict().items():
        value = getattr(read, name)
        assert type(value) is type(blank)
        assert name == "nice" or not isinstance(value, int | float) or math.isnan(value) or value >= 0
