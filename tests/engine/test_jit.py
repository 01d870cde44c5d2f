"""Compiled code on disk, which any process may have made and any may read."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

NAMES = """
import os, re
import numba
import numpy as np
import scheduler_sim.engine.jit

{fork}

@numba.njit
def order(values):
    return np.argsort(values)

order(np.array([3, 1, 2]))
(compiled,) = order.overloads.values()
for name in sorted(set(re.findall(r"make_quicksort_impl\\w+", compiled.library.get_llvm_str()))):
    print(name)
"""


def names_of_steps(fork: str = "") -> list[set[str]]:
    """Return the names that steps of sorting get where a fresh process compiles them, and one that it forks."""
    code = NAMES.format(fork=fork)
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [set(part.split()) for part in told.split("of the parent")]


def test_no_two_processes_give_a_compiled_function_one_name() -> None:
    (one,), (other,) = names_of_steps(), names_of_steps()
    assert one
    assert len(one) == len(other)
    assert not one & other


def test_a_process_and_its_fork_give_no_compiled_function_one_name() -> None:
    of_child, of_parent = names_of_steps("if child := os.fork():\n    os.waitpid(child, 0)\n    print('of the parent')")
    assert of_child
    assert len(of_child) == len(of_parent)
    assert not of_child & of_parent
