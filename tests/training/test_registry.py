"""Stored models: versions, which one is in use, and how policies and estimates name them."""

import json

import pytest

from apps.live.play.configuration import RunConfiguration
from apps.training.managers import UnknownModel
from apps.training.models import TrainedModel
from apps.training.registry import (
    InvalidModelName,
    model_activate,
    model_roll_back,
    model_store,
    models_in_use,
    resolve_policy,
    stored_part,
    stored_runtime_model,
)
from scheduler_sim import engine
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.policies.choice_scoring import CHOICES

pytestmark = pytest.mark.django_db


def store(name="night", kind="linear", value=1.0, **options):
    weights = CHOICES[kind].weights if kind in CHOICES else 40
    return model_store(
        name=name,
        kind=kind,
        artifact=json.dumps({"form": kind if kind in CHOICES else "linear", "weights": [value] * weights}),
        parameters={},
        features=["r"],
        data_range={},
        seed=0,
        scores={},
        **options,
    )


def test_a_new_version_takes_the_place_of_the_one_in_use():
    first, second = store(), store()
    assert [first.version, second.version] == [1, 2]
    assert second.parent == first
    assert list(TrainedModel.objects.active()) == [second]


def test_an_inactive_version_leaves_the_one_in_use_where_it_is():
    first, second = store(), store(activate=False)
    assert list(TrainedModel.objects.active()) == [first]
    model_activate(model=second)
    assert list(TrainedModel.objects.active()) == [second]


def test_rolling_back_returns_to_the_version_before():
    first, second = store(), store()
    assert model_roll_back(model=second) == first
    assert list(TrainedModel.objects.active()) == [first]
    with pytest.raises(UnknownModel, match="no other version"):
        model_roll_back(model=first)


@pytest.mark.parametrize("name", ["", "a+b", "a@b", "a.1", "x" * 61, "with space"])
def test_a_name_that_could_not_stand_in_a_policy_is_refused(name):
    with pytest.raises(InvalidModelName):
        store(name)


def test_a_name_stands_for_models_of_one_kind():
    store("night")
    with pytest.raises(InvalidModelName, match="kind linear"):
        store("night", kind="mlp")


def test_a_policy_names_the_active_version():
    store()
    store()
    policy = engine.parse_policy("learned:night+easy")
    assert policy.name == "learned:night+easy"
    assert policy.model_version == 2
    assert engine.parse_policy("learned:night.1+easy").model_version == 1


def test_an_unknown_model_is_refused_with_the_names_there_are():
    store("night")
    with pytest.raises(engine.InvalidPolicy, match="There are: night"):
        engine.parse_policy("learned:day")
    with pytest.raises(engine.InvalidPolicy):
        stored_part("order", "night.9")


def test_a_run_keeps_the_version_that_it_was_begun_with():
    store()
    configuration = RunConfiguration(policies=("learned:night+easy", "fcfs")).with_models()
    store(value=2.0)
    again = RunConfiguration.from_json(configuration.as_json())
    learned, plain = again.parsed_policies()
    assert learned.model_version == 1
    assert learned.name == "learned:night+easy"
    assert plain.model_version is None
    assert models_in_use(["learned:night+easy@best_fit"], "trace") == {"night": 2}


@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        ("node", "sjf+easy@learned:night"),
        ("split", "fcfs+list@learned:night"),
        ("preemption", "learned:night+list~suspend"),
    ],
)
def test_a_learned_choice_is_a_part_of_a_policy_and_a_run_keeps_its_version(kind, policy):
    store(kind=kind)
    configuration = RunConfiguration(policies=(policy,)).with_models()
    store(kind=kind, value=2.0)
    (played,) = RunConfiguration.from_json(configuration.as_json()).parsed_policies()
    assert (played.name, played.model_version) == (policy, 1)
    assert engine.parse_policy(policy.replace("night", "night.2")).model_version == 2
    wrong = "learned:night+easy" if kind != "preemption" else "fcfs@learned:night"
    with pytest.raises(engine.InvalidPolicy, match="of the kind"):
        engine.parse_policy(wrong)


def test_policies_without_models_cost_no_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert RunConfiguration(policies=("fcfs", "sjf+easy")).with_models().models == {}


def test_a_stored_hybrid_model_takes_the_place_of_the_shipped_one():
    from scheduler_sim.engine.predictors.hybrid import shipped_model

    model_store(
        name="hybrid_ml",
        kind="hybrid_ml",
        artifact=shipped_model(),
        parameters={},
        features=[],
        data_range={},
        seed=0,
        scores={},
    )
    models = models_in_use(["hybrid_ml", "oracle"], "trace")
    assert resolve_policy("hybrid_ml", models).model_version == 1
    assert resolve_policy("hybrid_ml", {}).model_version is None
    assert resolve_policy("hybrid_ml", models).name == "hybrid_ml"


def test_estimates_of_an_unknown_model_are_refused():
    with pytest.raises(InvalidParameter, match="None has been trained"):
        stored_runtime_model("nothing", {})
