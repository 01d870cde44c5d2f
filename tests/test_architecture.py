"""Imports point one way: engine <- tasks <- results <- metrics <- training <- live <- studies <- dashboard."""

import ast
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

ENGINE = (
    (
        "errors",
        "finite",
        "part_sources",
        "version",
        "codes",
        "compiling",
        "units",
        "clock",
        "indexes",
        "jit",
        "kernel_files",
        "linked",
        "inlined",
        "sources",
        "optional",
        "pairs",
        "storable",
    ),
    ("sharing", "crew"),
    ("lines", "packed", "workloads", "series"),
    ("clusters",),
    ("contract",),
    ("gangs", "elasticity", "formulas"),
    ("numerics",),
    ("generators", "traces", "whatif", "sampling", "series.reading"),
    ("sites",),
    ("predictors",),
    ("policies",),
    ("plain_rules", "references"),
    ("power_cap", "stepped"),
    ("problem", "kernels.base", "kernels.attempts", "kernels.calling", "kernels.records", "kernels.structures"),
    (
        "kernels.pool",
        "kernels.choices",
        "kernels.node",
        "kernels.cluster",
        "kernels.core",
        "kernels.stopping",
        "kernels.site",
        "kernels.rounds",
        "kernels.elastic",
        "kernels.decided",
        "kernels.predicting",
        "kernels.feedback",
    ),
    ("kernels",),
    ("prediction", "simulation"),
    ("stored_schedule", "measuring", "instant", "forecasting"),
    ("answers",),
    ("learning",),
    ("gym", "library", "check"),
)
"""The rooms of the engine, row above row: a room imports those of its own row and of the rows before it."""

APPS = (
    *(f"scheduler_sim.{room}" for room in ("columnar", "web", "display", "accounts", "background")),
    *(f"apps.{room}" for room in ("tasks", "results", "metrics", "training")),
    "apps.live.models",
    "apps.live.store",
    "apps.live.play",
    "apps.live.instants",
    "apps.live.checking",
    "apps.live.wire",
    "apps.live.terminal",
    "apps.live.exchange",
    "apps.live.form_fields",
    "apps.live.request",
    "apps.live.what_if",
    "apps.live.jobs",
    "apps.live.instants_api",
    "apps.live.api",
    "apps.studies.sources",
    "apps.studies.definition",
    "apps.studies.grid",
    "apps.studies.report",
    "apps.studies.paper",
    "apps.studies.play",
    "apps.studies.purchase",
    "apps.studies.views",
    "apps.dashboard",
)
"""The rooms of the site in the same way, one a row; all of them stand on the engine."""

ROWS = (
    *(tuple(f"scheduler_sim.engine.{room}" for room in row) for row in ENGINE),
    ("scheduler_sim.engine",),
    *((room,) for room in APPS),
)
ROW_OF = {room: number for number, row in enumerate(ROWS) for room in row}


@cache
def sources() -> dict[str, Path]:
    """Return every module of the project by name."""
    found = {}
    for top in ("scheduler_sim", "apps"):
        for path in (ROOT / top).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imported_names(path: Path) -> frozenset[str]:
    """Return what a file imports anywhere: at the top, inside functions, for type checking only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write the whole name"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def imports(module: str) -> set[str]:
    """Return the modules of the project that `module` imports."""
    found = {nearest(name, sources()) for name in imported_names(sources()[module])}
    return found - {module, ""}


def nearest(name: str, known: dict[str, Path] | dict[str, int]) -> str:
    """Return the longest beginning of a dotted name that is known, empty for none."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def turned(modules: Iterator[str]) -> set[str]:
    """Return the imports that point from a room to a later row."""
    return {
        f"{module} imports {other}"
        for module in modules
        if (room := nearest(module, ROW_OF))
        for other in imports(module)
        if (target := nearest(other, ROW_OF)) and ROW_OF[target] > ROW_OF[room]
    }


def circle(modules: list[str]) -> list[str]:
    """Return modules that import each other in a circle, empty for none."""
    chosen = set(modules)
    try:
        TopologicalSorter({module: imports(module) & chosen for module in modules}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("room", ROW_OF)
def test_every_room_stands_where_it_is_listed(room: str) -> None:
    assert nearest(room, sources()) == room or (ROOT / room.replace(".", "/")).is_dir()


def test_the_picture_names_every_room() -> None:
    picture = (ROOT / "docs" / "rooms.svg").read_text()
    folders = ("apps", "apps/live", "scheduler_sim", "scheduler_sim/engine")
    rooms = {path.parent.name for folder in folders for path in (ROOT / folder).glob("*/__init__.py")}
    names = re.findall(r'class="name"[^>]*>([^<]*)', picture)
    # A title names a floor, and then says what it is.
    floors = re.findall(r'class="title"[^>]*>([\w.]+):', picture)
    named = set(re.findall(r"\w+", " ".join([*names, *floors])))
    assert rooms - {"management", "migrations", "templatetags"} - named == set()


def test_a_room_imports_nothing_of_a_later_row() -> None:
    assert not turned(iter(sources()))


def test_every_module_of_the_engine_is_in_a_room() -> None:
    engine = "scheduler_sim.engine"
    homeless = [name for name in sources() if name.startswith(f"{engine}.") and nearest(name, ROW_OF) == engine]
    assert not homeless


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert not circle(list(sources()))


def test_no_rooms_of_the_engine_import_each_other_in_a_circle() -> None:
    rooms = [room for room in ROW_OF if room.startswith("scheduler_sim.engine")]
    graph: dict[str, set[str]] = {room: set() for room in rooms}
    for module in sources():
        room = nearest(module, ROW_OF)
        if room in graph:
            graph[room] |= {nearest(other, ROW_OF) for other in imports(module)} & graph.keys() - {room}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("kernel", ["pool", "node", "cluster"])
def test_a_kernel_knows_nothing_of_the_other_kernels(kernel: str) -> None:
    others = {f"scheduler_sim.engine.kernels.{name}" for name in ("pool", "node", "cluster")}
    own = f"scheduler_sim.engine.kernels.{kernel}"
    for module in (name for name in sources() if name.startswith(own)):
        assert not {nearest(other, ROW_OF) for other in imports(module)} & (others - {own}), module


def test_a_circle_and_a_turned_import_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation, formulas = "scheduler_sim.engine.simulation", "scheduler_sim.engine.formulas"
    real = imports
    monkeypatch.setitem(globals(), "imports", lambda name: real(name) | ({simulation} if name == formulas else set()))
    assert {simulation, formulas} <= set(circle(list(sources())))
    assert turned(iter(sources())) == {f"{formulas} imports {simulation}"}


def test_a_code_is_named_in_one_place_only() -> None:
    codes = set(constants(sources()["scheduler_sim.engine.codes"]))
    again = {
        f"{module}.{name}"
        for module, path in sources().items()
        if module.startswith("scheduler_sim.engine") and module != "scheduler_sim.engine.codes"
        for name in constants(path)
        if name in codes
    }
    assert not again


def constants(path: Path) -> Iterator[str]:
    """Yield the names in capitals that a file assigns at its top."""
    for node in ast.parse(path.read_text()).body:
        for target in node.targets if isinstance(node, ast.Assign) else ():
            for element in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(element, ast.Name) and element.id.isupper():
                    yield element.id


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("benchmarks/*.py")) + sorted(ROOT.glob("scripts/*.py")), ids=lambda file: file.stem
)
def test_what_nothing_else_runs_imports_names_that_exist(file: Path) -> None:
    for name in imported_names(file):
        if name.split(".")[0] in ("scheduler_sim", "apps"):
            pkgutil.resolve_name(name)


def test_the_engine_imports_nothing_of_django_or_the_apps() -> None:
    for module, path in sources().items():
        if module.startswith("scheduler_sim.engine"):
            tops = {name.split(".")[0] for name in imported_names(path)}
            assert not tops & {"django", "rest_framework", "channels", "celery", "apps"}, module


def test_importing_the_engine_never_loads_django() -> None:
    code = "import sys, scheduler_sim.engine; sys.exit(any(name.split('.')[0] == 'django' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("code", "left_out"),
    [
        pytest.param("", "numba", id="a command that plays nothing"),
        pytest.param(
            "from scheduler_sim.background import kinds; assert list(kinds.every())",
            "numba scipy apps.live.play.runner apps.tasks.uploads",
            id="a sweep that finds nothing",
        ),
        pytest.param(
            "import apps.live.management.commands.runsimulation",
            "scipy.stats scipy.optimize pyarrow matplotlib lightgbm",
            id="a run as most are",
        ),
    ],
)
def test_nothing_is_loaded_that_is_not_needed_for(code: str, left_out: str) -> None:
    program = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'scheduler_sim.settings'; django.setup();"
        f"{code or 'pass'}; print(*{set(left_out.split())} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert found.stdout.split() == []
