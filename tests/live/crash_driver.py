"""Kills a run at random points, resumes it and compares; a program of its own, started by `test_crash.py`.

Everything is imported and compiled once; each attempt is a fork that holds no database connection of its parent's.
Prints one JSON document. Arguments: how many kills, seed, what is played (a key of `PLAYED`).
"""

import hashlib
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import django

PLAYED: dict[str, tuple[str, str, dict[str, Any]]] = {
    # Under half of the policies tasks run once, under half they stop and go on.
    "stopping": ("hpc-256", "", {"policies": ("fcfs", "sjf+easy", "random_order", "srtf", "las", "sjf~requeue")}),
    # Nodes fail, tasks are stopped, requeued, go on from checkpoints and pay for it.
    "failing": (
        "dgx-2",
        "weibull(mean_hours=30,shape=0.7,repair_hours=2,repair=exponential)",
        {
            "policies": ("fcfs", "random_order+list", "srtf", "las", "sjf~requeue", "saf~checkpoint"),
            "on_oversize": "clamp",
            "failure_list": "time,duration,node,share\n40000,3600,1,\n90000,7200,,1\n",
            "checkpoints": "3600",
            "checkpoint_write": 30.0,
            "checkpoint_read": 20.0,
            "restart_overhead": "1:7/8:30/60",
            "max_failures": 20,
        },
    ),
}
"""A cluster, the failures of its nodes, and the options of the run."""


POINTS = ("before", "within", "after")
"""Where in a transaction a process is killed: within is behind the rows and before the progress that tells of them."""


def dying(store: Callable[..., None], number: int, point: str) -> Callable[..., None]:
    """Return the storing of a transaction that kills its process in the so manieth."""
    turns = itertools.count(1)

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def stored(*, before_progress: Callable[[], None], **arguments: Any) -> None:
        is_last = next(turns) == number
        if is_last and point == "before":
            die()
        store(before_progress=die if is_last and point == "within" else before_progress, **arguments)
        if is_last:
            die()

    return stored


def main(kills: int, seed: int, played: str) -> None:
    django.setup()
    from django.core.management import call_command
    from django.db import connections
    from django.db.models import Sum

    from apps.live.exchange import exports, streams
    from apps.live.play import runner
    from apps.live.play.configuration import RunConfiguration
    from apps.live.play.launch import run_create
    from apps.live.store import batches, writer
    from apps.results.models import Attempt, Run, SchedulerResult
    from apps.results.verification import run_verify
    from apps.tasks.models import Workload
    from scheduler_sim.engine.clusters.presets import load_cluster
    from scheduler_sim.engine.whatif import let_fail

    runner.BATCH_ROWS = 100
    runner.STEP_EVENTS = 100
    # What the writer took by its name.
    taken = vars(writer)
    taken["transaction_rows"] = batches.transaction_rows = lambda: 75

    call_command("migrate", verbosity=0)
    call_command("generateworkload", "lublin", tasks=500, seed=1, name="crash", verbosity=0)

    preset, failures, options = PLAYED[played]
    cluster = let_fail(load_cluster(preset), failures) if failures else load_cluster(preset)

    def new_run(name: str) -> int:
        return run_create(
            workload=Workload.objects.get(name="crash"),
            cluster=cluster,
            configuration=RunConfiguration(seed=5, **options),
            name=name,
        ).pk

    def play(key: int) -> None:
        runner.Runner(Run.objects.get(pk=key)).play()

    def forked(key: int, kill_after: float | None = None, kill_in: tuple[int, str] | None = None) -> int:
        """Play in a child process, killed after seconds or in a transaction; return how it ended (minus the signal)."""
        connections.close_all()
        child = os.fork()
        if child == 0:
            if kill_after is not None:
                killer = threading.Timer(kill_after, os.kill, (os.getpid(), signal.SIGKILL))
                killer.daemon = True
                killer.start()
            if kill_in is not None:
                taken["batch_store"] = dying(taken["batch_store"], *kill_in)
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
            for chunk in streams.stream(export, "csv"):
                digest.update(chunk)
        return digest.hexdigest()

    undisturbed = new_run("undisturbed")
    store, transactions = batches.batch_store, itertools.count()

    def counted(**arguments: Any) -> None:
        next(transactions)
        store(**arguments)

    taken["batch_store"] = counted
    play(undisturbed)
    taken["batch_store"] = store
    most = next(transactions)
    timed = new_run("timed")
    began = time.perf_counter()
    assert forked(timed) == 0
    duration = time.perf_counter() - began
    whole = {"rows": fingerprint(undisturbed), "checksum": Run.objects.get(pk=undisturbed).checksum}

    chance = random.Random(seed)
    attempts = []
    for number in range(kills):
        key = new_run(f"killed {number}")
        if played == "failing" and number % 2 == 0:
            ended = forked(key, kill_in=(chance.randint(1, int(0.7 * most)), chance.choice(POINTS)))
        else:
            ended = forked(key, kill_after=chance.uniform(0.02, 1.0) * duration)
        run = Run.objects.select_related("state").get(pk=key)
        kept = SchedulerResult.objects.filter(run=run).count()
        kept_spans = Attempt.objects.filter(run=run).count()
        interrupted = run.status == Run.Status.RUNNING and run.state.is_interrupted
        progress = sum(run.state.progress.values())
        several = SchedulerResult.objects.filter(run=run, attempts__gt=1)
        spans = several.aggregate(spans=Sum("attempts"))["spans"] or 0
        resumed = 0 if run.status == Run.Status.FINISHED else forked(key)
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
        "reasons": sorted(set(Attempt.objects.filter(run=undisturbed).values_list("reason", flat=True))),
        "checksum": whole["checksum"],
        "attempts": attempts,
    }
    json.dump(document, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
