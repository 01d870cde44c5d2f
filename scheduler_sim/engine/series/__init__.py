"""Step series of carbon intensity, price, PUE, temperature and power cap: what they are, how files are read."""

from scheduler_sim.engine.series.curve import PueCurve
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
    "PueCurve",
    "Signals",
    "StepSeries",
    "by_window",
    "cut",
    "kind_named",
)
