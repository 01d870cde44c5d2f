"""What all tests share: the folders of traces and expected schedules beside the project, and small files."""

import functools
import gc
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.core.cache import caches
from django.core.management.commands import flush
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from scheduler_sim.background import locks
from scheduler_sim.engine.crew import cores

ROOT = Path(__file__).parent.parent

# How fast the machine is at the moment is no property of what is tested.
hypothesis_settings.register_profile(
    "any machine", hypothesis_settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("any machine")

# Fixtures that make a site of their own, on databases of their own.
OWN_SITES = {"database", "site"}


FIRST_REDIS_DATABASE, REDIS_DATABASES = 6, 10
"""Redis has 16 databases; the first few are left to the tests that name one, and each process has one of the others."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run a process more than there are cores: many tests wait, for a server of their own or for the database."""
    asked = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS")
    workers = int(asked) if asked else cores() + 1
    return min(workers, REDIS_DATABASES) if settings.REDIS_URL else workers


KEPT_TABLES = {"django_content_type", "auth_permission"}
"""Tables whose rows follow from the code."""


def _emptying(style: Any, link: Any, **options: Any) -> list[str]:
    """Return what empties the tables after a test with transactions of its own.

    Nearly all are empty already, and to truncate them and to make the rows of `KEPT_TABLES` anew takes longer than most
    tests.
    """
    quote = link.ops.quote_name
    tables = [name for name in link.introspection.django_table_names() if name not in KEPT_TABLES]
    with link.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {quote(name)})" for name in tables)
        )
        return [f"DELETE FROM {quote(name)}" for (name,) in cursor.fetchall()]


def pytest_configure(config: pytest.Config) -> None:
    """Hash passwords in a moment, and give each parallel process a Redis database of its own.

    The database of its own pytest-django gives it.
    """
    processes = config.getoption("numprocesses", None) or 0
    if settings.REDIS_URL and processes > REDIS_DATABASES:
        raise pytest.UsageError(f"On Redis the tests run in {REDIS_DATABASES} processes at most, not in {processes}.")
    # By design a good hash takes a third of a second. Sites in processes of their own keep theirs.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    vars(flush).update(sql_flush=_emptying, emit_post_migrate_signal=Mock())
    # Those that look at files of tasks and schedules make them in folders of their own.
    settings.TASK_FILES_MB = settings.SCHEDULE_FILES_MB = 0
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not (worker and settings.REDIS_URL):
        return
    address = urlsplit(settings.REDIS_URL)
    # A process that takes the place of one that died has a higher number.
    number = FIRST_REDIS_DATABASE + int(worker.removeprefix("gw")) % REDIS_DATABASES
    url = urlunsplit(address._replace(path=f"/{number}"))
    for cache in settings.CACHES.values():
        if cache.get("LOCATION") == settings.REDIS_URL:
            cache["LOCATION"] = url
    os.environ["REDIS_URL"] = settings.REDIS_URL = url
    settings.CHANNEL_LAYERS = {"default": {**settings.CHANNEL_LAYERS["default"], "CONFIG": {"hosts": [url]}}}


SLOW = (
    "attack/test_edge.py",
    "attack/test_uploads.py",
    "docs/test_documentation.py",
    "engine/test_agent.py",
    "engine/test_carbon_stops.py",
    "engine/test_causality.py",
    "engine/test_check.py",
    "engine/test_compiled_policies.py",
    "engine/test_core.py",
    "engine/test_core_reference.py",
    "engine/test_elastic_kinds.py",
    "engine/test_examples.py",
    "engine/test_failures.py",
    "engine/test_feedback.py",
    "engine/test_forecast_recorded.py",
    "engine/test_fragmentation.py",
    "engine/test_frequencies.py",
    "engine/test_gym.py",
    "engine/test_gym_choices.py",
    "engine/test_instant.py",
    "engine/test_instant_carbon.py",
    "engine/test_instant_elsewhere.py",
    "engine/test_jit.py",
    "engine/test_kept_reservations.py",
    "engine/test_learned_choices.py",
    "engine/test_learning_models.py",
    "engine/test_learning_scores.py",
    "engine/test_library.py",
    "engine/test_library_play.py",
    "engine/test_node_classes.py",
    "engine/test_nodes_invariants.py",
    "engine/test_nodes_pool.py",
    "engine/test_nodes_reference.py",
    "engine/test_oracles.py",
    "engine/test_pool_reference.py",
    "engine/test_power_reference.py",
    "engine/test_power_stopping.py",
    "engine/test_prediction.py",
    "engine/test_preemption_oracles.py",
    "engine/test_preemptive_theory.py",
    "engine/test_program_policies.py",
    "engine/test_purchase.py",
    "engine/test_queueing_theory.py",
    "engine/test_racks.py",
    "engine/test_reproduction.py",
    "engine/test_rounds.py",
    "engine/test_rounds_reference.py",
    "engine/test_single_node.py",
    "engine/test_site_case.py",
    "engine/test_site_kernel.py",
    "engine/test_site_limits.py",
    "engine/test_site_plans.py",
    "engine/test_site_reference.py",
    "engine/test_site_replay.py",
    "engine/test_site_spans.py",
    "engine/test_slurm_rules.py",
    "engine/test_statistics.py",
    "engine/test_stopping_reference.py",
    "engine/test_traces_packed.py",
    "live/test_beginnings.py",
    "live/test_cautions.py",
    "live/test_cores.py",
    "live/test_crash.py",
    "live/test_dependency_data.py",
    "live/test_elastic_runs.py",
    "live/test_fidelity.py",
    "live/test_filed_faults.py",
    "live/test_filed_runs.py",
    "live/test_gangs_stored.py",
    "live/test_groups_end_to_end.py",
    "live/test_instants.py",
    "live/test_integrity.py",
    "live/test_interruptions.py",
    "live/test_jobs_end_to_end.py",
    "live/test_learned_end_to_end.py",
    "live/test_migrate.py",
    "live/test_policy_files.py",
    "live/test_recheck.py",
    "live/test_refill.py",
    "live/test_site_runs.py",
    "live/test_what_if.py",
    "studies/test_closed_loop.py",
    "studies/test_paper.py",
    "studies/test_published.py",
    "studies/test_studies.py",
    "studies/test_studies_workers.py",
    "studies/test_study_carbon.py",
    "studies/test_study_sites.py",
    "tasks/test_task_files.py",
    "training/test_training.py",
    "web/test_admin.py",
    "web/test_lesson_pages.py",
    "web/test_permission_matrix.py",
    "web/test_permission_pages.py",
    "web/test_prometheus.py",
    "web/test_purchase_pages.py",
    "web/test_schema.py",
    "web/test_security.py",
    "web/test_settings.py",
)
"""Files that compare with slow reference simulators, start or kill processes, ask every address or every instant, or
play and store runs where others of their package play and store plainer ones."""


WITHOUT_DATABASE = (
    "docs/test_documentation.py",
    "test_architecture.py",
    "web/test_settings.py",
    "web/test_templates.py",
)
"""Files outside of the engine's folder that ask no database for anything."""


@functools.cache
def _named(path: Path) -> str:
    """Return a path as `SLOW` names it, or as it is where it does not lie among the tests."""
    folder = ROOT / "tests"
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected, nor among what is there then: nearly all of it stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Read no files of which the selection wants nothing: in every process that takes longer than most tests do."""
    file = _named(collection_path)
    left_out = set(config.getoption("markexpr").split(" and "))
    if "not slow" in left_out and file in SLOW:
        return True
    if "not own_data" in left_out and (file == "engine" or file in WITHOUT_DATABASE):
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they need.

    `own_data` show the same on any database: those of the engine, those of `WITHOUT_DATABASE`, and those
    that make their own site. `slow` are left out of the quick selection: those of `SLOW`, and those that start a server
    of their own.
    """
    for item in items:
        assert isinstance(item, pytest.Function)
        own_site = OWN_SITES & set(item.fixturenames)
        file = _named(item.path)
        if own_site or file in SLOW:
            item.add_marker(pytest.mark.slow)
        if file.startswith("engine/") or file in WITHOUT_DATABASE or own_site:
            item.add_marker(pytest.mark.own_data)


def empty_caches() -> None:
    """Forget all that is kept: what one test leaves behind another would take for its own."""
    from apps.dashboard.schedule import placements

    for cache in caches.all():
        cache.clear()
    placements._kept.clear()


def shared_folder(kind: str) -> Path:
    """Return `traces`, `oracles`, `slurm` or `cases` below `TRACES_DIR` (default: `../shared` beside the project).

    A test that needs it is skipped where it is absent, and fails instead when REQUIRE_TRACES=1.
    """
    folder = Path(os.environ.get("TRACES_DIR", ROOT.parent / "shared")) / kind
    if not folder.is_dir():
        reason = f"The folder {kind} is not beside the project; TRACES_DIR can name its parent."
        if os.environ.get("REQUIRE_TRACES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def _paths(folder: str, words: str) -> Any:
    """Return the fixture that gives the path of a file of one of the shared folders by its name."""

    def paths() -> Callable[[str], Path]:
        return lambda name: shared_folder(folder) / name

    paths.__doc__ = f"Give the path of {words} by its file name."
    return pytest.fixture(paths)


trace_path = _paths("traces", "a real trace")
oracle_path = _paths("oracles", "an expected schedule")
slurm_path = _paths("slurm", "a file of a recorded Slurm cluster")
case_path = _paths("cases", "a small input that was once read wrongly")


@pytest.fixture(autouse=True)
def locks_end_with_the_test() -> Iterator[None]:
    """Free what a test has claimed as a process that lives: the locks' session would keep the database from going."""
    yield
    locks.free_all()


@pytest.fixture
def data_path() -> Callable[[str], Path]:
    """Give the path of a small file written for the tests."""
    return lambda name: ROOT / "tests" / "data" / name


@pytest.fixture
def alice() -> Any:
    """Give somebody who may control runs."""
    from django.contrib.auth.models import Permission, User

    user = User.objects.create_user("alice")
    user.user_permissions.add(Permission.objects.get(codename="control_run"))
    return user


@pytest.fixture
def api(alice: Any) -> Any:
    """Give a client of the API as which alice asks."""
    from rest_framework.test import APIClient

    client = APIClient()
    client.force_authenticate(alice)
    return client


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    tmp_path_factory: pytest.TempPathFactory, django_db_modify_db_settings_parallel_suffix: None
) -> None:
    """Keep SQLite's test database in a file: threads cannot share one in memory as they share the real one."""
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
