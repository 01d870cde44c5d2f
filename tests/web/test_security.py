"""What a browser is told, and what production settings are checked for."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from apps.results.models import Run

PAGES = (
    "/health",
    "/api/v1/runs/",
    "/api/schema/",
    "/api/docs/",
    "/admin/login/",
    "/accounts/login/",
    "/nothing/",
    "/static/css/api-docs.css",
)


@pytest.mark.django_db
@pytest.mark.parametrize("address", PAGES)
def test_every_answer_carries_the_headers(client: Client, address: str) -> None:
    headers = client.get(address).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["script-src"] == policy["style-src"] == policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["object-src"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] in ("same-origin", "unsafe-none")
    assert "camera=()" in headers["Permissions-Policy"]
    assert re.fullmatch("[0-9a-f]{32}", headers["X-Request-ID"])
    if not address.startswith("/static/"):
        assert headers["X-Frame-Options"] == "DENY"


# An element with an inline script or style, or an attribute that holds one.
INLINE = re.compile(
    r"<script(?![^>]*\bsrc=)(?![^>]*type=[\"']?application/json)[^>]*>|<style|\sstyle=|\son[a-z]+=[\"']|javascript:",
    re.I,
)


def test_no_page_of_admin_or_api_needs_inline_script_or_style(client: Client, admin: User, run: Run) -> None:
    client.force_login(admin)
    pages = [
        "/admin/",
        "/admin/results/run/",
        f"/admin/results/run/{run.pk}/change/",
        "/admin/results/schedulerresult/",
        "/admin/auth/user/add/",
        "/admin/live/simulationstate/",
        "/api/docs/",
        "/api/v1/runs/",
        f"/api/v1/runs/{run.pk}/",
        f"/api/v1/runs/{run.pk}/pause/",
        "/api/v1/results/?page_size=1",
    ]
    for page in pages:
        assert INLINE.findall(client.get(page, HTTP_ACCEPT="text/html").content.decode()) == [], page


def test_plain_http_is_served_unless_https_only(client: Client, db: None) -> None:
    response = client.get("/api/v1/clusters/")
    assert response.status_code == 200
    assert "Strict-Transport-Security" not in response.headers


def test_https_only_redirects_all_but_probes(client: Client, settings: Any, db: None) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    assert client.get("/api/v1/clusters/").status_code == 301
    for probe in ("/health", "/ready", "/metrics"):
        assert client.get(probe).status_code == 200
    assert "max-age" in client.get("/api/v1/clusters/", secure=True).headers["Strict-Transport-Security"]


def test_only_our_proxy_may_say_that_a_request_came_by_https(client: Client, settings: Any, db: None) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/api/v1/clusters/", HTTP_X_FORWARDED_PROTO="https").status_code == 301
    settings.TRUSTED_PROXIES = site.METRICS_ALLOWED
    assert client.get("/api/v1/clusters/", HTTP_X_FORWARDED_PROTO="https").status_code == 200


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2_3", True), ("x" * 65, False), ("a b", False), ("a\nb", False)])
def test_a_request_id_is_taken_over_when_it_is_plain(client: Client, given: str, kept: bool, db: None) -> None:
    assert (client.get("/health", HTTP_X_REQUEST_ID=given).headers["X-Request-ID"] == given) is kept


def production(*arguments: str, **changes: str) -> subprocess.CompletedProcess:
    """Run a program of this project with production settings."""
    environment = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "VAR_DIR", "DATABASE_URL")
    }
    environment |= {
        "SECRET_KEY": "Xk29-vbQ7" * 8,
        "ALLOWED_HOSTS": "scheduler.example",
        "HTTPS_ONLY": "1",
        "TRUSTED_PROXIES": "127.0.0.1",
        "CSRF_TRUSTED_ORIGINS": "https://scheduler.example",
        **changes,
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=site.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_production_settings_pass_djangos_deployment_check() -> None:
    done = production("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_the_schema_is_complete() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", file=os.devnull)


@pytest.mark.own_data
@pytest.mark.parametrize("origin", ["https://elsewhere.example", None])
def test_other_sites_may_read_only_when_they_are_named(origin: str | None) -> None:
    code = (
        "import django; django.setup();"
        "from django.test import Client;"
        "answer = Client(HTTP_HOST='scheduler.example').get('/health', secure=True, HTTP_ORIGIN='https://elsewhere.example');"
        "print(answer.headers.get('Access-Control-Allow-Origin'))"
    )
    changes = {"DJANGO_SETTINGS_MODULE": "scheduler_sim.settings"}
    if origin:
        changes["CORS_ALLOWED_ORIGINS"] = origin
    done = production("-c", code, **changes)
    assert done.stdout.split()[-1] == str(origin), done.stderr


def test_no_secret_is_committed() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=site.BASE_DIR, capture_output=True, text=True, check=False).stdout
    assert not [name for name in tracked.split() if Path(name).name in (".env", "secret_key")]
