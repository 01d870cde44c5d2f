"""Sites with real sockets, shared by the live tests of one session."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.live_site import Redis, Site


def need_redis() -> None:
    if shutil.which("redis-server"):
        return
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail("REQUIRE_SERVICES=1, but there is no redis-server to start.")
    pytest.skip("There is no redis-server to start.")


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    need_redis()
    server = Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables and one workload that takes a second or two to simulate and store."""
    folder = tmp_path_factory.mktemp("database")
    site = Site(folder)
    site.manage("generateworkload", "lublin", "--tasks", "15000", "--seed", "1", "--name", "large", "--verbosity", "0")
    site.manage("generateworkload", "lublin", "--tasks", "300", "--seed", "1", "--name", "small", "--verbosity", "0")
    site.close()
    return folder / "site.sqlite3"


@pytest.fixture(scope="session")
def embedded_site(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("embedded"), database=database)
    yield site
    site.close()


@pytest.fixture(scope="session")
def redis_site(tmp_path_factory: pytest.TempPathFactory, database: Path, redis: Redis) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("redis_site"), database=database, redis_url=redis.url)
    yield site
    site.close()


@pytest.fixture(params=["embedded", "redis"])
def site(request: pytest.FixtureRequest) -> Site:
    """A site without and with Redis."""
    chosen: Site = request.getfixturevalue(f"{request.param}_site")
    return chosen


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for a run that no other test uses."""
    return str(request.node.name)[:190]
