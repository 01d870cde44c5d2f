"""The check of policies of one's own: each fault of each kind is one sentence that names the instant and the task."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim import engine as sim
from scheduler_sim.engine.check import check, main
from scheduler_sim.engine.clusters.presets import pool
from scheduler_sim.engine.plain_rules import plainly
from scheduler_sim.engine.policies import ORDERS, parse_policy
from tests.conftest import ROOT
from tests.engine.own import own_policies
from tests.engine.test_own_policies import random_tasks

START = r"it starts task \d+ at [\d.,]+ s on node 0"


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    with own_policies("mine", "other", "program_sjf_easy"):
        yield


def found_of(policy: str, **more: Any) -> list[str]:
    like = parse_policy(more.pop("like")) if "like" in more else None
    return check(parse_policy(policy), cases=more.pop("cases", 8), like=like, clusters=[pool(8)])


@given(seed=st.integers(0, 10_000), policy=st.sampled_from(["sjf", "sjf+list", "sjf+easy", "wfp3+easy", "wfp3+list"]))
@settings(max_examples=40, deadline=None)
def test_the_plain_rules_start_what_the_compiled_loops_start(seed: int, policy: str) -> None:
    tasks = random_tasks(seed, nodes=False)
    simulation = sim.Simulation(tasks, pool(8), parse_policy(policy))
    reference = plainly(simulation.policy, simulation.scores(), simulation.cluster)
    assert reference is not None
    plain = sim.Simulation(tasks, pool(8), reference)
    for one in (simulation, plain):
        one.advance()
    np.testing.assert_array_equal(simulation.outcome().start_time, plain.outcome().start_time)


def test_what_has_no_plain_rule_is_compared_with_none() -> None:
    for policy in ("sjf+conservative", "sjf+easy(order=fcfs)", "srtf", "drf", "sjf@best_fit", "sjf~suspend"):
        simulation = sim.Simulation(random_tasks(1, nodes=False), pool(8), parse_policy(policy))
        assert plainly(simulation.policy, simulation.scores(), pool(8)) is None, policy


def test_a_policy_of_each_kind_is_like_what_it_imitates() -> None:
    sim.scoring("mine")(lambda context: context.estimate)
    assert found_of("mine+easy", like="sjf+easy") == []
    sim.compiled("mine")(lambda task: task.estimate)
    assert found_of("mine+easy", like="sjf+easy") == []
    name = sim.program([sys.executable, str(ROOT / "examples/shortest_first_with_easy.py")])
    assert found_of(name, like="sjf+easy", cases=2) == []


def test_what_is_not_like_the_other_is_told_with_the_task_and_both_instants() -> None:
    sim.scoring("mine")(lambda context: context.estimate)
    (found,) = found_of("mine+easy", like="ljf+easy")
    assert matches(rf"Case \d on hpc-8: {START}; under ljf\+easy it starts at [\d.,]+ s on node 0\.", found)


def matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None


def test_a_compiled_function_that_does_not_return_the_same_for_the_same_is_found() -> None:
    sim.compiled("mine")(lambda task: np.random.random() + 0.0 * task.estimate)  # noqa: NPY002
    (found,) = found_of("mine")
    assert matches(rf"Case \d on hpc-8: {START}, and at .* s on node 0 when it plays the same again\.", found)


def test_what_leaves_tasks_waiting_names_the_first_and_since_when() -> None:
    class Forgets:
        def decide(self, state: Any) -> Any:
            return [row for row in state.queue if row != 2 and len(state.fits(row))][:1]

    sim.deciding("mine")(Forgets)
    (found,) = found_of("mine", cases=1)
    assert matches(r"Case 0 on hpc-8: mine never ends: at .* s nothing runs .*, first task 3\.", found)


ENDLESS = {
    "array": (
        "@sim.scoring('mine')\ndef mine(context):\n    while True:\n        pass\n",
        r"mine: it does not come back within 1 s at scoring \d+ tasks, first task 1, which arrives at [\d.]+ s\n",
    ),
    "compiled once": (
        "@sim.compiled('mine')\ndef mine(task):\n    n = 0.0\n    while task.cpus > 0:\n        n += 1\n    return n\n",
        r"mine: it does not come back within 1 s at scoring task \d+, which arrives at [\d.]+ s\n",
    ),
    "compiled": (
        "@sim.compiled('mine')\ndef mine(task, now):\n    n = 0.0\n    while now.time >= 0:\n        n += 1\n"
        "    return n\n",
        r"mine: it does not come back within 1 s at scoring task \d+ at [\d.]+ s\n",
    ),
    "class": (
        "@sim.deciding('mine')\nclass Mine:\n    def decide(self, state):\n        while True:\n            pass\n",
        r"mine: it does not come back within 1 s at [\d.]+ s, asked about \d+ waiting tasks, first task \d+\n",
    ),
    "program": (
        "import sys\nsim.program([sys.executable, '-c', "
        '\'import time; input(); print("{\\\\"protocol\\\\": 1, \\\\"name\\\\": \\\\"mine\\\\"}", flush=True); '
        "time.sleep(99)'], timeout=3)\n",
        r"mine: Case 0 on hpc-8: mine has not answered in 3 s at [\d.]+ s, asked about .*, first task \d+\.\n",
    ),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_never_comes_back_ends_with_a_sentence(kind: str, tmp_path: Path) -> None:
    code, sentence = ENDLESS[kind]
    file = tmp_path / "mine.py"
    file.write_text(f"from scheduler_sim import engine as sim\n\n{code}")
    limit = "60" if kind == "program" else "1"
    words = [sys.executable, "-m", "scheduler_sim.engine.check", str(file), "--limit", limit, "--cluster", "hpc-8"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, matches(sentence, done.stdout)) == (1, True), (done.stdout, done.stderr)


def test_code_that_lets_nobody_look_is_ended_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    lines = (
        "from itertools import count",
        "from scheduler_sim import engine as sim",
        "from scheduler_sim.engine import check",
        "check.NOBODY_LOOKS = 0.0",
        "@sim.scoring('mine')",
        "def mine(context):",
        "    return max(count())",
    )
    file.write_text("\n".join(lines))
    words = [
        sys.executable,
        "-c",
        f"from scheduler_sim.engine.check import main; main([{str(file)!r}, '--limit', '2'])",
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, "in mine" in done.stderr) == (1, True), (done.stdout, done.stderr)


def test_installed_policies_are_checked_by_their_name(capsys: pytest.CaptureFixture[str]) -> None:
    sim.scoring("mine")(lambda context: context.estimate)
    assert main(["mine", "--cases", "1", "--cluster", "hpc-8", "--like", "sjf"]) == 0
    assert capsys.readouterr().out == "mine: nothing wrong in 1 random workloads\n"
    assert main(["other"]) == 2
    assert "There is no policy called 'other'" in capsys.readouterr().err
    assert main(["mine", "--like", "nothing"]) == 2
    assert main(["mine", "--cluster", "nothing"]) == 2
    assert main(["--policy-program", "no-such-program"]) == 2
    assert "no-such-program does not start" in capsys.readouterr().err
    for words in ([], ["mine", "--policy-program", "x"], ["mine", "--limit", "0"]):
        with pytest.raises(SystemExit):
            main(words)
    assert "mine" in ORDERS
