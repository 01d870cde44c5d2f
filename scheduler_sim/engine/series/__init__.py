"""Step series of carbon intensity, price, PUE and power cap: what they are, and how their files are read."""

from scheduler_sim.engine.series.signals import (
    GRAMS_PER_KG,
    JOULES_PER_KWH,
    KINDS,
    SIGNALS,
    Kind,
    Signals,
    kind_named,
)
from scheduler_sim.engine.series.steps import BEYOND, StepSeries, by_window, cut

__all__ = (
    "BEYOND",
    "GRAMS_PER_KG",
    "JOULES_PER_KWH",
    "KINDS",
    "SIGNALS",
    "Kind",
    "Signals",
    "StepSeries",
    "by_window",
    "cut",
    "kind_named",
)
