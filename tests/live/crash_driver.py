"""Kills a run at random points, resumes it and compares; a program of its own, started by `test_crash.py`.

Everything is imported and compiled once; each attempt is a fork that holds no database connection of its parent's.
Prints one JSON document. Arguments: how many kills, seed.
"""

import hashlib
import json
import os
import random
import signal
import sys
import threading
import time
import traceback

import django

POLICIES = ("fcfs", "sjf+easy", "random_order", "srtf", "las", "sjf~requeue")
"""Of half of them tasks run once, of half they stop and go on."""


def main(kills: int, seed: int) -> None:
    django.setup()
    from django.core.management import call_command
    from django.db import connections
    from django.db.models import Sum

    from apps.live.exchange import exports
    from apps.live.play import runner
    from apps.live.play.configuration import RunConfiguration
    from apps.live.play.launch import run_create
    from apps.live.store import batches
    from apps.results.models import Attempt, Run, SchedulerResult
    from apps.results.verification import run_verify
    from apps.tasks.models import Workload
    from scheduler_sim.engine.presets import load_cluster

    runner.BATCH_ROWS = 200
    runner.STEP_EVENTS = 200
    batches.transaction_rows = lambda: 150
    from apps.live.store import writer

    writer.transaction_rows = batches.transaction_rows

    call_command("migrate", verbosity=0)
    call_command("generateworkload", "lublin", tasks=1_500, seed=1, name="crash", verbosity=0)

    def new_run(name: str) -> int:
        configuration = RunConfiguration(policies=POLICIES, seed=5)
        return run_create(
            workload=Workload.objects.get(name="crash"),
            cluster=load_cluster("hpc-256"),
            configuration=configuration,
            name=name,
        ).pk

    def play(key: int) -> None:
        runner.Runner(Run.objects.get(pk=key)).play()

    def forked(key: int, kill_after: float | None) -> int:
        """Play in a child process; return how it ended (negative: the signal)."""
        connections.close_all()
        child = os.fork()
        if child == 0:
            if kill_after is not None:
                killer = threading.Timer(kill_after, os.kill, (os.getpid(), signal.SIGKILL))
                killer.daemon = True
                killer.start()
            try:
                play(key)
            except BaseException:  # noqa: BLE001 a fork must never return into its parent's code
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def fingerprint(key: int) -> str:
        digest = hashlib.sha256()
        run = Run.objects.get(pk=key)
        for export in (exports.results_export(run), exports.attempts_export(run)):
            for chunk in exports.stream(export, "csv"):
                digest.update(chunk)
        return digest.hexdigest()

    undisturbed = new_run("undisturbed")
    play(undisturbed)
    timed = new_run("timed")
    began = time.perf_counter()
    assert forked(timed, None) == 0
    duration = time.perf_counter() - began
    whole = {"rows": fingerprint(undisturbed), "checksum": Run.objects.get(pk=undisturbed).checksum}

    chance = random.Random(seed)
    attempts = []
    for number in range(kills):
        key = new_run(f"killed {number}")
        ended = forked(key, chance.uniform(0.02, 1.0) * duration)
        run = Run.objects.select_related("state").get(pk=key)
        kept = SchedulerResult.objects.filter(run=run).count()
        kept_spans = Attempt.objects.filter(run=run).count()
        interrupted = run.status == Run.Status.RUNNING and run.state.is_interrupted
        progress = sum(run.state.progress.values())
        several = SchedulerResult.objects.filter(run=run, attempts__gt=1)
        spans = several.aggregate(spans=Sum("attempts"))["spans"] or 0
        resumed = 0 if run.status == Run.Status.FINISHED else forked(key, None)
        run = Run.objects.get(pk=key)
        attempts.append(
            {
                "killed": ended == -signal.SIGKILL,
                "kept": kept,
                "progress": progress,
                "spans": spans,
                "kept_spans": kept_spans,
                "interrupted": interrupted,
                "resumed": resumed,
                "status": run.status,
                "faults": run_verify(run=run).faults,
                "same": {"rows": fingerprint(key), "checksum": run.checksum} == whole,
            }
        )
    document = {
        "rows": Run.objects.get(pk=undisturbed).rows_written,
        "spans": Attempt.objects.filter(run=undisturbed).count(),
        "attempts": attempts,
    }
    json.dump(document, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
