"""Settings come from the environment, and a wrong one is one plain sentence at start."""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings as site
from django.core.exceptions import ImproperlyConfigured

from scheduler_sim import environment


@pytest.mark.parametrize(("value", "meaning"), [("1", True), ("yes", True), ("ON", True), ("0", False), ("", False)])
def test_yes_or_no(monkeypatch: pytest.MonkeyPatch, value: str, meaning: bool) -> None:
    monkeypatch.setenv("X", value)
    assert environment.boolean("X", default=not meaning) is meaning


@pytest.mark.parametrize(
    ("read", "value", "sentence"),
    [
        (lambda: environment.boolean("X", default=False), "perhaps", "X must be 1 or 0"),
        (lambda: environment.integer("X", 1), "many", "X must be a whole number"),
        (lambda: environment.integer("X", 1, minimum=1), "0", "X must be at least 1"),
        (lambda: environment.one_of("X", "a", ("a", "b")), "c", "X must be one of a, b"),
        (lambda: environment.url("X", ("redis",)), "http://x", "X must start with redis://"),
        (lambda: environment.rate("X", "1/s"), "often", "X must be a rate such as 120/m"),
        (lambda: environment.rate("X", "1/s"), "0/m", "X must be a rate"),
        (lambda: environment.networks("X"), "10.0.0.0/8,here", "X must list addresses or networks"),
        (lambda: environment.networks("X"), "10.0.0.1/8", "X must list addresses or networks"),
        (lambda: environment.origins("X"), "example.org", "X must list origins"),
        (lambda: environment.origins("X"), "https://example.org/path", "X must list origins"),
        (lambda: environment.folder("X", is_made=False), "/not/mounted", "'/not/mounted' is not: make it, or mount"),
    ],
)
def test_a_wrong_value_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[], object], value: str, sentence: str
) -> None:
    monkeypatch.setenv("X", value)
    with pytest.raises(ImproperlyConfigured, match=re.escape(sentence)):
        read()


@pytest.mark.parametrize("value", ["off", "OFF"])
def test_a_rate_can_be_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("X", value)
    assert environment.rate("X", "1/s") is None


def test_a_secret_is_made_once_and_for_its_owner_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("X", raising=False)
    fallback = tmp_path / "new" / "secret"
    first = environment.secret("X", fallback)
    assert len(first) >= 50
    assert environment.secret("X", fallback) == first
    assert stat.S_IMODE(fallback.stat().st_mode) == 0o600
    monkeypatch.setenv("X", "given")
    assert environment.secret("X", fallback) == "given"


def start(code: str = "import django; django.setup()", **changes: str) -> subprocess.CompletedProcess:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=site.BASE_DIR,
        env={**kept, "DJANGO_SETTINGS_MODULE": "scheduler_sim.settings", **changes},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DATABASE_URL", "mysql://x/y", "DATABASE_URL must start with postgres:// or sqlite://."),
        ("DATABASE_URL", "nonsense", "DATABASE_URL must look like postgres://"),
        ("REDIS_URL", "http://x", "REDIS_URL must start with redis://"),
        ("DEBUG", "maybe", "DEBUG must be 1 or 0"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT must be one of json, text"),
        ("TIME_ZONE", "Mars/Olympus", "TIME_ZONE must be a time zone such as UTC"),
        ("TIME_ZONE", "../../etc/passwd", "TIME_ZONE must be a time zone such as UTC"),
        ("VAR_DIR", "/dev/null/x", "VAR_DIR must name a folder"),
        ("PROMETHEUS_MULTIPROC_DIR", "/dev/null/x", "PROMETHEUS_MULTIPROC_DIR must name a folder"),
        ("RATE_LIMIT_ACCOUNT", "10/m,often", "RATE_LIMIT_ACCOUNT must list rates such as 10/m,30/15m"),
    ],
)
def test_a_wrong_setting_stops_the_start(tmp_path: Path, name: str, value: str, sentence: str) -> None:
    done = start(**{"VAR_DIR": str(tmp_path), name: value})
    assert done.returncode != 0
    assert sentence in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.argv = ['manage.py', 'migrate']; import manage; manage.main()",
        "import scheduler_sim.asgi",
    ],
    ids=["command", "server"],
)
def test_a_wrong_setting_is_said_in_the_sentence_alone(tmp_path: Path, code: str) -> None:
    done = start(code, VAR_DIR=str(tmp_path), TIME_ZONE="Mars/Olympus")
    assert done.returncode == 1
    assert done.stderr == "TIME_ZONE must be a time zone such as UTC or Europe/Berlin, not 'Mars/Olympus'.\n"


@pytest.mark.attack
@pytest.mark.parametrize(
    ("name", "value", "warned"),
    [
        ("ALLOWED_HOSTS", "*", True),
        ("ALLOWED_HOSTS", "scheduler.example", False),
        ("TRUSTED_PROXIES", "127.0.0.1,0.0.0.0/0", True),
        ("TRUSTED_PROXIES", "::/0", True),
        ("TRUSTED_PROXIES", "10.0.0.0/8", False),
    ],
)
def test_the_check_of_a_deployment_warns_of_openness(tmp_path: Path, name: str, value: str, warned: bool) -> None:
    code = (
        "import sys; sys.argv = ['manage.py', 'check', '--deploy', '--tag', 'security']; import manage; manage.main()"
    )
    done = start(code, **{"VAR_DIR": str(tmp_path), name: value})
    assert done.returncode == 0
    assert (f"{name}=" in done.stderr and "scheduler_sim.W00" in done.stderr) is warned


def test_only_a_server_gets_a_pool(tmp_path: Path) -> None:
    code = (
        "{}from django.conf import settings; import django; django.setup();"
        "print('pool' in settings.DATABASES['default']['OPTIONS'])"
    )
    changes = {"VAR_DIR": str(tmp_path), "DATABASE_URL": "postgres://u:p@127.0.0.1:1/x"}
    assert start(code.format(""), **changes).stdout.strip() == "False"
    assert start(code.format("import scheduler_sim.asgi;"), **changes).stdout.strip() == "True"


def test_every_variable_is_documented() -> None:
    source = Path(site.BASE_DIR, "scheduler_sim", "settings.py").read_text()
    read = set(re.findall(r'environment\.\w+\(\s*"([A-Z_]+)"', source))
    documented = Path(site.BASE_DIR, "docs", "configuration.md").read_text()
    assert {name for name in read if f"`{name}`" not in documented} == set()
    assert len(read) > 20
