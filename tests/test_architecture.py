"""Imports point one way: engine <- tasks <- results <- metrics <- training <- live."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("scheduler_sim.engine", "apps.tasks", "apps.results", "apps.metrics", "apps.training", "apps.live")


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
    files = list((ROOT / layer.replace(".", "/")).rglob("*.py"))
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
