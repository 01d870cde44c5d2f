"""Every metric of our own, and the page that Prometheus reads.

Counts that other processes make (a run is played in a process of its own) are read from the database when the page
is asked for; the rest is counted where it happens. With PROMETHEUS_MULTIPROC_DIR set, what several processes count
is added up, the runners' included.
"""

import hmac
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from apps.metrics.models import Metric
from apps.metrics.process_files import tidied
from apps.results.models import Run
from apps.tasks.models import Workload
from scheduler_sim.background.models import Job
from scheduler_sim.web.middleware import in_networks

WEBSOCKET_CONNECTIONS = Gauge(
    "scheduler_sim_websocket_connections", "Open WebSocket connections.", multiprocess_mode="livesum"
)
MESSAGES_SENT = Counter("scheduler_sim_messages_sent_total", "Live messages handed to clients.")
MESSAGES_DROPPED = Counter(
    "scheduler_sim_messages_dropped_total", "Live messages replaced by a newer one before the client took them."
)
WRITE_SECONDS = Histogram(
    "scheduler_sim_write_seconds",
    "Time to store one batch of results.",
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
RETRAIN_SECONDS = Histogram(
    "scheduler_sim_retrain_seconds", "Time to train a model.", ["kind"], buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300)
)
CACHE_REQUESTS = Counter(
    "scheduler_sim_cache_requests_total", "Looks into the cache, by what was looked for.", ["kind", "outcome"]
)


class DatabaseCollector(Collector):
    """What the tables say about runs, whichever process wrote them."""

    def describe(self) -> list[Family]:
        """Return nothing, so that registering asks no database."""
        return []

    def collect(self) -> Iterator[Family]:
        """Read the counts; where the database does not answer they are left out and the page says so."""
        up = GaugeMetricFamily("scheduler_sim_database_up", "1 while the database answers.")
        try:
            rows = Run.objects.order_by().values("status")
            rows = rows.annotate(count=Count("id"), written=Sum("rows_written"), expected=Sum("rows_expected"))
            runs: dict[str, Any] = {row["status"]: row for row in rows}
            # Committed together with the rows themselves: the count of a run is set when it ends.
            states = list(Run.objects.under_way().values_list("pk", "state__progress"))
            progress = [sum(state.values()) for _, state in states if state]
            outstanding = _outstanding(dict(states))
            simulated = Metric.objects.totals().aggregate(tasks=Sum("finished_count"))["tasks"]
            workloads = Workload.objects.aggregate(count=Count("id"), tasks=Sum("task_count"))
        except DatabaseError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        by_status = GaugeMetricFamily("scheduler_sim_runs", "Stored runs by status.", labels=["status"])
        for status in Run.Status.values:
            by_status.add_metric([status], runs.get(status, {}).get("count", 0))
        yield by_status
        stored = sum(row["written"] for status, row in runs.items() if status in Run.TERMINAL)
        # Gauges, because pruning takes rows away, which a counter must never do; their growth is `deriv()` of them.
        written = stored + sum(progress)
        yield GaugeMetricFamily("scheduler_sim_rows_written", "Results stored by the runs that are kept.", written)
        yield GaugeMetricFamily(
            "scheduler_sim_tasks_simulated",
            "Tasks placed by the policies of the runs that are kept, stored or only counted.",
            (simulated or 0) + sum(progress),
        )
        yield GaugeMetricFamily(
            "scheduler_sim_rows_outstanding",
            "Results that runs have still to store which a process plays, or is to play.",
            outstanding,
        )
        yield GaugeMetricFamily("scheduler_sim_workloads", "Stored workloads.", workloads["count"])
        yield GaugeMetricFamily("scheduler_sim_tasks", "Stored tasks of all workloads.", workloads["tasks"] or 0)


def _outstanding(progress: dict[int, dict[str, int]]) -> int:
    """Return how many placements are to come: of runs under way, and of those that wait for a process or worker."""
    waiting = Job.objects.active().filter(kind="run").values("subject_id")
    runs = Run.objects.under_way().filter(
        Q(status__in=(Run.Status.RUNNING, Run.Status.PAUSED))
        | Q(pk__in=waiting)
        | Q(state__process_id__isnull=False)
        | Q(study__state__process_id__isnull=False)
    )
    rows = runs.values_list("pk", "rows_expected")
    return sum(expected - sum((progress.get(key) or {}).values()) for key, expected in rows)


def _page() -> bytes:
    registry = CollectorRegistry()
    registry.register(DatabaseCollector())
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(registry)
        with tidied(Path(folder)):
            return generate_latest(registry)
    registry.register(_Process())
    return generate_latest(registry)


class _Process(Collector):
    """What this process alone has counted."""

    def describe(self) -> list[Family]:
        return []

    def collect(self) -> Iterator[Family]:
        yield from REGISTRY.collect()


def _allowed(request: HttpRequest) -> bool:
    if in_networks(request.META.get("REMOTE_ADDR") or "", settings.METRICS_ALLOWED):
        return True
    given = request.headers.get("Authorization", "").encode()
    return bool(settings.METRICS_TOKEN) and hmac.compare_digest(given, f"Bearer {settings.METRICS_TOKEN}".encode())


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer Prometheus; 403 to an address outside METRICS_ALLOWED that does not carry METRICS_TOKEN."""
    if not _allowed(request):
        return HttpResponse("This address may not read the metrics.\n", status=403, content_type="text/plain")
    return HttpResponse(_page(), content_type=CONTENT_TYPE_LATEST)
