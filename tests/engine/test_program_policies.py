"""Policies that are programs: the example gives the schedule that it imitates, and a broken one is told so."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scheduler_sim import engine as sim
from scheduler_sim.engine.policies import ORDERS
from scheduler_sim.engine.policies.origin import program_digest, source_digest
from scheduler_sim.engine.policies.program import Pipe, Program, ProgramDecider, ProgramFault
from scheduler_sim.engine.stored_schedule import laid_out
from tests.conftest import ROOT
from tests.engine.own import own_policies
from tests.engine.test_own_policies import NODES, random_tasks

EXAMPLE = ROOT / "examples/shortest_first_with_easy.py"

TALK = """
import json, sys, time
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello":
        print(json.dumps({"protocol": 1, "name": "mine", "clairvoyant": CLAIRVOYANT}), flush=True)
    elif message["type"] == "decide":
        REPLY
"""


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    with own_policies("mine", "other", "program_sjf_easy", "program_fcfs_best_fit"):
        yield


def program(reply: str, *, clairvoyant: bool = False, timeout: float = 20.0) -> str:
    """Register a program as `mine`, which does this at every decision."""
    code = TALK.replace("REPLY", reply).replace("CLAIRVOYANT", str(clairvoyant))
    return sim.program([sys.executable, "-c", code], timeout=timeout)


def says(reply: str) -> str:
    return f"print({reply}, flush=True)"


TWO = sim.Workload.from_columns(arrival_time=[3.0, 3.0], runtime=[10.0, 10.0], cpus=[2, 2])


@pytest.mark.parametrize("seed", range(2))
def test_the_example_is_easy_with_shortest_first_start_by_start(seed: int) -> None:
    name = sim.program([sys.executable, str(EXAMPLE)])
    for tasks in (random_tasks(seed, nodes=False), sim.generate("lublin", tasks=150, seed=seed)):
        cluster = "hpc-8" if isinstance(tasks, sim.Workload) else "hpc-256"
        played = sim.play(tasks, cluster, ["sjf+easy", name])
        for column in ("start_time", "finish_time", "ready_time"):
            np.testing.assert_array_equal(played.placements(name)[column], played.placements("sjf+easy")[column])


def test_the_example_imports_nothing_of_ours() -> None:
    code = f"import runpy, sys; runpy.run_path({str(EXAMPLE)!r}); sys.exit('scheduler_sim' in sys.modules)"
    assert subprocess.run([sys.executable, "-I", "-c", code], check=False).returncode == 0


def test_a_program_is_told_what_changed_and_where_its_tasks_went(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    start = "[one['id'] for one in message['arrived']]"
    program(f"open({str(lines)!r}, 'a').write(line); " + says(f"json.dumps({{'start': {start}}})"))
    tasks = sim.Workload.from_columns(
        arrival_time=[0.0, 4.0], runtime=[3.0, 5.0], duration_estimate=[4.0, 6.0], cpus=[1, 2], gpus=[0, 1],
        user=["ann", "bob"], gpu_type=["", "B"],
    )  # fmt: skip
    starts = sim.play(tasks, NODES, "mine").placements("mine")
    assert starts["node"].tolist() == [0, 2]
    first, second = map(json.loads, lines.read_text().splitlines())
    alone = {"type": "decide", "time": 0, "ended": [], "started": [], "free": []}
    told = {"id": 1, "arrival_time": 0, "ready_time": 0, "estimate": 4, "cpus": 1, "gpus": 0, "memory_mb": 0}
    assert first == alone | {"arrived": [told | {"user": "ann", "group": "", "partition": ""}]}
    assert second["arrived"][0] | {"id": 2, "user": "bob", "nodes": [2, 3]} == second["arrived"][0]
    # The first has ended by then: its node is free again, as it was when the program was last told.
    assert (second["started"], second["ended"], second["free"]) == ([[1, 0, None]], [1], [])


@pytest.mark.parametrize("clairvoyant", [False, True])
def test_a_program_is_told_run_times_only_where_it_says_that_it_is_clairvoyant(clairvoyant: bool) -> None:
    start = "[one['id'] for one in message['arrived'] if one.get('runtime') == 10 or not TELLS]"
    program(says(f"json.dumps({{'start': {start}}})".replace("TELLS", str(clairvoyant))), clairvoyant=clairvoyant)
    assert ORDERS["mine"].clairvoyant is clairvoyant
    assert sim.play(TWO, "hpc-4", "mine").figure("finished_count") == 2
    program("print(json.dumps({'start': [one['runtime'] for one in message['arrived']]}), flush=True)")
    with pytest.raises(sim.InvalidPolicy, match=r"mine ended with exit code 1 at 3 s, .*; its last words: .*KeyError"):
        sim.play(TWO, "hpc-4", "mine")


ASKED = r"at 3 s, asked about 2 waiting tasks, first task 1"

BROKEN = {
    "dies": ("sys.exit('no more')", rf"mine ended with exit code 1 {ASKED}; its last words: 'no more'\."),
    "kills itself": ("import os; os.kill(os.getpid(), 9)", rf"mine ended by signal 9 {ASKED}\."),
    "closes its pipe": (
        "import os; sys.stdout.close(); os.close(1); time.sleep(9)",
        rf"mine closes its pipe {ASKED}\.",
    ),
    "talks nonsense": (says("'well'"), rf"mine answers 'well' {ASKED}, which is no object in JSON\."),
    "answers another question": (says("'{}'"), rf"mine answers '{{}}' {ASKED}, where a list start was expected\."),
    "starts words": (says("json.dumps({'start': ['a']})"), rf"mine starts .*'a'.* {ASKED}, where a task's id"),
    "starts strangers": (says("json.dumps({'start': [7]})"), rf"mine starts task 7 {ASKED}, of which it was not told"),
    "starts what does not fit": (
        says("json.dumps({'start': [1, 2]})"),
        r"mine starts task 2 at 3 s, which no node can hold then\.",
    ),
    "starts on no node": (says("json.dumps({'start': [[1, 9]]})"), r"mine starts task 1 at 3 s on node 9"),
    "starts twice": (says("json.dumps({'start': [1, 1]})"), r"mine starts task 1 at 3 s, which does not wait then\."),
    "forgets a task": (
        says("json.dumps({'start': [1] if message['time'] == 3 else []})"),
        r"mine never ends: at 13 s nothing runs or will arrive, and it starts none of 1 waiting tasks, first task 2\.",
    ),
    "talks too much": (says("json.dumps({'start': []}) + '\\n{'"), rf"mine says '{{' {ASKED} without being asked"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_program_gets_one_sentence_with_the_instant_and_the_task(kind: str) -> None:
    reply, sentence = BROKEN[kind]
    program(reply)
    with pytest.raises(sim.InvalidPolicy, match=sentence):
        sim.play(TWO, "hpc-3", "mine")


@pytest.mark.parametrize("reply", ["time.sleep(60)", "print('x' * 100, end='', flush=True); time.sleep(60)"])
def test_a_silent_program_is_waited_for_so_long_and_ended(reply: str) -> None:
    # Long enough for the greeting on a busy machine: waiting is what is tested.
    program(reply, timeout=3.0)
    began = time.monotonic()
    with pytest.raises(sim.InvalidPolicy, match=rf"mine has not answered in 3 s {ASKED}\."):
        sim.play(TWO, "hpc-3", "mine")
    assert time.monotonic() - began < 50


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("no-such-program-here --x", r"no-such-program-here --x does not start: No such file or directory\."),
        ("", "A policy's program has no command line"),
        ("python3 'mine.py", "cannot be read: No closing quotation"),
        ([sys.executable, "-c", "pass"], "ended with exit code 0 when it is greeted"),
        ([sys.executable, "-c", "print('{\"protocol\": 9}', flush=True)"], "speaks version 9 of the lines"),
        ([sys.executable, "-c", "print('{\"protocol\": 1}', flush=True)"], "a name is missing"),
        (
            [sys.executable, "-c", 'print(\'{"protocol": 1, "name": "sjf"}\', flush=True)'],
            "There is a policy sjf already",
        ),
    ],
)
def test_what_does_not_introduce_itself_is_refused(command: Any, sentence: str) -> None:
    with pytest.raises(sim.InvalidPolicy, match=sentence):
        sim.program(command)
    with pytest.raises(sim.InvalidPolicy, match="that must be above 0"):
        sim.program("python3", timeout=0.0)


def test_what_a_program_said_before_it_ended_is_heard() -> None:
    pipe = Pipe(Program.read([sys.executable, "-c", "print('{\"protocol\": 9}')"]), "mine", "")
    pipe._process.wait()
    with pytest.raises(ProgramFault, match="mine speaks version 9 of the lines"):
        pipe.greet("when it is greeted")
    with pytest.raises(ProgramFault, match="mine ended with exit code 0 when it goes on"):
        pipe.greet("when it goes on")
    pipe.close()


def test_a_program_that_is_gone_by_then_does_not_start(tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_text(f"#!{sys.executable}\n{TALK.replace('REPLY', 'pass').replace('CLAIRVOYANT', 'False')}")
    file.chmod(0o755)
    sim.program([str(file)])
    file.unlink()
    with pytest.raises(sim.InvalidPolicy, match=rf"mine does not start {ASKED}: No such file"):
        sim.play(TWO, "hpc-3", "mine")


def test_what_a_program_says_on_its_standard_error_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    start = "json.dumps({'start': [one['id'] for one in message['arrived']]})"
    program(f"print('I think', file=sys.stderr); {says(start)}")
    sim.play(TWO, "hpc-4", "mine")
    assert "mine: I think" in caplog.messages


def test_no_shell_reads_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(sim.InvalidPolicy):
        sim.program(f"{sys.executable} -c pass; touch {tmp_path}/made")
    assert not list(tmp_path.iterdir())


def test_a_program_ends_with_its_simulation_and_where_nobody_plays_on() -> None:
    start = "json.dumps({'start': [one['id'] for one in message['arrived']]})"
    name = program(says(start))
    simulation = sim.Simulation(TWO, sim.load_cluster("hpc-4"), sim.parse_policy(name))
    simulation.advance(max_events=1)
    kernel: Any = simulation.kernel
    process = kernel._decider._pipe._process
    assert process.poll() is None
    simulation.advance()
    assert process.poll() == 0
    left = sim.Simulation(TWO, sim.load_cluster("hpc-4"), sim.parse_policy(name))
    left.advance(max_events=1)
    kernel = left.kernel
    end = kernel._decider._pipe._end
    del kernel
    del left
    assert not end.alive or end() is None


def test_a_class_that_can_be_closed_is_closed_at_the_end_and_where_it_is_refused() -> None:
    closed = []

    class Mine:
        def decide(self, state: Any) -> Any:
            return [row for row in state.queue if len(state.fits(row))][: 1 if state.time < 9 else 0]

        def close(self) -> None:
            closed.append(True)

    sim.deciding("mine")(Mine)
    sim.play(TWO.head(1), "hpc-4", "mine")
    assert closed == [True]
    with pytest.raises(sim.InvalidPolicy, match="never ends"):
        sim.play(TWO, "hpc-2", "mine")
    assert len(closed) == 2
    half = sim.Simulation(TWO.head(1), sim.load_cluster("hpc-4"), sim.parse_policy("mine"))
    half.advance(max_events=1)
    assert laid_out(half).clock == half.clock

    class Leaves(Mine):
        def decide(self, state: Any) -> Any:
            raise ValueError("no choice")

        def close(self) -> None:
            sys.exit(3)

    sim.deciding("leaves")(Leaves)
    with pytest.raises(sim.InvalidPolicy, match="no choice"):
        sim.play(TWO, "hpc-4", "leaves")


def test_a_digest_is_of_the_program_and_not_of_the_machine(tmp_path: Path) -> None:
    file, other = tmp_path / "mine.py", tmp_path / "elsewhere" / "mine.py"
    other.parent.mkdir()
    for one in (file, other):
        one.write_text("1")
    digest = program_digest(["python3", str(file)])
    assert digest == program_digest(["python3", str(other)]) != program_digest(["python3", str(file), "--fast"])
    other.write_text("2")
    assert digest != program_digest(["python3", str(other)])
    assert program_digest([sys.executable, str(file)]) == program_digest([sys.executable, str(file)])
    assert len(source_digest(test_no_shell_reads_the_command_line)) == 64
    assert source_digest(3) == ""
    assert isinstance(ProgramDecider("mine", Program.read("x")), ProgramDecider)


def test_the_second_example_is_first_come_first_served_on_the_best_fitting_node() -> None:
    name = sim.program([sys.executable, str(ROOT / "examples/first_come_best_fit.py")])
    nodes = sim.Cluster("3 nodes", (sim.NodeGroup("n", count=3, cores=6),))
    played = sim.play(random_tasks(3, nodes=False), nodes, ["fcfs@best_fit", name])
    for column in ("start_time", "node"):
        np.testing.assert_array_equal(played.placements(name)[column], played.placements("fcfs@best_fit")[column])
