"""The checksum depends on the placements and on nothing else."""

from typing import Any

import numpy as np
import pytest

from apps.results.checksum import ATTEMPT_CHECKED, CHECKED, HISTORY, Part, results_checksum

NUMBERS = np.array([3, 1, 2])


def columns(**changes: Any) -> dict[str, Any]:
    return {name: np.array([3.0, 1.0, 2.0]) for name in CHECKED} | changes


def test_the_order_of_rows_and_policies_does_not_matter() -> None:
    turned = {name: column[::-1] for name, column in columns().items()}
    assert results_checksum([Part("a", NUMBERS, columns()), Part("b", NUMBERS, columns())]) == results_checksum(
        [Part("b", NUMBERS[::-1], turned), Part("a", NUMBERS, columns())]
    )


@pytest.mark.parametrize("name", CHECKED)
def test_every_column_matters(name: str) -> None:
    other = columns(**{name: np.array([3.0, 1.0, 5.0])})
    assert results_checksum([Part("a", NUMBERS, columns())]) != results_checksum([Part("a", NUMBERS, other)])


def test_the_policy_and_the_tasks_matter() -> None:
    first = results_checksum([Part("a", NUMBERS, columns())])
    assert first != results_checksum([Part("b", NUMBERS, columns())])
    assert first != results_checksum([Part("a", NUMBERS + 1, columns())])


def test_the_sign_of_zero_and_other_columns_do_not_matter() -> None:
    zero = columns(start_time=np.array([0.0, 1.0, 2.0]))
    minus = columns(start_time=np.array([-0.0, 1.0, 2.0]), model_version=np.array([9, 9, 9]))
    assert results_checksum([Part("a", NUMBERS, zero)]) == results_checksum([Part("a", NUMBERS, minus)])


def test_it_is_the_same_on_every_machine() -> None:
    assert (
        results_checksum([Part("fcfs", NUMBERS, columns())])
        == "71febe7924d301fa0d3c6b89d236f0a6d708fcd4ee9ae4a27f8f6b0c06ea549b"
    )


TRIED = np.array([2, 2, 1, 1])


def part(**changes: Any) -> Part:
    """Return a policy whose tasks 1 and 2 ran twice; `changes` are of its attempts."""
    history = {name: np.array([1.0, 2.0, 2.0]) for name in HISTORY} | {"outcome": ["completed"] * 3}
    attempts = {name: np.array([1.0, 2.0, 1.0, 2.0]) for name in ATTEMPT_CHECKED}
    reasons = ["suspended", "finished", "suspended", "finished"]
    return Part("a", NUMBERS, columns(**history), {"task_id": TRIED, "reason": reasons, **attempts, **changes})


def test_a_policy_without_attempts_counts_as_if_there_were_none_of_their_columns() -> None:
    none = {name: column[:0] for name, column in (part().attempts or {}).items()}
    told = {**part().columns, "attempts": np.ones(3)}
    assert results_checksum([Part("a", NUMBERS, told, none)]) == results_checksum([Part("a", NUMBERS, columns())])


def test_the_order_of_attempts_does_not_matter() -> None:
    turned = {name: column[::-1] for name, column in (part().attempts or {}).items()}
    assert results_checksum([part()]) == results_checksum([part(**turned)])


@pytest.mark.parametrize("name", ["task_id", "reason", *ATTEMPT_CHECKED])
def test_every_column_of_an_attempt_matters(name: str) -> None:
    changed = np.array((part().attempts or {})[name], object)
    changed[3] = "failed" if name == "reason" else 7.0
    assert results_checksum([part()]) != results_checksum([part(**{name: changed})])


@pytest.mark.parametrize("name", [*HISTORY, "outcome"])
def test_what_a_task_went_through_matters_where_there_are_attempts(name: str) -> None:
    changed = np.array(part().columns[name], object)
    changed[0] = "failed" if name == "outcome" else 7.0
    other = part()._replace(columns={**part().columns, name: changed})
    assert results_checksum([part()]) != results_checksum([other])
