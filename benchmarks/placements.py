"""Tasks and placements that are made up, for the benchmarks and the tests of the database."""

from typing import Any

import numpy as np


def made_up_tasks(count: int, runtime: float) -> dict[str, Any]:
    """Return tasks numbered from 1 as columns: one arrives each second, and all run equally long."""
    numbers = np.arange(1, count + 1)
    return {
        "task_id": numbers,
        "arrival_time": numbers.astype(float),
        **dict.fromkeys(("runtime", "duration_estimate", "size"), runtime),
    }


def made_up_placements(first: int, last: int, seed: int) -> dict[str, Any]:
    """Return placements of tasks `first` up to `last` as columns; their keys are their numbers from 1."""
    generator = np.random.default_rng([seed, first])
    count = last - first
    start = np.arange(first, last) + generator.random(count)
    actual = generator.exponential(100, count)
    return {
        "task_id": np.arange(first, last) + 1,
        "gpu_fraction": generator.random(count),
        "node": generator.integers(0, 100, count),
        "device": generator.integers(-1, 4, count),
        "start_time": start,
        "finish_time": start + actual,
        "actual_time": actual,
        "wait_time": generator.exponential(10, count),
        "energy_joules": actual * 3.5,
        "cost_usd": actual / 3600,
        "model_version": None,
    }
