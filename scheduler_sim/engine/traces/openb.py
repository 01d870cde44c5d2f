"""Pods of Alibaba's GPU cluster trace of 2023 (openb; Weng et al., USENIX ATC 2023), csv with a header.

Columns: name, cpu_milli (1/1000 core), memory_mib, num_gpu, gpu_milli (1/1000 of one GPU, for each GPU),
gpu_spec (allowed models `A|B`, empty for any), qos, pod_phase, creation_time, deletion_time, scheduled_time
(seconds; blank when never scheduled). A MiB counts as a MB, here and in the node list.
"""

import numpy as np

from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.delimited import column_names, read_table
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, reads
from scheduler_sim.engine.traces.source import Source

_NEEDED = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "creation_time", "deletion_time")
_READ = frozenset((*_NEEDED, "scheduled_time", "gpu_spec", "qos"))


def recognises(head: list[str]) -> bool:
    """Tell a pod list by its header."""
    return {"cpu_milli", "gpu_milli", "creation_time"} <= set(column_names(head, ","))


@reads("openb", description="pods of Alibaba's GPU cluster trace of 2023 (csv)", recognises=recognises)
def read(source: Source, _options: ReadOptions, audit: Audit) -> Reading:
    """Parse a pod list.

    One GPU with gpu_milli below 1000 is a share of a device; more GPUs are whole. The run time is deletion
    minus scheduled; a pod that was never scheduled keeps deletion minus creation, and is counted.
    """
    table = read_table(source, audit, delimiter=",", is_wanted=_READ.__contains__)
    table.require(*_NEEDED)
    created, deleted = (table.numbers(name, needed=True) for name in ("creation_time", "deletion_time"))
    unknown = np.full(len(table), np.nan)
    scheduled = table.numbers("scheduled_time") if "scheduled_time" in table else unknown
    count, share = table.numbers("num_gpu"), table.numbers("gpu_milli")
    audit.notice("never_started", table.where[np.isnan(scheduled)])
    tasks = RawTasks(
        where=table.where,
        arrival_time=created,
        runtime=deleted - np.where(np.isnan(scheduled), created, scheduled),
        cpus=table.numbers("cpu_milli") / 1000.0,
        memory_mb=table.numbers("memory_mib"),
        gpus=np.where((count == 1) & (share < 1000), share / 1000.0, count),
        gpu_type=table.texts("gpu_spec").labels() if "gpu_spec" in table else None,
        queue=table.texts("qos").labels() if "qos" in table else None,
        recorded_start_time=scheduled,
        external_id=table.texts("name").objects(),
    )
    return Reading(tasks=table.finish(tasks, audit))
