"""How long pages of a long run take: an instant, written out by the API too, a task's page, and the Gantt chart.

The run is made up on the spot, on a pool of 256 processors under the given load, and stays in the database that
DATABASE_URL names: give one of its own. `--again` measures the last run that is there.
"""

import argparse
import logging
import os
import time
from typing import Any
from urllib.parse import quote

import django
import numpy as np

PROCESSORS = 256
CHUNK = 500_000


def made_up_jobs(count: int, load: float) -> dict[str, Any]:
    """Return jobs of many sizes as columns, in the order in which they arrive."""
    generator = np.random.default_rng(1)
    runtime = np.round(generator.lognormal(5, 1.5, count).clip(1, 50_000), 1)
    cpus = 2.0 ** generator.integers(0, 7, count)
    gaps = generator.exponential(1.0, count)
    arrival = np.round(np.cumsum(gaps * (runtime @ cpus) / (PROCESSORS * load * gaps.sum())), 1)
    estimate = np.round(runtime * generator.uniform(1, 3, count), 1)
    numbers = np.arange(1, count + 1)
    columns = {"arrival_time": arrival, "runtime": runtime, "duration_estimate": estimate, "cpus": cpus}
    return {"task_id": numbers, **columns}


def fill(count: int, policy: str, load: float) -> Any:
    """Play and store a run of `count` tasks, and return it."""
    from apps.metrics.services import metrics_compute, metrics_store
    from apps.results.models import Run, SchedulerResult
    from apps.results.services import stretches_store
    from apps.tasks.models import Task, Workload
    from apps.tasks.stored_tasks import MOST_KEPT, load_tasks
    from scheduler_sim import engine
    from scheduler_sim.engine.clusters.presets import load_cluster

    columns = made_up_jobs(count, load)
    arrival = columns["arrival_time"]
    ends = {"first_arrival_time": arrival[0], "last_arrival_time": arrival[-1], "task_count": count}
    stored = Workload.objects.create(name=f"instants {time.time()}", source="synthetic:benchmark", **ends)
    for first in range(0, count, CHUNK):
        chunk = {name: column[first : first + CHUNK] for name, column in columns.items()}
        Task.objects.bulk_create_columns(workload_id=stored.pk, columns=chunk)
    if count <= MOST_KEPT:
        # As for a run that is played: the file is made that pages read tasks from.
        load_tasks(workload_id=stored.pk)
        stored.refresh_from_db()
    numbered = Task.objects.filter(workload_id=stored.pk).order_by("task_id")
    keys = np.fromiter(numbered.values_list("pk", flat=True).iterator(chunk_size=CHUNK), np.int64)
    workload, cluster = engine.Workload.from_columns(**columns), load_cluster(f"hpc-{PROCESSORS}")
    simulation = engine.Simulation(workload, cluster, engine.parse_policy(policy))
    simulation.advance()
    outcome, keys = simulation.outcome(), keys[workload.task_id - 1]
    run = Run.objects.create(
        name=stored.name,
        workload=stored,
        cluster=cluster.as_json(),
        policies=[policy],
        configuration={"policies": [policy]},
        engine_version=engine.ENGINE_VERSION,
        status=Run.Status.FINISHED,
        rows_expected=count,
        rows_written=count,
    )
    run.first_result_id = SchedulerResult.objects.lowest_key_to_come()
    for first in range(0, count, CHUNK):
        rows = outcome.completion_order[first : first + CHUNK]
        start, finish = outcome.start_time[rows], outcome.finish_time[rows]
        nothing = np.zeros(len(rows))
        part: dict[str, Any] = {"start_time": start, "finish_time": finish, "actual_time": finish - start}
        part |= {"wait_time": start - outcome.ready_time[rows], "task_id": keys[rows], "model_version": None}
        part |= {"node": outcome.node[rows], "device": outcome.device[rows], "gpu_fraction": nothing}
        part |= dict.fromkeys(("energy_joules", "cost_usd"), nothing)
        SchedulerResult.objects.bulk_create_columns(run_id=run.pk, parts={policy: part})
    run.last_result_id = SchedulerResult.objects.lowest_key_to_come() - 1
    run.save()
    metrics_store(run=run, figures=metrics_compute(simulations={policy: simulation}))
    began = time.process_time()
    stretches_store(
        run=run, scheduler=policy, task_keys=keys, arrival=workload.arrival_time, finish=outcome.finish_time
    )
    print(f"stretches: {run.stretches.count():,} in {time.process_time() - began:.1f} s of processor time")
    return run


def measure(run: Any, instants: int) -> None:
    """Look at random instants and print how long that took."""
    from apps.live.exchange.instants import instant_document
    from apps.live.instants.instant import run_instant

    times = np.random.default_rng(2).uniform(0, run.workload.last_arrival_time, instants)
    measure_pages(run, times)
    run_instant(run, float(times[0]))
    seconds, processor, waiting = [], [], []
    for at in times.tolist():
        began, worked = time.perf_counter(), time.process_time()
        document = instant_document(run_instant(run, at))
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time() - worked)
        waiting.append(document["waiting_count"])
    for name, values in (("ms", seconds), ("ms of the processor", processor)):
        median, late, most = 1000 * np.percentile(values, [50, 95, 100])
        print(f"an instant: {median:.1f} {name}, 95 %: {late:.1f}, most: {most:.1f}")
    print(f"waiting: median {np.median(waiting):.0f}, most {max(waiting)}; machine's load {os.getloadavg()[0]:.1f}")


def measure_pages(run: Any, times: Any) -> None:
    """Ask for the page of random instants, and for what its script asks for, and print how long the server took."""
    from django.test import Client

    from scheduler_sim.web.warm import warm

    # As a server process does before it answers.
    warm()
    client = Client(headers={"host": "127.0.0.1"})
    asked = f"policy={quote(run.policies[0])}"
    span = float(times.max() - times.min())
    window = span * 120 / run.rows_expected
    addresses = {
        "the page of an instant": "at/{time}/?" + asked,
        "a document of 12 instants": "at/frames.json?count=12&from={time}&" + asked,
        "a window of 120 tasks of its schedule": "at/gantt.json?from={time}&to={end}&" + asked,
        "a task's page": "tasks/{task}/",
        "a window of 120 tasks of the run's page": "gantt.json?from={time}&to={end}&" + asked,
        "a window of 12,000 tasks of it": "gantt.json?from={time}&to={late}&" + asked,
        "the whole schedule of it": "gantt.json?" + asked,
    }
    tasks = np.random.default_rng(3).integers(1, run.rows_expected + 1, len(times)).tolist()
    for name, address in addresses.items():
        seconds, waited = [], []
        for at, task in zip(times.tolist(), tasks, strict=True):
            asks = address.format(time=at, end=at + window, late=at + 100 * window, task=task)
            began, clock = time.process_time(), time.perf_counter()
            response = client.get(f"/runs/{run.pk}/{asks}")
            seconds.append(time.process_time() - began)
            waited.append(time.perf_counter() - clock)
            assert response.status_code == 200, response.status_code
        # Without the first, which compiles and opens what a process keeps.
        median, late, most = 1000 * np.percentile(seconds[1:], [50, 95, 100])
        clock = 1000 * float(np.median(waited[1:]))
        print(f"{name}: {median:.1f} ms of the processor, 95 %: {late:.1f}, most: {most:.1f}; by the clock {clock:.1f}")


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000, help="placements of the run")
    parser.add_argument("--policy", default="fcfs+easy")
    parser.add_argument("--load", type=float, default=0.85, help="offered load")
    parser.add_argument("--instants", type=int, default=60)
    parser.add_argument("--again", action="store_true", help="measure the last run that is there, and make none")
    options = parser.parse_args()
    if not os.environ.get("DATABASE_URL"):
        raise SystemExit("Set DATABASE_URL to a database of its own.")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from apps.results.models import Run

    # A line of each request would be measured too.
    logging.disable(logging.INFO)
    run = Run.objects.order_by("pk").last() if options.again else fill(options.rows, options.policy, options.load)
    if run is None:
        raise SystemExit("There is no run; leave --again out.")
    measure(run, options.instants)


if __name__ == "__main__":
    main()
