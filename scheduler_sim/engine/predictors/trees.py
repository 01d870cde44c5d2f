"""Ensembles of regression trees as arrays, so that one task's prediction inside a run takes microseconds.

LightGBM's own text and the JSON of a forest are read into the same form. Values are added tree by tree in the order of
the file, as LightGBM does, so that its predictions are met to the last bit.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

CATEGORICAL, DEFAULT_LEFT = 1, 2
"""Bits of LightGBM's `decision_type`; the two above them say what counts as missing."""

MISSING_ZERO, MISSING_NAN = 1, 2

ZERO = 1e-35
"""What LightGBM takes for zero."""


class Trees(NamedTuple):
    """Trees one behind the other; a number below 0 stands for leaf -number - 1.

    Attributes:
        roots: shape (trees,), where each begins.
        feature, threshold, left, right, decision: shape (nodes,); a value goes left when it is at most the threshold.
        values: shape (leaves,).
    """

    roots: IntArray
    feature: IntArray
    threshold: FloatArray
    left: IntArray
    right: IntArray
    decision: IntArray
    values: FloatArray


def lightgbm_trees(text: str) -> Trees:
    """Read the trees of LightGBM's text format.

    Raises:
        InvalidParameter: trees that split on categories or hold linear models, which nothing here fits.
    """
    parts = []
    for fields in _lightgbm_blocks(text):
        if fields.get("num_cat", "0") != "0" or fields.get("is_linear", "0") != "0":
            raise InvalidParameter("The text is a LightGBM model of a kind that is not used here.")
        parts.append(
            (
                *(_numbers(fields, name) for name in ("split_feature", "threshold", "left_child", "right_child")),
                _numbers(fields, "decision_type"),
                _numbers(fields, "leaf_value"),
            )
        )
    return _joined(parts)


def forest_trees(document: dict[str, Any]) -> Trees:
    """Read the trees of a stored forest, whose leaves are nodes without children."""
    parts = []
    for tree in document["trees"]:
        feature, threshold, left, right, value = (
            np.array(tree[name], np.float64) for name in ("feature", "threshold", "left", "right", "value")
        )
        inner = left >= 0
        # Inner nodes and leaves are numbered apart.
        number = np.where(inner, np.cumsum(inner) - 1, -np.cumsum(~inner, dtype=np.int64)).astype(np.int64)
        below = (number[side[inner].astype(np.int64)].astype(np.float64) for side in (left, right))
        parts.append((feature[inner], threshold[inner], *below, np.zeros(int(inner.sum())), value[~inner]))
    return _joined(parts)


def tree_sums(trees: Trees, features: FloatArray) -> FloatArray:
    """Return the sum of all trees' values for each row of `features`, shape (n, k); shape (n,)."""
    sums = np.empty(len(features))
    _add_up(np.ascontiguousarray(features, np.float64), *trees, sums)
    return sums


def _lightgbm_blocks(text: str) -> Iterator[dict[str, str]]:
    for block in text.split("\nTree=")[1:]:
        lines = block.split("\nend of trees", 1)[0].splitlines()[1:]
        yield dict(line.split("=", 1) for line in lines if "=" in line)


def _numbers(fields: dict[str, str], name: str) -> FloatArray:
    return np.array(fields.get(name, "").split(), np.float64)


def _joined(parts: Sequence[tuple[FloatArray, ...]]) -> Trees:
    """Put trees one behind the other; a tree without a split is its only leaf."""
    nodes = np.cumsum([0, *(len(part[0]) for part in parts)])
    leaves = np.cumsum([0, *(len(part[5]) for part in parts)])
    roots = [
        int(node) if len(part[0]) else -int(leaf) - 1
        for part, node, leaf in zip(parts, nodes[:-1], leaves[:-1], strict=True)
    ]

    def sides(place: int) -> IntArray:
        moved = [
            np.where(part[place] >= 0, part[place] + node, part[place] - leaf)
            for part, node, leaf in zip(parts, nodes[:-1], leaves[:-1], strict=True)
        ]
        return np.concatenate([np.zeros(0), *moved]).astype(np.int64)

    def column(place: int) -> FloatArray:
        return np.concatenate([np.zeros(0), *(part[place] for part in parts)])

    return Trees(
        roots=np.array(roots, np.int64),
        feature=column(0).astype(np.int64),
        threshold=column(1),
        left=sides(2),
        right=sides(3),
        decision=column(4).astype(np.int64),
        values=column(5),
    )


@kernel
def _add_up(
    features: FloatArray,
    roots: IntArray,
    feature: IntArray,
    threshold: FloatArray,
    left: IntArray,
    right: IntArray,
    decision: IntArray,
    values: FloatArray,
    sums: FloatArray,
) -> None:
    for row in range(len(features)):
        total = 0.0
        for tree in range(len(roots)):
            node = roots[tree]
            while node >= 0:
                value = features[row, feature[node]]
                missing = decision[node] >> 2
                if np.isnan(value) and missing != MISSING_NAN:
                    value = 0.0
                if (missing == MISSING_NAN and np.isnan(value)) or (missing == MISSING_ZERO and abs(value) <= ZERO):
                    node = left[node] if decision[node] & DEFAULT_LEFT else right[node]
                elif value <= threshold[node]:
                    node = left[node]
                else:
                    node = right[node]
            total += values[-node - 1]
        sums[row] = total
