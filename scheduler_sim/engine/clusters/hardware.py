"""Watts and prices of the devices that presets are built from; sources in `docs/model.md`."""

from dataclasses import dataclass, replace

from scheduler_sim.engine.clusters.cluster import NodeGroup


@dataclass(frozen=True)
class Device:
    """Figures of one core or one GPU: idle and busy watts, price in USD per hour."""

    idle_watts: float
    busy_watts: float
    usd_per_hour: float


CORE = Device(1.0, 3.5, 0.05)

GPUS = {
    "A10": Device(15.0, 150.0, 1.0),
    "A100": Device(50.0, 400.0, 4.0),
    "A4000": Device(15.0, 140.0, 0.5),
    "G2": Device(15.0, 150.0, 1.0),
    "G3": Device(50.0, 400.0, 4.0),
    "P100": Device(25.0, 250.0, 1.5),
    "T4": Device(10.0, 70.0, 0.35),
    "V100M16": Device(30.0, 300.0, 2.5),
    "V100M32": Device(30.0, 300.0, 2.5),
}
"""By model name. G2 and G3 are names behind which the openb trace hides models; they are counted as A10 and A100."""

UNKNOWN_GPU = Device(0.0, 0.0, 0.0)


def equipped(group: NodeGroup) -> NodeGroup:
    """Return `group` with the watts and prices of its devices; those of a GPU that is not listed stay 0."""
    gpu = GPUS.get(group.gpu_type, UNKNOWN_GPU)
    return replace(
        group,
        cpu_idle_watts=CORE.idle_watts,
        cpu_busy_watts=CORE.busy_watts,
        gpu_idle_watts=gpu.idle_watts,
        gpu_busy_watts=gpu.busy_watts,
        usd_per_core_hour=CORE.usd_per_hour,
        usd_per_gpu_hour=gpu.usd_per_hour,
    )
