"""Fair share, from shares and usage to a factor a user."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scheduler_sim.engine.sites import Account, ShareTree, classic, fair_tree

PathOf = Callable[[str], Path]


def factors(tree: ShareTree, usage: dict[str, float]) -> dict[str, float]:
    used = np.array([usage.get(user, 0.0) for _, user in tree.names])
    return {user: factor for (_, user), factor in zip(tree.names, fair_tree(tree, used), strict=True) if user}


def test_users_are_ranked_by_their_accounts_first() -> None:
    tree = ShareTree.of(
        [
            Account(name="physics", shares=50),
            Account(name="biology", shares=50),
            *(Account(name="physics", user=user) for user in ("ann", "bob")),
            *(Account(name="biology", user=user) for user in ("cid", "dan")),
        ]
    )
    # Biology used less, so that both of its users come before both of physics.
    assert factors(tree, {"ann": 10, "bob": 90, "cid": 60, "dan": 20}) == {
        "dan": 1.0,
        "cid": 0.75,
        "ann": 0.5,
        "bob": 0.25,
    }


def test_users_who_used_nothing_are_equal() -> None:
    tree = ShareTree.of([Account(name="a"), *(Account(name="a", user=user) for user in ("x", "y", "z"))])
    assert factors(tree, {}) == {"x": 1.0, "y": 1.0, "z": 1.0}
    assert factors(tree, {"z": 1}) == {"x": 1.0, "y": 1.0, "z": pytest.approx(1 / 3)}


def test_an_account_of_its_parents_shares_gives_way_to_its_users() -> None:
    apart = ShareTree.of(
        [
            Account(name="a"),
            Account(name="b", parent="a", shares="parent"),
            Account(name="a", user="x", shares=1),
            Account(name="b", user="y", shares=3),
        ]
    )
    # As siblings x has a quarter and y three quarters of the shares.
    assert factors(apart, {"x": 1, "y": 2})["y"] == 1.0
    assert factors(apart, {"x": 1, "y": 4})["x"] == 1.0


def test_the_classic_factor_is_a_half_where_usage_equals_the_share() -> None:
    tree = ShareTree.of([Account(name="root"), Account(name="root", user="x"), Account(name="root", user="y")])
    found = classic(tree, np.array([0.0, 1.0, 1.0]))
    assert math.isnan(found[0])
    assert found[1:].tolist() == [0.5, 0.5]
    assert classic(tree, np.array([0.0, 1.0, 1.0]), damping=2.0)[1] == pytest.approx(2**-0.5)


def test_the_fair_tree_of_slurms_own_test_is_met_to_six_digits(oracle_path: PathOf) -> None:
    known = json.loads(oracle_path("slurm/fair_tree_test24_4.json").read_text())
    account_of = {entry["id"]: entry["account"] for entry in known["tree"]}
    tree = ShareTree.of(
        [
            Account(
                name=entry["account"],
                parent="" if entry["user"] or entry["parent"] is None else account_of[entry["parent"]],
                user=entry["user"] or "",
                shares=entry["shares"],
            )
            for entry in known["tree"]
        ]
    )
    used = {(entry["account"], entry["user"] or ""): entry["own_usage"] for entry in known["tree"]}
    found = dict(zip(tree.names, fair_tree(tree, np.array([float(used[name]) for name in tree.names])), strict=True))
    expected = {(line["account"], line["user"]): line["factor"] for line in known["expected"] if line["user"]}
    # By exact arithmetic uD2 equals uD3, and the test's own rounding sets them apart.
    tied = {name for name in expected if name[1] == "uD2"}
    assert len(expected) == 21
    for name in expected.keys() - tied:
        assert found[name] == pytest.approx(expected[name], abs=1e-6), name
    for name in tied:
        assert found[name] == pytest.approx(expected[name], abs=1e-6) or found[name] == pytest.approx(1 / 3, abs=1e-6)
