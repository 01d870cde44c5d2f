"""Print what each stage of a run costs against the number of tasks.

Usage: DATABASE_URL=... VAR_DIR=... python -m benchmarks.stages [--sizes 1000,10000,100000,1000000]
                                                                [--policies fcfs,fcfs+easy]

Tasks of Lublin's model, as SWF, are imported, read from the database and from their file, played under the policies
with all placements stored, and the run's page is asked for. Processor seconds of the threads that do it, so that other
work on the machine hardly counts; what PostgreSQL's own processes take is not in them. One small run before warms up.
What is stored stays in the database, which should be one for this alone.
"""

import importlib
import io
import os
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from benchmarks.project import described

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")

STAGES = ("import", "read from the database", "read from its file", "play", "store", "figures", "page, again")
PROCESSORS = 256


class Watch:
    """Processor seconds by stage, of whichever thread works."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return `work`, counted as a part of the stage."""

        def counted(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return work(*arguments, **named)
            finally:
                self.seconds[stage] += time.thread_time() - began

        return counted


def measure(tasks: int, policies: str, watch: Watch) -> None:
    """Take a workload of so many tasks through all stages."""
    from django.test import Client

    from apps.live.play.configuration import RunConfiguration
    from apps.live.play.launch import run_create
    from apps.live.play.runner import Runner
    from apps.tasks.services import workload_import
    from apps.tasks.stored_tasks import load_tasks, read_tasks
    from scheduler_sim import engine
    from scheduler_sim.engine.generators import generate_workload
    from scheduler_sim.engine.traces import write_swf

    text = io.StringIO()
    seed = time.time_ns() % 1_000_000
    parameters = {"processors": PROCESSORS, "load": 0.9}
    write_swf(generate_workload("lublin", tasks=tasks, seed=seed, parameters=parameters).workload, text)
    data = io.BytesIO(text.getvalue().encode())
    stored, _ = watch.timed("import", workload_import)(file=data, file_name=f"{tasks}-{seed}.swf")
    watch.timed("read from the database", read_tasks)(workload_id=stored.pk)
    load_tasks(workload_id=stored.pk)
    watch.timed("read from its file", load_tasks)(workload_id=stored.pk)
    configuration = RunConfiguration(policies=tuple(policies.split(","))).checked()
    cluster = engine.load_cluster(f"hpc-{PROCESSORS}")
    run = run_create(workload=stored, cluster=cluster, configuration=configuration, name=f"{tasks} tasks {seed}")
    Runner(run).play()
    run.refresh_from_db()
    assert run.status == run.Status.FINISHED, run.error
    client = Client(headers={"host": "localhost"})
    for stage in ("", "page, again"):
        answer = watch.timed(stage, client.get)(f"/runs/{run.pk}/")
        assert answer.status_code == 200, answer.status_code


def main() -> None:
    """Measure and print a table."""
    parser = described(__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000,1000000")
    parser.add_argument("--policies", default="fcfs,fcfs+easy")
    given = parser.parse_args()

    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from scheduler_sim.engine import Simulation

    # Their functions are replaced by ones that are timed.
    runner: Any = importlib.import_module("apps.live.play.runner")
    writer: Any = importlib.import_module("apps.live.store.writer")
    call_command("migrate", verbosity=0)
    columns: list[Watch] = []
    watch = Watch()
    advance, batch_store, conclude, ending = (
        Simulation.advance,
        writer.batch_store,
        runner.conclude,
        runner.Runner._ending,
    )
    sizes = [int(size) for size in given.sizes.split(",")]
    for size in (1_000, *sizes):
        watch = Watch()
        Simulation.advance = watch.timed("play", advance)  # type: ignore[method-assign]
        writer.batch_store = watch.timed("store", batch_store)
        runner.conclude = watch.timed("figures", conclude)
        runner.Runner._ending = watch.timed("figures", ending)
        measure(size, given.policies, watch)
        columns.append(watch)
    print(f"{connection.vendor}, {given.policies}, load average {os.getloadavg()[0]:.1f}; processor seconds")
    print(f"{'tasks':<24}" + "".join(f"{size:>12,}" for size in sizes))
    for stage in STAGES:
        print(f"{stage:<24}" + "".join(f"{column.seconds[stage]:>12.3f}" for column in columns[1:]))


if __name__ == "__main__":
    main()
