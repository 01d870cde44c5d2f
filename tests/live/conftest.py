"""Sites with real sockets, shared by the live tests of one session."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.files import made_once
from tests.live.live_site import Redis, Site, environment_of, manage


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

    def make(folder: Path) -> None:
        lublin = "generateworkload lublin --seed 1 --verbosity 0"
        manage(
            environment_of(folder),
            "migrate --verbosity 0",
            f"{lublin} --tasks 15000 --name large",
            f"{lublin} --tasks 300 --name small",
        )

    return made_once(tmp_path_factory, "live_database", make) / "site.sqlite3"


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
