"""A finished run as one JSON document and as a table in the terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table

from apps.metrics.models import Metric
from apps.results.models import Run

DOCUMENT_FIGURES = (
    "mean_job_completion_time",
    "p50_job_completion_time",
    "p95_job_completion_time",
    "p99_job_completion_time",
    "mean_wait_time",
    "max_wait_time",
    "mean_bounded_slowdown",
    "makespan",
    "cpu_utilisation",
    "gpu_utilisation",
    "throughput",
    "energy_joules",
    "cost_usd",
    "wins",
)
"""The figures of each policy in the document, as columns of `Metric`."""


def run_document(run: Run) -> dict[str, Any]:
    """Return the document that `runsimulation --json` prints: best mean bounded slowdown first."""
    workload = run.workload
    seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else None
    return {
        "run": run.pk,
        "name": run.name,
        "status": run.status,
        "workload": {
            "id": workload.pk,
            "name": workload.name,
            "source": workload.source,
            "sha256": workload.source_sha256,
            "tasks": workload.task_count,
        },
        "cluster": run.cluster,
        "seed": run.seed,
        "engine_version": run.engine_version,
        "configuration": run.configuration,
        "rows_written": run.rows_written,
        "checksum": run.checksum,
        "wall_seconds": seconds,
        "policies": [
            {
                "scheduler": total.scheduler,
                "tasks": total.finished_count,
                **{figure: getattr(total, figure) for figure in DOCUMENT_FIGURES},
            }
            for total in Metric.objects.leaderboard(run)
        ],
    }


def print_leaderboard(run: Run, console: Console) -> None:
    """Print the ranked table of a finished run."""
    table = Table(title=f"{run.name}: {run.workload.name} on {run.cluster['name']}", title_justify="left")
    table.add_column("policy", no_wrap=True)
    for heading in (
        "mean JCT",
        "p50 JCT",
        "p95 JCT",
        "p99 JCT",
        "mean wait",
        "mean slowdown",
        "makespan",
        "CPU %",
        "GPU %",
        "tasks/h",
        "wins",
    ):
        table.add_column(heading, justify="right")
    for total in Metric.objects.leaderboard(run):
        table.add_row(
            total.scheduler,
            duration(total.mean_job_completion_time),
            duration(total.p50_job_completion_time),
            duration(total.p95_job_completion_time),
            duration(total.p99_job_completion_time),
            duration(total.mean_wait_time),
            "-" if total.mean_bounded_slowdown is None else f"{total.mean_bounded_slowdown:,.1f}",
            duration(total.makespan),
            percent(total.cpu_utilisation),
            percent(total.gpu_utilisation),
            "-" if total.throughput is None else f"{total.throughput * 3600:,.1f}",
            "-" if total.wins is None else f"{total.wins:,}",
        )
    console.print(table)


def duration(seconds: float | None) -> str:
    """Return a duration as people read it, with three digits: `48.2 s`, `13.5 min`, `5.10 h`, `12.4 d`."""
    if seconds is None:
        return "-"
    for unit, length, enough in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < enough:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 86_400:,.3g} d" if seconds < 86_400_000 else f"{seconds / 86_400:,.0f} d"


def percent(part: float | None) -> str:
    """Return a part of one as a percentage with one decimal."""
    return "-" if part is None else f"{part * 100:.1f}"
