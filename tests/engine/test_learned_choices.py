"""Learned choices of node, split and preemption: built-in ones by fixed weights, any weights by the slow reference."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim import engine
from scheduler_sim.engine import Cluster, NodeGroup, Simulation, parse_policy
from scheduler_sim.engine.clusters.presets import pool, workstation
from scheduler_sim.engine.errors import InvalidParameter, InvalidPolicy, InvalidWorkload
from scheduler_sim.engine.learning.evaluation import policy_figures
from scheduler_sim.engine.learning.sampling import Parts
from scheduler_sim.engine.learning.search import search
from scheduler_sim.engine.learning.settings import SearchSettings
from scheduler_sim.engine.learning.subjects import subject_of
from scheduler_sim.engine.policies import Policy
from scheduler_sim.engine.policies.choice_scoring import CHOICES
from scheduler_sim.engine.policies.learned import learned_order, learned_placement
from tests.engine.stopping_cases import compare
from tests.engine.test_nodes_reference import assert_kernels_agree, random_case


def document(choice, **weights):
    """Return a stored choice with the weights of some features beside the state 1."""
    return {"form": choice, "weights": CHOICES[choice]._replace(first=weights).first_guess().tolist()}


def with_part(policy, found) -> Policy:
    """Return the policy with a learned choice in the place of its placement or its order."""
    base = parse_policy(policy)
    if found["form"] == "preemption":
        return replace(base, order=learned_order("learned:x", found))
    return replace(base, placement=learned_placement("learned:x", found))


def drawn(choice, seed):
    """Return random weights of a choice."""
    weights = np.random.default_rng(seed).normal(size=CHOICES[choice].weights)
    return {"form": choice, "weights": weights.tolist()}


def outcome(workload, cluster, policy):
    simulation = Simulation(workload, cluster, policy)
    simulation.advance()
    return simulation.outcome()


def pool_tasks():
    generator = np.random.default_rng(1)
    runtime = generator.integers(0, 60, 200).astype(float)
    return engine.Workload.from_columns(
        arrival_time=np.cumsum(generator.integers(0, 8, 200)).astype(float),
        runtime=runtime,
        # No two ever have the same time left.
        duration_estimate=runtime + generator.integers(1, 20, 200) + (1 + np.arange(200)) / 1024,
        cpus=generator.integers(1, 9, 200).astype(float),
    )


def assert_alike(one, other):
    for name in ("start_time", "finish_time", "node", "gpu_fraction"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


RULES = {"first_fit": {}, "best_fit": {"room": 1.0}, "worst_fit": {"room": -1.0}}


@pytest.mark.parametrize("backfill", ["none", "easy"])
@pytest.mark.parametrize("rule", RULES)
def test_fixed_weights_choose_the_nodes_of_a_built_in_placement(rule, backfill):
    compared = 0
    for seed in range(20):
        workload, cluster, options = random_case(seed)
        built_in = parse_policy(f"sjf+{backfill}@{rule}")
        learned = with_part(built_in.name, document("node", **RULES[rule]))
        one, other = (Simulation(workload, cluster, policy, options=options) for policy in (built_in, learned))
        for simulation in (one, other):
            simulation.advance()
        assert_alike(one.outcome(), other.outcome())
        compared += len(workload) > 0
    assert compared > 15


@pytest.mark.parametrize("backfill", ["list", "easy"])
def test_the_weight_of_the_finish_alone_splits_as_eft_does(backfill):
    workload = engine.generate("mixed", tasks=300, seed=3).workload
    built_in = parse_policy(f"fcfs+{backfill}@eft")
    learned = with_part(built_in.name, document("split", finish=1.0))
    assert_alike(outcome(workload, workstation(), built_in), outcome(workload, workstation(), learned))


STOPS = {
    "srtf": ("fcfs+list~suspend", {"left": 1.0}),
    "sjf+list~suspend": ("fcfs+list~suspend", {"r": 1.0}),
    "fcfs+list~suspend": ("fcfs+list~suspend", {"w": -1.0}),
    "sjf+easy~requeue": ("fcfs+easy~requeue", {"r": 1.0}),
    "sjf+list": ("fcfs+list~suspend", {"r": 1.0, "runs": -100.0}),
}
"""By built-in policy: what the learned order plays with, and its weights. The last one never stops what runs."""


@pytest.mark.parametrize("policy", STOPS)
def test_fixed_weights_stop_what_a_built_in_preemption_stops(policy):
    beside, weights = STOPS[policy]
    learned = with_part(beside, document("preemption", **weights))
    assert_alike(outcome(pool_tasks(), pool(8), parse_policy(policy)), outcome(pool_tasks(), pool(8), learned))


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), policy=st.sampled_from(["sjf@first_fit", "fcfs+easy", "sjf+list", "wfp3+easy"]))
def test_any_weights_choose_nodes_as_the_slow_reference_does(seed, policy):
    assert_kernels_agree(with_part(policy, drawn("node", seed)), seed)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), policy=st.sampled_from(["fcfs@eft", "sjf+list@eft", "fcfs+easy@eft"]))
def test_any_weights_split_as_the_slow_reference_does(seed, policy):
    assert_kernels_agree(with_part(policy, drawn("split", seed)), seed)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    policy=st.sampled_from(
        ["fcfs~suspend", "fcfs+list~requeue", "fcfs+easy~checkpoint", "fcfs+list@worst_fit~suspend"]
    ),
)
def test_any_weights_stop_tasks_as_the_slow_reference_does(seed, policy):
    compare(with_part(policy, drawn("preemption", seed)), seed)


@pytest.mark.parametrize(
    ("policy", "form", "sentence"),
    [
        ("fcfs+list", "preemption", "plays with ~suspend, ~checkpoint or ~requeue"),
        ("fcfs+conservative~suspend", "preemption", "play with none, list and easy"),
        ("fcfs+easy(order=saf)~suspend", "preemption", "one order with what runs"),
    ],
)
def test_where_a_learned_choice_has_no_meaning_it_is_refused(policy, form, sentence):
    with pytest.raises(InvalidPolicy, match=sentence):
        Simulation(pool_tasks(), pool(8), with_part(policy, drawn(form, 0)))


@pytest.mark.parametrize(
    "faulty",
    [{"form": "node", "weights": [1.0]}, {"form": "split", "weights": ["a"]}, {"form": "luck"}, {"form": "preemption"}],
)
def test_a_document_that_is_no_choice_is_refused(faulty):
    make = learned_order if faulty["form"] == "preemption" else learned_placement
    with pytest.raises(InvalidParameter):
        make("learned:x", faulty)


def test_weights_that_are_not_finite_are_refused():
    with pytest.raises(InvalidParameter, match="finite"):
        learned_placement("learned:x", document("node", room=float("nan")))


NODES = Cluster(
    name="two speeds",
    groups=(NodeGroup(name="slow", count=3, cores=8), NodeGroup(name="fast", count=3, cores=8, cpu_speed=4.0)),
)

SMALL = SearchSettings(
    objective="jct", backfill="list", length=40, generations=4, population=4, batch=3, validations=3, check_every=2
)

SEARCHED = {
    "node": (pool_tasks(), NODES),
    "split": (engine.generate("mixed", tasks=200, seed=1).workload, workstation()),
    "preemption": (pool_tasks(), pool(8)),
}


@pytest.mark.parametrize("choice", SEARCHED)
def test_a_search_finds_a_choice_that_plays_and_finds_the_same_again(choice):
    workload, cluster = SEARCHED[choice]
    parts, settings = Parts.of(workload, length=25), replace(SMALL, choice=choice, length=25)
    found = search(parts, cluster, settings, seed=1)
    assert np.array_equal(found.weights, search(parts, cluster, settings, seed=1).weights)
    assert found.document == {"form": choice, "weights": found.weights.tolist()}
    assert not np.array_equal(found.weights, CHOICES[choice].first_guess())
    # What the search saw of weights is what a run with them gives.
    batch = subject_of(settings, cluster).recorded(parts.test, 1)
    played = subject_of(settings, cluster).figures(found.weights, batch)
    assert played[0, 1] == policy_figures(settings.policy(found.document), batch, cluster, "jct")[0].mean()


def test_the_search_learns_to_take_the_nodes_that_are_quick():
    workload, cluster = SEARCHED["node"]
    parts, settings = Parts.of(workload, length=25), replace(SMALL, choice="node", length=25, generations=12, batch=6)
    found = search(parts, cluster, settings, seed=1)
    mine, first = (
        policy_figures(policy, [parts.test], cluster, "jct")[0].mean()
        for policy in (settings.policy(found.document), parse_policy("fcfs+list"))
    )
    assert mine < 0.9 * first


@pytest.mark.parametrize(
    ("changes", "cluster", "sentence"),
    [
        ({"choice": "node"}, pool(8), "nothing to choose"),
        ({"choice": "split"}, NODES, "no GPUs"),
        ({"choice": "order"}, NODES, "single pool"),
        ({"choice": "luck"}, NODES, "one of order, node, split, preemption"),
        ({"choice": "node", "form": "mlp"}, NODES, "has the form linear"),
        ({"choice": "preemption", "preemption": "none"}, pool(8), "stops tasks"),
        ({"choice": "preemption", "preemption": "stop"}, pool(8), "stop"),
        ({"choice": "preemption", "preemption": "checkpoint"}, pool(8), "suspend or requeue, not by checkpoint"),
        ({"choice": "node", "preemption": "requeue"}, NODES, "preemption is for a choice of preemption"),
        ({"choice": "preemption", "order": "sjf"}, pool(8), "order is for choices of node and split"),
        ({"choice": "split", "backfill": "easy(predict=last_two)"}, NODES, "searched with none, list, easy, not"),
        ({"choice": "node", "order": "first"}, NODES, "first"),
    ],
)
def test_what_cannot_be_searched_is_refused(changes, cluster, sentence):
    with pytest.raises(InvalidParameter, match=sentence):
        subject_of(replace(SMALL, **changes), cluster)


def test_tasks_that_no_sequence_can_be_drawn_of_are_refused():
    with pytest.raises(InvalidWorkload, match="none of these may"):
        subject_of(replace(SMALL, choice="split"), workstation()).source(pool_tasks())
