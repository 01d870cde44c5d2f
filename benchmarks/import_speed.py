"""Print how long reading, generating and storing workloads takes: `python -m benchmarks.import_speed [TRACE ...]`.

Each figure is the least of several repetitions, in seconds of the wall clock and of the processor. Stored rows go
to a database in memory.
"""

import argparse
import io
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ["DATABASE_URL"] = "sqlite://:memory:"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")

import django

django.setup()

# After the set-up, which the applications' models need.
from django.core.management import call_command  # noqa: E402

from apps.tasks import services  # noqa: E402
from scheduler_sim.engine.generators import generate_workload  # noqa: E402
from scheduler_sim.engine.traces import read_trace, write_swf  # noqa: E402


def measure(title: str, tasks: int, work: Callable[[], Any], *, repeat: int, after: Callable[[Any], Any] = id) -> None:
    """Run `work` several times, `after` on what it returned untimed, and print the least of each clock."""
    walls, processors = [], []
    for _ in range(repeat):
        wall, processor = time.perf_counter(), time.process_time()
        made = work()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
        after(made)
    print(f"{title:44} {tasks:>10,} {min(walls):>9.3f} {min(processors):>9.3f} {tasks / min(walls):>12,.0f}")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("traces", nargs="*", type=Path, help="SWF files to read and store")
    parser.add_argument("--tasks", type=int, default=1_000_000, help="of the generated workloads (default 1,000,000)")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    call_command("migrate", verbosity=0)
    print(f"{'':44} {'tasks':>10} {'wall s':>9} {'cpu s':>9} {'tasks/s':>12}")
    for path in arguments.traces:
        count = len(read_trace(path).workload)
        measure(f"read {path.name}", count, partial(read_trace, path), repeat=arguments.repeat)
        measure(
            f"import {path.name}",
            count,
            partial(services.workload_import, file=path),
            repeat=arguments.repeat,
            after=lambda imported: imported[0].delete(),
        )
    for model in ("lublin", "mixed"):
        measure(
            f"generate {model}",
            arguments.tasks,
            partial(generate_workload, model, tasks=arguments.tasks, seed=0),
            repeat=arguments.repeat,
        )
    text = io.StringIO()
    write_swf(generate_workload("lublin", tasks=arguments.tasks, seed=0).workload, text)
    data = text.getvalue().encode()
    measure("read generated swf", arguments.tasks, lambda: read_trace(io.BytesIO(data)), repeat=arguments.repeat)
    stored, _ = services.workload_generate(model="lublin", tasks=min(arguments.tasks, 100_000), seed=0)
    measure("read back from the database", stored.task_count, stored.tasks.as_workload, repeat=arguments.repeat)


if __name__ == "__main__":
    main()
