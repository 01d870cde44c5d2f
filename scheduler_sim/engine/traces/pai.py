"""Jobs of Alibaba's PAI trace of 2020 as its simulator reads them (Weng et al., NSDI 2022), csv with a header.

Columns, read by name: job_id, num_inst, submit_time s, num_cpu, num_gpu (may be a fraction), gpu_type,
duration s, user. Requests are per instance: a job holds num_inst times as much, all at once.
"""

import numpy as np

from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.delimited import column_names, read_table
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, reads
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.workloads.workload import Labels

_READ = frozenset(("job_id", "num_inst", "submit_time", "num_cpu", "num_gpu", "gpu_type", "duration", "user"))


def recognises(head: list[str]) -> bool:
    """Tell a PAI job list by its header."""
    return {"job_id", "num_inst", "num_gpu", "duration"} <= set(column_names(head, ","))


@reads("pai", description="jobs of Alibaba's PAI trace of 2020 (simulator csv)", recognises=recognises)
def read(source: Source, _options: ReadOptions, audit: Audit) -> Reading:
    """Parse a PAI job list; a job without GPUs has no GPU type."""
    table = read_table(source, audit, delimiter=",", is_wanted=_READ.__contains__)
    table.require("job_id", "num_inst", "submit_time", "num_cpu", "num_gpu", "duration")
    instances = table.numbers("num_inst")
    unknown = np.isnan(instances)
    audit.repair("one_instance", table.where[unknown])
    instances = np.where(unknown, 1.0, instances)
    gpus = table.numbers("num_gpu") * instances
    types = None
    if "gpu_type" in table:
        types = Labels.from_texts(np.where(gpus > 0, table.texts("gpu_type").objects(), ""))
    tasks = RawTasks(
        where=table.where,
        arrival_time=table.numbers("submit_time", needed=True),
        runtime=table.numbers("duration", needed=True, measures="runtime"),
        cpus=table.numbers("num_cpu") * instances,
        gpus=gpus,
        gpu_type=types,
        user=table.texts("user").labels() if "user" in table else None,
        external_id=table.texts("job_id").objects(),
    )
    return Reading(tasks=table.finish(tasks, audit))
