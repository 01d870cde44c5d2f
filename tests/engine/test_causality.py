"""No decision may depend on how long a task runs before anybody can have seen it.

In each random world the true run time of one task is changed. Whatever is decided before the first instant at which one
of the two run times can be seen must be the same in both worlds. Policies that are declared clairvoyant, and estimates
that are made of the true run times (`exact`, `factor`, `uniform`, or none stated), are left out.
"""

from itertools import product
from zlib import crc32

import numpy as np
import pytest

from scheduler_sim.engine import EngineError, Policy
from scheduler_sim.engine.clusters.presets import workstation
from scheduler_sim.engine.policies import BACKFILLS, ORDERS, PLACEMENTS, parse_policy
from scheduler_sim.engine.policies.learned import learned_order
from scheduler_sim.engine.policies.placements.hybrid_ml import hybrid_placement
from scheduler_sim.engine.policies.preemption import PREEMPTIONS, RUN_ON
from scheduler_sim.engine.policies.scoring import weight_count
from scheduler_sim.engine.predictors.hybrid import best_fractions, fit_fraction, hybrid_features
from tests import depth
from tests.engine.causal_worlds import KINDS, STATED, moved_too_early, predictor, two_worlds, world
from tests.engine.test_nodes_reference import REFUSED

SHARED = [order.name for order in ORDERS if order.shares_gpus]
ORDERS_BLIND = [order for order in ORDERS if not (order.clairvoyant or order.preempts or order.needs_site)]
PLACEMENTS_BLIND = [placement for placement in PLACEMENTS if not placement.clairvoyant]
PAIRS = list(product(BACKFILLS, PLACEMENTS_BLIND))
WORLDS = depth.cases(48)
PREDICTED = max(24, depth.cases(24))
"""Worlds of each order whose run times are predicted: each kind of nodes and of stated estimates twice."""

RESERVING = {"easy", "conservative"}
"""What reserves, for which it matters most how long a task is said to run."""

OWN_KERNELS = {"fgd", "rl_agent"}
"""Placements for which the kernels of nodes are compiled once more, for each backfill and each way of queueing."""


def leaks(policies, worlds, source=None, kinds=KINDS):
    """Play `worlds` changed worlds with the policies in turn.

    Return what was decided too early, and each backfill that was played with the kind of its world.

    Policies that refuse a world are passed over.
    """
    found, played = [], []
    for number in range(worlds):
        # A policy that comes again meets another kind, however many there are.
        turn, place = divmod(number, len(policies))
        policy, stated = policies[place], STATED[number % 3]
        if stated == "none" and policy.uses_estimates and source is None:
            stated = "some"
        kind = kinds[(number // 3 + turn) % len(kinds)]
        here, there, row = two_worlds(kind, number, stated)
        try:
            one, other = here.play(policy, source), there.play(policy, source)
        except EngineError:
            continue
        played.append((policy.backfill.name, kind))
        found += [(policy.name, number, *what) for what in moved_too_early(one, other, row)]
    return found, played


def is_played(order, backfill, placement):
    """Tell whether three parts are played together, and not only each two of them.

    With `OWN_KERNELS` what reserves is played behind fcfs alone: behind a queue that is sorted or chosen from at each
    instant five kernels of twenty seconds each would be compiled for nothing else. A run with `TEST_DEPTH` above 1
    plays these, too.
    """
    return depth.DEPTH > 1 or order.name == "fcfs" or not is_seldom(backfill, placement)


def is_seldom(backfill, placement):
    """Tell whether two parts are played behind few orders."""
    return backfill.name in RESERVING and placement.name in OWN_KERNELS


def policies_with(order):
    """Return the order with every backfill and placement that is not declared clairvoyant, shuffled."""
    generator = np.random.default_rng(crc32(order.name.encode()))
    every = [Policy(order=order, backfill=one, placement=place) for one, place in PAIRS if is_played(order, one, place)]
    return [every[place] for place in generator.permutation(len(every))]


def predicted_policies(order):
    """Return those policies of the order that are played with predicted run times.

    One with each backfill comes first, what reserves while worlds are pools, and then what few orders play.
    """
    policies = policies_with(order)
    first = {policy.backfill.name: policy for policy in policies}
    seldom = [policy for policy in policies if is_seldom(policy.backfill, policy.placement)]
    every = dict.fromkeys([*(first[backfill.name] for backfill in reversed(list(BACKFILLS))), *seldom, *policies])
    return list(every)[:PREDICTED]


@pytest.mark.parametrize("order", ORDERS_BLIND, ids=lambda order: order.name)
def test_no_policy_sees_a_run_time_before_its_end(order):
    policies = policies_with(order)
    # Each meets a world at least.
    found, played = leaks(policies, max(WORLDS, len(policies)))
    assert found == []
    assert len(played) > WORLDS // 2


@pytest.mark.parametrize(
    "policy",
    [
        *(order.name for order in ORDERS if order.preempts and order.name not in SHARED),
        *(f"{order}~{kind.name}" for kind in PREEMPTIONS if kind != RUN_ON for order in ("sjf", "wfp3", "fcfs", "edf")),
    ],
)
def test_no_policy_that_stops_tasks_sees_one(policy):
    found, played = leaks([parse_policy(policy)], WORLDS, kinds=("pool",))
    assert found == []
    assert len(played) > WORLDS // 2 or "checkpoint" in policy


@pytest.mark.parametrize("name", SHARED)
def test_no_policy_that_shares_out_gpus_sees_one(name):
    found, played = leaks([parse_policy(f"{name}(round=3,reset=5)")], 12, kinds=("gpus",))
    assert found == []
    assert len(played) == 12


@pytest.mark.parametrize("order", ORDERS_BLIND, ids=lambda order: order.name)
def test_no_policy_sees_one_when_run_times_are_predicted(order):
    found, played = leaks(predicted_policies(order), PREDICTED, predictor())
    assert found == []
    assert len(played) > PREDICTED // 2
    reserving = {backfill for backfill in RESERVING if f"{order.name}+{backfill}" not in REFUSED}
    assert {backfill for backfill, kind in played if kind == "pool"} >= reserving


def test_each_placement_with_each_backfill_meets_a_world_whose_run_times_are_predicted():
    played = [policy for order in ORDERS_BLIND for policy in predicted_policies(order)]
    assert {(policy.backfill.name, policy.placement.name) for policy in played} == {
        (backfill.name, placement.name) for backfill, placement in PAIRS
    }


@pytest.mark.parametrize("algorithm", ["forest", "ridge"])
def test_no_predictor_sees_one(algorithm):
    policies = [parse_policy(text) for text in ("sjf+easy", "fcfs+conservative", "wfp3+easy", "fcfs+list@eft", "qssf")]
    found, played = leaks(policies, WORLDS, predictor(algorithm))
    assert found == []
    assert len(played) == WORLDS


@pytest.mark.parametrize("form", ["linear", "mlp"])
def test_no_learned_score_sees_one(form):
    weights = np.random.default_rng(3).normal(size=weight_count(0 if form == "linear" else 1)).tolist()
    order = learned_order("learned:any", {"form": form, "weights": weights})
    found, played = leaks([policy for policy in policies_with(order) if policy.backfill.name != "conservative"], WORLDS)
    assert found == []
    assert len(played) > WORLDS // 2


@pytest.mark.parametrize("algorithm", ["lightgbm", "forest", "ridge"])
def test_no_learned_fraction_sees_one(algorithm):
    log = world("node", 1).workload
    columns = hybrid_features(size=log.expected_size, compute_intensity=log.compute_intensity, memory_mb=log.memory_mb)
    fraction, _ = best_fractions(log, workstation())
    placement = hybrid_placement(fit_fraction(algorithm, columns, fraction, seed=0))
    policies = [Policy(order=ORDERS["fcfs"], backfill=backfill, placement=placement) for backfill in BACKFILLS]
    found, played = leaks(policies, WORLDS)
    assert found == []
    assert len(played) == WORLDS


@pytest.mark.parametrize("text", ["recorded+list", "fcfs+list@oracle"])
def test_what_sees_more_is_declared_clairvoyant(text):
    assert parse_policy(text).clairvoyant


def test_the_test_finds_a_policy_that_sees_the_run_times():
    policies = [parse_policy(text) for text in ("sjf", "fcfs+easy")]
    found = []
    for number in range(60):
        here, there, row = two_worlds("pool", number, "none")
        policy = policies[number % 2]
        found += moved_too_early(here.play(policy), there.play(policy), row)
    assert found
    found, _ = leaks([parse_policy("fcfs+list@oracle")], 60)
    assert found
