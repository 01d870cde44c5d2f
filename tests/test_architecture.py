"""Imports point one way: engine <- tasks <- results <- metrics <- training <- live <- studies <- dashboard."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = (
    "scheduler_sim.engine",
    "scheduler_sim.columnar",
    "scheduler_sim.background",
    "scheduler_sim.web",
    "scheduler_sim.display",
    "apps.tasks",
    "apps.results",
    "apps.metrics",
    "apps.training",
    "apps.live.models",
    "apps.live.store",
    "apps.live.play",
    "apps.live.wire",
    "apps.live.terminal",
    "apps.live.exchange",
    "apps.live.api",
    "apps.studies.definition",
    "apps.studies.grid",
    "apps.studies.report",
    "apps.studies.play",
    "apps.studies.views",
    "apps.dashboard",
)


def imported_modules(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively; write the whole name"
            modules.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return modules


def belongs_to(module: str, layer: str) -> bool:
    return module == layer or module.startswith(f"{layer}.")


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_nothing_that_comes_later(layer: str) -> None:
    later = LAYERS[LAYERS.index(layer) + 1 :]
    place = ROOT / layer.replace(".", "/")
    files = list(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert files
    turned = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in imported_modules(path)
        if any(belongs_to(module, name) for name in later)
    }
    assert not turned


def test_the_engine_imports_nothing_of_django_or_the_apps() -> None:
    for path in (ROOT / "scheduler_sim/engine").rglob("*.py"):
        for module in imported_modules(path):
            assert module.split(".")[0] not in {"django", "rest_framework", "channels", "apps"}, f"{path}: {module}"


def test_importing_the_engine_never_loads_django() -> None:
    code = "import sys, scheduler_sim.engine; sys.exit(any(name.split('.')[0] == 'django' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
