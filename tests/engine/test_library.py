"""The engine as a library: what `pip install .` brings, and that it plays without anything else."""

import email
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "requirements", "scheduler_sim")

PLAY = """
import sys
from importlib.abc import MetaPathFinder

class OnlyTheEnginesPackages(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

FORBIDDEN = set(sys.argv[1:])
sys.meta_path.insert(0, OnlyTheEnginesPackages())
import importlib, pkgutil
from scheduler_sim import engine as sim
from scheduler_sim.engine.generators import generate_workload
from scheduler_sim.engine.measuring.metrics import summarise, whole_run
from scheduler_sim.engine.predictors.regression import fit
from scheduler_sim.engine.clusters.presets import load_cluster
for module in pkgutil.walk_packages(sim.__path__, "scheduler_sim.engine."):
    if not module.name.endswith(".gym"):
        importlib.import_module(module.name)
for model, cluster, policy in (("lublin", "hpc-256", "linear+easy"), ("mixed", "workstation", "sjf+list@hybrid_ml")):
    workload = generate_workload(model, tasks=50, seed=1).workload
    simulation = sim.Simulation(workload, load_cluster(cluster), sim.parse_policy(policy))
    simulation.advance()
    row = summarise(simulation, edges=__import__("numpy").array(whole_run(workload, [simulation.outcome()]))).row()
    print(policy, row["finished_count"])
try:
    fit("lightgbm", workload.hybrid[:, None] * 1.0, workload.runtime, seed=1)
except ImportError as error:
    print(error)
print(sim.__file__)
"""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_names(lines: list[str] | None) -> set[str]:
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines or () if "extra ==" not in line)
    return {normal(name[0]) for name in names if name}


def with_their_own(names: set[str]) -> set[str]:
    """Return distributions and everything that they require in turn."""
    found: set[str] = set()
    left = set(names)
    while left:
        name = left.pop()
        found.add(name)
        try:
            left |= requirement_names(metadata.requires(name)) - found
        except metadata.PackageNotFoundError:
            continue
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources and unpack it."""
    source, place = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        source,
        source,
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with zipfile.ZipFile(next(source.glob("*.whl"))) as built:
        built.extractall(place)
    return place


def test_the_wheel_holds_the_engine_whole_and_nothing_of_the_site(installed: Path) -> None:
    engine = ROOT / "scheduler_sim/engine"
    wanted = {
        path.relative_to(ROOT) for path in engine.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    held = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    assert {path for path in held if not path.parts[0].endswith(".dist-info")} == wanted


def test_the_extras_read_the_files_that_the_site_is_installed_from(installed: Path) -> None:
    document = email.message_from_string(next(installed.glob("*.dist-info/METADATA")).read_text())
    stated = document.get_all("Requires-Dist", [])
    for extra, files in (
        ("", ("engine", "library")),
        ("learn", ("learn",)),
        ("notebook", ("notebook",)),
        ("site", ("learn", "site")),
    ):
        text = "\n".join((ROOT / f"requirements/{name}.txt").read_text() for name in files)
        pinned = {line for line in text.splitlines() if line and not line.startswith("#")}
        ending = f' extra == "{extra}"'
        of_extra = {
            line.partition(";")[0] for line in stated if (line.endswith(ending) if extra else "extra ==" not in line)
        }
        assert of_extra == pinned
    lines = [line for name in ("", "-dev") for line in (ROOT / f"requirements{name}.txt").read_text().splitlines()]
    listed = {line.split("/")[1] for line in lines if line.startswith("-r requirements/")}
    assert listed == {path.name for path in (ROOT / "requirements").iterdir()}


def test_the_library_plays_a_workload_with_none_of_the_sites_packages(installed: Path, tmp_path: Path) -> None:
    document = email.message_from_string(next(installed.glob("*.dist-info/METADATA")).read_text())
    allowed = with_their_own(requirement_names(document.get_all("Requires-Dist")))
    forbidden = [
        module for module, owners in metadata.packages_distributions().items() if not {*map(normal, owners)} & allowed
    ]
    assert {"django", "lightgbm", "sklearn"} <= set(forbidden)
    # Without compiling it is quick, and what is imported is the same.
    variables = {**os.environ, "PYTHONPATH": str(installed), "NUMBA_DISABLE_JIT": "1"}
    told = subprocess.run(
        [sys.executable, "-c", PLAY, *forbidden],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == [
        "linear+easy 50",
        "sjf+list@hybrid_ml 50",
        "This needs the package lightgbm: pip install 'scheduler-sim[learn]'.",
        str(installed / "scheduler_sim/engine/__init__.py"),
    ]
