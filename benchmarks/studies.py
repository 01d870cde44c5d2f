"""How long a study of 100 runs takes, from nothing to its figures, and how it scales with worker processes.

Usage: DATABASE_URL=postgres://... python benchmarks/studies.py [--tasks 10000] [--seeds 10] [--workers 1,2]

It creates a study a number of workers in the database that DATABASE_URL names, and leaves its rows there.
"""

import argparse
import os
import resource
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")

LOADS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
POLICIES = ["fcfs", "sjf", "fcfs+easy", "sjf+easy", "f1+easy"]


def main() -> None:
    """Play the study once for each number of workers and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", default="1,2", help="numbers of processes, each played as a study of its own")
    given = parser.parse_args()

    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from apps.live.studies.definition import Definition
    from apps.live.studies.execution import study_play
    from apps.live.studies.report import study_document

    call_command("migrate", verbosity=0)
    print(
        f"{connection.vendor}, {os.cpu_count()} cores, {given.tasks:,} tasks, {len(LOADS)} loads x {given.seeds} seeds"
    )
    print(
        f"{'workers':>8} {'runs':>6} {'plays':>6} {'store s':>8} {'play s':>8} {'all s':>8} {'run s':>7} {'CPU s':>7}"
    )
    spent_before = 0.0
    for workers in map(int, given.workers.split(",")):
        definition = Definition.from_json(
            {
                "name": f"benchmark {workers} workers {time.time():.0f}",
                # Another parameter makes other workloads, so that each study begins from nothing.
                "workloads": [
                    {
                        "generate": "lublin",
                        "tasks": given.tasks,
                        "parameters": {"processors": 256, "load": 1.0 + time.time() % 1e6 * 1e-12},
                    }
                ],
                "load_factors": LOADS,
                "clusters": ["hpc-256"],
                "policies": POLICIES,
                "seeds": given.seeds,
            }
        )
        began = time.perf_counter()
        stored = 0.0

        def advanced(_done: int, _total: int, began: float = began) -> None:
            nonlocal stored
            stored = stored or time.perf_counter() - began

        outcome = study_play(definition, workers=workers, advanced=advanced)
        document = study_document(outcome.study)
        took = time.perf_counter() - began
        assert outcome.finished == outcome.runs == len(LOADS) * given.seeds, outcome
        assert len(document["cells"]) == len(LOADS)
        seconds = [(run.finished_at - run.started_at).total_seconds() for run in outcome.study.runs.all()]
        plays = outcome.runs * len(POLICIES)
        # Of the worker processes, their start included; the machine may be busy with other things.
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent, spent_before = used.ru_utime + used.ru_stime - spent_before, used.ru_utime + used.ru_stime
        print(
            f"{workers:>8} {outcome.runs:>6} {plays:>6} {stored:>8.1f} {took - stored:>8.1f} {took:>8.1f} "
            f"{statistics.median(seconds):>7.3f} {spent / outcome.runs:>7.3f}"
        )


if __name__ == "__main__":
    main()
