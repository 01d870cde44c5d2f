"""Clusters whose nodes sleep, and power caps that all tasks can start under, drawn by chance."""

from dataclasses import replace
from typing import Any

import numpy as np

from scheduler_sim.engine import Cluster, Options, Workload
from scheduler_sim.engine.clusters.sleep import Sleep
from scheduler_sim.engine.series import Signals, StepSeries

WATTS: dict[str, Any] = {"cpu_idle_watts": 1.0, "cpu_busy_watts": 7.0, "gpu_idle_watts": 5.0, "gpu_busy_watts": 30.0}


def asleep(cluster: Cluster, generator: np.random.Generator, seed: int) -> Cluster:
    """Return a cluster of which the nodes of most groups sleep, and all draw something."""
    resume = float(generator.integers(0, 4))
    groups = [
        replace(
            group,
            sleep=Sleep(float(generator.integers(0, 4)), resume, 1.0, (None, 20.0)[seed % 2])
            if generator.random() < 0.8
            else None,
            **WATTS,
        )
        for group in cluster.groups
    ]
    return replace(cluster, groups=tuple(groups))


def capped(
    workload: Workload, cluster: Cluster, options: Options, generator: np.random.Generator, beyond: str
) -> tuple[Options, Signals]:
    """Return a cap of five steps of six seconds each that holds starts back, and the options that keep it."""
    most = (
        cluster.idle_watts + 1.0 + float(np.max(np.ceil(workload.cpus) * 6 + np.ceil(workload.gpus) * 25, initial=0.0))
    )
    values = most + generator.integers(-40, 20, 5) * (np.arange(5) < 4)
    series = StepSeries(
        np.arange(5, dtype=np.float64) * 6.0 - 3, np.maximum(values, 0.0).astype(np.float64), 27.0, beyond
    )
    return replace(options, hold_cap=True), Signals({"power_cap": series})
