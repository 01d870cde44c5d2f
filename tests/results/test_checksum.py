"""The checksum depends on the placements and on nothing else."""

from typing import Any

import numpy as np
import pytest

from apps.results.checksum import CHECKED, results_checksum

NUMBERS = np.array([3, 1, 2])


def columns(**changes: Any) -> dict[str, Any]:
    return {name: np.array([3.0, 1.0, 2.0]) for name in CHECKED} | changes


def test_the_order_of_rows_and_policies_does_not_matter() -> None:
    turned = {name: column[::-1] for name, column in columns().items()}
    assert results_checksum([("a", NUMBERS, columns()), ("b", NUMBERS, columns())]) == results_checksum(
        [("b", NUMBERS[::-1], turned), ("a", NUMBERS, columns())]
    )


@pytest.mark.parametrize("name", CHECKED)
def test_every_column_matters(name: str) -> None:
    other = columns(**{name: np.array([3.0, 1.0, 5.0])})
    assert results_checksum([("a", NUMBERS, columns())]) != results_checksum([("a", NUMBERS, other)])


def test_the_policy_and_the_tasks_matter() -> None:
    first = results_checksum([("a", NUMBERS, columns())])
    assert first != results_checksum([("b", NUMBERS, columns())])
    assert first != results_checksum([("a", NUMBERS + 1, columns())])


def test_the_sign_of_zero_and_other_columns_do_not_matter() -> None:
    zero = columns(start_time=np.array([0.0, 1.0, 2.0]))
    minus = columns(start_time=np.array([-0.0, 1.0, 2.0]), model_version=np.array([9, 9, 9]))
    assert results_checksum([("a", NUMBERS, zero)]) == results_checksum([("a", NUMBERS, minus)])


def test_it_is_the_same_on_every_machine() -> None:
    assert (
        results_checksum([("fcfs", NUMBERS, columns())])
        == "71febe7924d301fa0d3c6b89d236f0a6d708fcd4ee9ae4a27f8f6b0c06ea549b"
    )
