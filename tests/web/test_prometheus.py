"""What Prometheus reads: our own figures, other processes' included."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings as site
from django.db import DatabaseError
from django.test import Client
from prometheus_client import REGISTRY

from apps.live.models import SimulationState
from apps.metrics import prometheus
from apps.metrics.prometheus import DatabaseCollector
from apps.results.models import Run
from tests.web.conftest import make_run

pytestmark = pytest.mark.django_db


def figures(client: Client) -> dict[str, float]:
    text = client.get("/metrics").content.decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_runs_and_rows_are_read_from_the_database(client: Client, run: Run) -> None:
    under_way = make_run(4, name="under way", status=Run.Status.RUNNING, rows_written=0, rows_expected=8)
    under_way.metrics.all().delete()
    SimulationState.objects.filter(run=under_way).update(progress={"fcfs": 3, "sjf+easy": 2})
    seen = figures(client)
    assert seen["scheduler_sim_database_up"] == 1
    assert seen['scheduler_sim_runs{status="finished"}'] == 1
    assert seen['scheduler_sim_runs{status="running"}'] == 1
    assert seen['scheduler_sim_runs{status="failed"}'] == 0
    assert seen["scheduler_sim_rows_written"] == 10 + 5
    assert seen["scheduler_sim_tasks_simulated"] == 10 + 5
    assert seen["scheduler_sim_rows_outstanding"] == 3
    assert seen["scheduler_sim_workloads"] == 2
    assert seen["scheduler_sim_tasks"] == 9


def test_the_page_costs_a_constant_number_of_queries(
    client: Client, run: Run, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        make_run(1, name=f"run {number}")
    with django_assert_max_num_queries(5):
        client.get("/metrics")


def test_requests_queries_and_our_own_events_are_counted(client: Client, run: Run) -> None:
    before = figures(client)
    client.get("/api/v1/runs/")
    prometheus.MESSAGES_SENT.inc(3)
    prometheus.MESSAGES_DROPPED.inc()
    prometheus.WRITE_SECONDS.observe(0.02)
    prometheus.RETRAIN_SECONDS.labels("lightgbm").observe(1.5)
    after = figures(client)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    view = (
        'django_http_requests_total_by_view_transport_method_total{method="GET",transport="http",view="api:run-list"}'
    )
    assert grown(view) == 1
    assert grown("scheduler_sim_messages_sent_total") == 3
    assert grown("scheduler_sim_messages_dropped_total") == 1
    assert grown('scheduler_sim_write_seconds_bucket{le="0.03"}') == 1
    assert grown('scheduler_sim_retrain_seconds_count{kind="lightgbm"}') == 1
    assert any(name.startswith("django_db_execute_total") for name in after)


def test_looks_into_the_cache_are_counted_by_outcome(client: Client, run: Run) -> None:
    before = figures(client)
    for _ in range(3):
        client.get("/api/v1/leaderboard/")
    after = figures(client)
    for outcome, count in (("miss", 1), ("hit", 2)):
        name = f'scheduler_sim_cache_requests_total{{kind="leaderboard",outcome="{outcome}"}}'
        assert after[name] - before.get(name, 0) == count


def test_without_the_database_the_page_still_answers_and_says_so(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DatabaseError

    monkeypatch.setattr(Run.objects.__class__, "order_by", fail, raising=False)
    seen = figures(client)
    assert seen["scheduler_sim_database_up"] == 0
    assert "scheduler_sim_rows_written" not in seen


@pytest.mark.own_data
@pytest.mark.slow
def test_what_several_processes_count_is_added_up(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "VAR_DIR": str(tmp_path / "var")}
    environment["DATABASE_URL"] = f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    environment["DJANGO_SETTINGS_MODULE"] = "scheduler_sim.settings"
    count = (
        "import django; django.setup()\n"
        "from apps.metrics import prometheus as p\n"
        "p.MESSAGES_SENT.inc(2); p.WRITE_SECONDS.observe(0.5); p.WEBSOCKET_CONNECTIONS.inc()\n"
    )
    show = "from django.test import Client\nprint(Client(HTTP_HOST='localhost').get('/metrics').content.decode())\n"

    def python(code: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code], cwd=site.BASE_DIR, env=environment, capture_output=True, text=True, check=True
        ).stdout

    for _ in range(2):
        python(count)
    for ended in (2, 3):  # The process that shows has counted too, and is among the ended at the second look.
        lines = python(count + show).splitlines()
        assert f"scheduler_sim_messages_sent_total {2 * (ended + 1)}.0" in lines
        assert f"scheduler_sim_write_seconds_count {ended + 1}.0" in lines
        assert f'scheduler_sim_write_seconds_bucket{{le="1.0"}} {ended + 1}.0' in lines
        # One file for all that ended, one for the process that answered.
        assert len(list(tmp_path.glob("counter_*.db"))) == len(list(tmp_path.glob("histogram_*.db"))) == 2
    # The other processes have ended, and their connections with them.
    assert "scheduler_sim_websocket_connections 1.0" in lines
    assert "scheduler_sim_database_up 0.0" in lines


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    dashboard = (site.BASE_DIR / "docs" / "operations" / "grafana.json").read_text()
    asked = set(re.findall(r"\b(?:scheduler_sim|django)_[a-z_]+", dashboard))
    families = [*DatabaseCollector().collect(), *REGISTRY.collect()]
    known = {family.name + ending for family in families for ending in ("", "_total", "_bucket")}
    assert len(asked) > 10
    assert asked - known == set()


def test_the_settings_of_production_let_prometheus_ask_where_it_is_told_to(client: Client, settings: Any) -> None:
    operations = site.BASE_DIR / "docs" / "operations"
    (allowed,) = re.findall(r"^ALLOWED_HOSTS=(.*)$", (operations / "scheduler-sim.env").read_text(), re.MULTILINE)
    jobs = yaml.safe_load((operations / "prometheus.yml").read_text())["scrape_configs"]
    settings.ALLOWED_HOSTS = allowed.split(",")
    for target in jobs[0]["static_configs"][0]["targets"]:
        for page in ("/metrics", "/health", "/ready"):
            assert client.get(page, HTTP_HOST=target).status_code == 200
