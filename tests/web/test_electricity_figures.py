"""Where the figures of energy, cost, carbon and price of electricity stand: pages, API and exports have all of them."""

import csv
import io
import re
from typing import Any

import pytest
from django.test import Client

from apps.dashboard.runs.charts import run_charts
from apps.dashboard.schedule.strips import Strip
from apps.live.exchange.exports import groups_export, metrics_export
from apps.live.exchange.streams import stream
from apps.live.terminal.reports import DOCUMENT_FIGURES
from apps.metrics.models import GroupMetric, Metric
from apps.results.models import Run
from apps.studies.views import OFFERED_FIGURES
from scheduler_sim.engine.series import KINDS
from tests.web.conftest import make_run

OF_TASKS = {"energy_joules": 7200.0, "cost_usd": 2.0, "carbon_kg": 3.0, "electricity_usd": 0.5}
IDLE = {"idle_energy_joules": 3600.0, "idle_carbon_kg": 1.0, "idle_electricity_usd": -0.25}
REST = {"over_cap_time": 4.0, "asleep_time": 6.0, "wakes": 2.0, "woken_starts": 1.0, "saved_joules": 900.0}


@pytest.fixture
def run(db: None) -> Run:
    """A run whose policies, windows and users took energy."""
    run = make_run()
    Metric.objects.filter(run=run).update(**OF_TASKS, **IDLE, **REST)
    GroupMetric.objects.filter(run=run).update(**OF_TASKS)
    totals = list(Metric.objects.filter(run=run))
    for total in totals:
        total.pk, total.is_total, total.window_end_time = None, False, 3.0
    Metric.objects.bulk_create(totals)
    return run


def rows_of(export: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(stream(export, "csv")).decode())))


def heads(page: str, part: str) -> list[str]:
    return re.findall(r"/help/metrics/#([a-z_0-9]+)\"[^>]*>[^<]*</a><br>", page[page.index(f'id="{part}"') :])


def test_figures_of_policies_and_windows_stand_on_the_page_in_the_api_and_in_exports(client: Client, run: Run) -> None:
    every = {**OF_TASKS, **IDLE, **REST}
    page = client.get(f"/runs/{run.pk}/?columns=all").content.decode()
    assert {*every} - {"wakes", "woken_starts"} <= {*heads(page, "leaderboard")}
    assert all(f'/help/metrics/#{name}"' in page for name in REST)
    rows = [
        client.get(f"/api/v1/leaderboard/?run={run.pk}").json()["results"][0],
        client.get(f"/runs/{run.pk}/leaderboard.json").json()[0],
        *client.get(f"/api/v1/metrics/?run={run.pk}").json()["results"],
        *rows_of(metrics_export(run)),
    ]
    assert len(rows) == 2 + 4 + 4
    assert all({name: float(row[name]) for name in every} == every for row in rows)
    assert set(every) <= {*DOCUMENT_FIGURES} & {*OFFERED_FIGURES}


def test_figures_of_users_stand_on_the_page_in_the_api_and_in_exports(client: Client, run: Run) -> None:
    address = f"/runs/{run.pk}/groups/"
    page = client.get(f"{address}?columns=all").content.decode()
    assert set(OF_TASKS) <= set(heads(page, "groups"))
    rows = [
        *client.get(f"{address}?format=json").json(),
        *client.get(f"/api/v1/groups/?run={run.pk}").json()["results"],
        *rows_of(groups_export(run)),
    ]
    assert len(rows) == 2 + 4 + 4
    assert all({name: float(row[name]) for name in OF_TASKS} == OF_TASKS for row in rows)


def test_columns_that_few_need_are_folded_on_the_page_of_groups(client: Client, run: Run) -> None:
    address = f"/runs/{run.pk}/groups/"
    page = client.get(address).content.decode()
    assert {*OF_TASKS} & {*heads(page, "groups")} == {"carbon_kg"}
    assert "3 more:" in page
    by_energy = client.get(f"{address}?sort=-energy_joules").content.decode()
    assert {*OF_TASKS} & {*heads(by_energy, "groups")} == {"energy_joules", "carbon_kg"}
    assert "2 more:" in by_energy
    whole = client.get(f"{address}?columns=all").content.decode()
    assert "Fewer columns" in whole
    # Who changes the policy keeps the columns, who sorts does too.
    assert '<input type="hidden" name="columns" value="all">' in whole
    assert "columns=all&amp;sort=energy_joules" in whole
    GroupMetric.objects.update(**dict.fromkeys(OF_TASKS))
    plain = client.get(f"{address}?columns=all").content.decode()
    assert not {*OF_TASKS} & {*heads(plain, "groups")}
    assert " more:" not in client.get(address).content.decode()


def test_windows_are_drawn_by_what_tasks_and_idle_devices_took_in_them(run: Run) -> None:
    totals = list(Metric.objects.leaderboard(run))
    assert not {"power", "carbon-over-time"} & set(run_charts(run, totals))
    run.configuration = {**run.configuration, "series": "gone@0123456789ab"}
    charts = run_charts(run, totals)
    # Two seconds of 10,800 J, of 4 kg, and of a quarter of a dollar.
    assert [charts["power"].series[0].y, charts["power"].y.unit] == [[5400.0], "W"]
    assert [charts["carbon-over-time"].series[0].y, charts["carbon-over-time"].y.unit] == [[7200.0], "kg/h"]
    assert charts["electricity-over-time"].series[0].y == [450.0]
    # The whole run takes five seconds.
    assert "draw 2,160 W on average under" in charts["power"].finding
    Metric.objects.filter(run=run, is_total=False).update(idle_carbon_kg=None)
    assert "carbon-over-time" not in run_charts(run, totals)


def test_units_of_series_are_written_for_people() -> None:
    assert [(name, kind.shown_unit) for name, kind in KINDS.items()] == [
        ("carbon", "g/kWh"),
        ("price", "USD/kWh"),
        ("pue", ""),
        ("temperature", "°C"),
        ("power_cap", "W"),
    ]
    titles = [
        Strip(kind, "roof", KINDS[kind].label, KINDS[kind].shown_unit, [], [], [], [], "").title
        for kind in ("temperature", "pue")
    ]
    assert titles == ["Outside temperature (°C), roof", "PUE, roof"]
