"""What tests of every layer say of workloads."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from scheduler_sim import engine
from scheduler_sim.engine.workloads.workload import Labels, Parents, Requests


def assert_same(left: engine.Workload, right: engine.Workload) -> None:
    """Tell two workloads apart by every column; what is not known is the same as what is not known."""
    for field in fields(engine.Workload):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if isinstance(one, Requests) and isinstance(other, Requests):
            for name, column in one.columns().items():
                _assert_same_column(name, column, other.columns()[name])
        else:
            _assert_same_column(field.name, one, other)


def _assert_same_column(name: str, one: Any, other: Any) -> None:
    if isinstance(one, Labels):
        one, other = one.texts(), other.texts()
    if isinstance(one, Parents):
        np.testing.assert_array_equal(one.offsets, other.offsets)
        np.testing.assert_array_equal(one.mb, other.mb)
        one, other = one.rows, other.rows
    np.testing.assert_array_equal(one, other, err_msg=name)


def random_trace(
    head: str, jobs: int, seed: int, *, apart: int, line: Callable[[np.random.Generator, int, int], str]
) -> str:
    """Return the text of a trace whose jobs arrive some `apart` seconds after each other.

    Args:
        line: draws the line of a job with this number and arrival.
    """
    generator = np.random.default_rng(seed)
    arrivals = np.sort(generator.integers(0, apart * jobs, jobs)).tolist()
    return "\n".join([head, *(line(generator, number, arrival) for number, arrival in enumerate(arrivals, 1))]) + "\n"


def random_requests(arrivals: np.ndarray, seed: int) -> Requests:
    """Return requests of every kind for tasks that arrive at these instants."""
    generator = np.random.default_rng(seed)
    length = len(arrivals)

    def counts(most: int) -> np.ndarray:
        return generator.integers(0, most, length, endpoint=True)

    def some(values: np.ndarray) -> np.ndarray:
        return np.where(generator.random(length) < 0.5, np.nan, values)

    def texts(*choices: str) -> Labels:
        return Labels.from_texts(generator.choice(["", *choices], length))

    def flags() -> np.ndarray:
        return generator.random(length) < 0.5

    nodes = counts(4)
    return Requests(
        nodes=nodes,
        most_nodes=np.where(flags(), nodes + counts(3), 0),
        tasks=counts(64),
        cores_per_task=counts(8),
        tasks_per_node=counts(16),
        gpus_per_node=generator.choice([0.0, 0.25, 1.0, 4.0], length),
        memory_mb_per_core=some(np.round(4096 * generator.random(length), 3)),
        memory_mb_per_node=some(np.round(65536 * generator.random(length), 3)),
        features=texts("skylake&ib", "a|b", "[rack1|rack2]"),
        partitions=texts("batch,gpu", "debug"),
        qos=texts("normal", "high"),
        reservation=texts("maintenance"),
        exclusive=flags(),
        eligible_time=some(arrivals + 1 + np.round(1000 * generator.random(length), 3)),
        cancel_time=some(arrivals + np.round(5000 * generator.random(length), 3)),
        nice=generator.integers(-100, 100, length),
        array=counts(3),
        array_limit=counts(2),
        needs_success=flags(),
        fails=flags(),
        requeueable=flags(),
        elasticity=texts("rigid", "moldable", "malleable"),
        # Whatever a task asks for lies between: widths that contradict it are mended as they are read.
        least_width=counts(1),
        most_width=np.where(flags(), 1000 + counts(4), 0),
        speedup=texts("amdahl(0.9)", "table(1:1/2:1.8)"),
        resize_time=generator.choice([0.0, 2.5, 30.0], length),
        recorded_nodes=texts("n[1-3]", "c07"),
        follows=counts(length),
        think_time=some(np.round(1000 * generator.random(length), 3)),
    )
