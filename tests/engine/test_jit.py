"""Compiled code on disk, which any process may have made and any may read."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import pytest
from numba.core.caching import Cache

from scheduler_sim.engine import indexes, jit, sources, units
from scheduler_sim.engine.kernels.site import state

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


@cache
def names_of_steps(fork: str = "") -> list[set[str]]:
    """Return the names that steps of sorting get where a fresh process compiles them, and one that it forks first."""
    code = NAMES.format(fork=fork)
    quickly = os.environ | {"NUMBA_OPT": "0"}
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, cwd=ROOT, env=quickly, check=True, capture_output=True, text=True).stdout
    return [set(part.split()) for part in told.split("of the parent")]


FORK = "if child := os.fork():\n    os.waitpid(child, 0)\n    print('of the parent')"


def test_no_two_processes_give_a_compiled_function_one_name() -> None:
    (one,), (_, other) = names_of_steps(), names_of_steps(FORK)
    assert one
    assert len(one) == len(other)
    assert not one & other


def test_a_process_and_its_fork_give_no_compiled_function_one_name() -> None:
    of_child, of_parent = names_of_steps(FORK)
    assert of_child
    assert len(of_child) == len(of_parent)
    assert not of_child & of_parent


PARTS = {
    "limit": "def limit():\n    return {limit}\n",
    "step": """
from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.limit import limit

LIMIT = limit()

@bare_kernel
def step(value):
    return min(value + {step}, LIMIT)
""",
    "apart": """
from scheduler_sim.engine.jit import kernel

@kernel
def apart(value):
    return value
""",
    "walk": """
from scheduler_sim.engine.apart import apart
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.step import step

import sys

@kernel
def walk(value):
    return step(step(value)) + {added}

if __name__ != "__main__":
    found = apart(1), walk(1)
    print(found[1], *(len(one.stats.cache_hits) for one in (apart, walk)), "numba.np.linalg" in sys.modules)
""",
}


def walked(folder: Path, *, step: int, limit: int, added: int = 0) -> str:
    """Return what a fresh process works out with the compiled parts.

    Then come how many were read from disk, of apart and of walk, and whether Numba got ready to compile.
    """
    for name, text in PARTS.items():
        (folder / f"scheduler_sim/engine/{name}.py").write_text(text.format(step=step, limit=limit, added=added))
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", "import scheduler_sim.engine.walk"]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def test_only_what_an_edit_touches_is_compiled_anew(tmp_path: Path) -> None:
    engine = tmp_path / "scheduler_sim" / "engine"
    shutil.copytree(ROOT / "scheduler_sim" / "engine", engine, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "scheduler_sim" / "__init__.py").touch()
    assert walked(tmp_path, step=2, limit=9).split() == ["5", "0", "0", "True"]
    assert walked(tmp_path, step=2, limit=9).split() == ["5", "1", "1", "False"]
    # The step itself is read from disk, and linked into other code.
    assert walked(tmp_path, step=2, limit=9, added=4).split() == ["9", "1", "0", "True"]
    # The step is called by another module's function; the limit is a constant that code of a third has worked out.
    assert walked(tmp_path, step=3, limit=9).split() == ["7", "1", "0", "True"]
    assert walked(tmp_path, step=3, limit=6).split() == ["6", "1", "0", "True"]
    assert walked(tmp_path, step=2, limit=9).split() == ["5", "1", "1", "False"]


def test_code_for_other_arguments_is_never_taken_for_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes compile a function for different arguments, and neither sees in the index what the other does."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    file = ROOT / "scheduler_sim" / "engine" / "units.py"
    names = {"__name__": "scheduler_sim.engine.units"}
    exec(compile("def half(value):\n    return value / 2", file, "exec"), names)
    first, second, third = (cast("Any", jit.kernel(cast("Callable[..., Any]", names["half"]))) for _ in range(3))
    assert first(3) == 1.5
    monkeypatch.setattr(second._cache._cache_file, "_load_index", dict)
    assert second(3.0) == 1.5
    assert first._cache._cache_file._data_name(1) != second._cache._cache_file._data_name(1)
    (tmp_path / first._cache.cache_path / second._cache._cache_file._data_name(1)).stat()
    assert third(3.0) == 1.5
    assert third(3) == 1.5
    assert sum(third.stats.cache_hits.values()) == 1


def test_code_that_was_kept_with_its_types_in_words_is_read_as_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numba writes them, as this engine did; they are left out now."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    names: dict[str, Any] = {"__name__": units.__name__}
    exec(compile("def half(value):\n    return value / 2", str(units.__file__), "exec"), names)
    first, second, third = (cast("Any", jit.kernel(names["half"])) for _ in range(3))
    assert first(3) == 1.5
    monkeypatch.setattr(type(second._cache), "save_overload", Cache.save_overload)
    assert second(3.0) == 1.5
    assert (third(3), third(3.0)) == (1.5, 1.5)
    assert sum(third.stats.cache_hits.values()) == 2
    assert [bool(one.type_annotation) for one in third.overloads.values()] == [False, True]


def test_kernels_of_sites_take_an_index_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    read = {}
    for module in (units, state):
        names: dict[str, Any] = {"__name__": module.__name__}
        exec(compile("def read(values, at):\n    return values[at]", str(module.__file__), "exec"), names)
        read[module] = jit.kernel(names["read"])
    behind_the_first = np.arange(3.0)[1:]
    assert (read[units](behind_the_first, -1), read[state](behind_the_first, -1)) == (2.0, 0.0)
    # An edit of how they do that counts for them alone.
    assert [indexes.are_never_negative(module.__name__) for module in (units, state)] == [False, True]
    assert sources._taught(True).startswith(sources._taught(False))
    assert sources._taught(True) != sources._taught(False)


def test_an_edit_after_loading_does_not_count_as_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server goes on with the code that it has loaded, whatever lies on disk when it first calls a kernel."""
    file = tmp_path / "limits.py"
    name = "scheduler_sim.engine.limits"
    loaded = ModuleType(name)
    loaded.__file__ = str(file)
    monkeypatch.setitem(sys.modules, name, loaded)
    file.write_text("LIMIT = 3")
    sources.remember(name)
    file.write_text("LIMIT = 4")
    digest = sources.digest(name)
    sources._source.cache_clear()
    assert sources.digest(name) != digest
    file.write_text("LIMIT = 3")
    sources._source.cache_clear()
    assert sources.digest(name) == digest


def test_what_teaches_numba_counts_for_every_kernel() -> None:
    engine = ROOT / "scheduler_sim" / "engine"
    taught = {path: path.read_text() for path in engine.rglob("*.py")}
    # An intrinsic counts, as a compiled function does, for those that have it at hand.
    teaching = {
        path
        for path, text in taught.items()
        if "from numba.extending" in text and "from numba.extending import intrinsic\n" not in text
    }
    assert teaching <= {engine.joinpath(*name.split(".")).with_suffix(".py") for name in sources.EVERYWHERE}


@pytest.mark.parametrize(
    ("module", "counted"),
    [
        pytest.param("cluster.loop", "structures.prefetch", id="an intrinsic"),
        # What its fields hold, records among them, stands in the module of a named tuple alone.
        pytest.param("site.hold", "site.state", id="a named tuple"),
        pytest.param("site.hold", "structures.gang_buffer", id="a record that a named tuple's module lays out"),
    ],
)
def test_what_a_kernel_has_at_hand_counts(module: str, counted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, counts = (f"scheduler_sim.engine.kernels.{one}" for one in (module, counted))
    importlib.import_module(name)
    before = sources.digest(name)
    parts = sources._whole_part

    def edited(name: str) -> object:
        return parts(name)._replace(hash="edited") if name == counts else parts(name)

    monkeypatch.setattr(sources, "_whole_part", edited)
    assert sources.digest(name) != before
