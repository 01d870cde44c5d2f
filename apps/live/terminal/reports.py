"""A finished run as one JSON document and as a table in the terminal."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from apps.metrics.leaderboard import in_words
from apps.metrics.models import Metric
from apps.results.fidelity import run_badge
from apps.results.models import Attempt, Run
from scheduler_sim.display.formatting import figure_scale
from scheduler_sim.engine.measuring.figures import ENERGY_AND_COST

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
    *ENERGY_AND_COST,
    "wins",
    "attempts_mean",
    "lost_time",
)
"""The figures of each policy in the document, as columns of `Metric`."""

WIDE_TABLE = {
    "mean JCT": "mean_job_completion_time",
    "p50 JCT": "p50_job_completion_time",
    "p95 JCT": "p95_job_completion_time",
    "p99 JCT": "p99_job_completion_time",
    "mean wait": "mean_wait_time",
    "slowdown": "mean_bounded_slowdown",
    "makespan": "makespan",
    "CPU": "cpu_utilisation",
    "GPU": "gpu_utilisation",
    "tasks": "throughput",
    "wins": "wins",
}
"""The terminal table's headings and figures."""

NARROW_TABLE = {
    heading: WIDE_TABLE[heading] for heading in ("mean JCT", "p95 JCT", "mean wait", "slowdown", "CPU", "GPU", "wins")
}
WIDE_TABLE_WIDTH = 116
"""Characters that the wide table needs."""


def run_document(run: Run) -> dict[str, Any]:
    """Return the document that `runsimulation --json` prints: best mean bounded slowdown first."""
    workload = run.workload
    seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else None
    return {
        "cautions": run.cautions,
        "fidelity": run_badge(run).as_json(),
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
        "site": None if run.site is None else {"name": run.site.name, "version": run.site.version},
        "seed": run.seed,
        "engine_version": run.engine_version,
        "configuration": run.configuration,
        "rows_written": run.rows_written,
        "attempts_written": Attempt.objects.count_of(run),
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
    """Print the ranked table of a finished run, as many of its columns as the console is wide enough for.

    What must be known to read it stands before it, and below it what it comes to.
    """
    totals, badge = list(Metric.objects.leaderboard(run)), run_badge(run)
    for text in (*(caution["text"] for caution in run.cautions), f"{badge.text}." if badge.text else ""):
        if text:
            console.print(text)
    table = Table(title=f"Run {run.pk}: {run.name}", title_justify="left", box=SIMPLE_HEAD)
    columns = NARROW_TABLE if console.width < WIDE_TABLE_WIDTH else WIDE_TABLE
    # A cluster without GPUs has no GPU figures to show.
    shown = {
        heading: figure
        for heading, figure in columns.items()
        if any(getattr(total, figure) is not None for total in totals)
    }
    scales = {figure: figure_scale(figure, [getattr(total, figure) for total in totals]) for figure in shown.values()}
    table.add_column("policy", no_wrap=True)
    for heading, figure in shown.items():
        table.add_column(f"{heading}\n{scales[figure].unit}", justify="right", no_wrap=True)
    for total in totals:
        table.add_row(total.scheduler, *(scale.text(getattr(total, figure)) for figure, scale in scales.items()))
    console.print(table)
    base = next((total for total in totals if total.scheduler == run.policies[0]), None)
    console.print(" ".join(in_words(totals, base, doubt=badge.doubt)).strip())
