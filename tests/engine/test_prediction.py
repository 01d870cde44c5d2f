"""Run times that are predicted inside a run: at each arrival from what had finished there, and from nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from scheduler_sim.engine import EngineError, InvalidPolicy, Simulation, Workload
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.formulas import played_runtime
from scheduler_sim.engine.policies import parse_policy
from scheduler_sim.engine.predictors.history import history_given_ends
from scheduler_sim.engine.predictors.regression import fit, load
from scheduler_sim.engine.predictors.runtime import RuntimeModel, runtime_features
from scheduler_sim.engine.workloads.estimates import told_to_all
from tests import depth
from tests.engine.causal_worlds import KINDS, STATED, predictor, world

POLICIES = (
    *("sjf", "sjf+list", "sjf+easy", "sjf+conservative", "wfp3+easy", "fcfs+easy", "fcfs+conservative", "qssf", "f1"),
    *("linear+easy", "mlp+list", "min_min", "edf+list", "fcfs+list@eft", "hybrid_ml", "fcfs+list@min_cost", "greedy"),
    *("saf+easy@best_fit", "rl_agent", "recorded+list", "oracle"),
)


def given_ends(simulation, stated, model):
    """Return what the model says of every task when tasks finish as they did, one at a time and without the run."""
    outcome = simulation.outcome()
    seen = played_runtime(simulation.workload, kill_at_estimate=simulation.options.kill_at_estimate)
    return model.seconds(runtime_features(stated, model.categories, finish_time=outcome.finish_time, runtime=seen))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_task_is_predicted_from_what_finished_before_it_in_this_very_run(policy):
    model, played = predictor(), 0
    for number in range(depth.cases(27)):
        here = world(KINDS[number % 3], number, STATED[number // 3 % 3])
        try:
            simulation = here.play(parse_policy(policy), model)
        except InvalidPolicy:
            continue
        played += 1
        expected = given_ends(simulation, here.workload, model)
        assert simulation.workload.duration_estimate.tolist() == expected.tolist()
        # The schedule is the one of a scheduler that was told these numbers in any other way.
        told = replace(told_to_all(here.workload, expected), predicted_duration=expected)
        plain = Simulation(told, here.cluster, parse_policy(policy), seed=here.seed, options=here.options)
        plain.advance()
        assert plain.outcome().start_time.tolist() == simulation.outcome().start_time.tolist()
        assert plain.outcome().gpu_fraction.tolist() == simulation.outcome().gpu_fraction.tolist()
    assert played or policy == "recorded+list"


def test_playing_in_many_steps_predicts_the_same():
    for number in range(20):
        here = world(KINDS[number % 3], number)
        whole = here.play(parse_policy("sjf+easy"), predictor())
        steps = Simulation(
            here.workload,
            here.cluster,
            parse_policy("sjf+easy"),
            seed=here.seed,
            options=here.options,
            predictor=predictor(),
        )
        time = 0.0
        while not steps.done:
            steps.advance(until_time=time, max_events=2)
            time += 0.7
        assert steps.outcome().start_time.tolist() == whole.outcome().start_time.tolist()
        assert steps.workload.duration_estimate.tolist() == whole.workload.duration_estimate.tolist()


def test_policies_learn_of_a_past_that_is_their_own():
    told = set()
    for policy in ("fcfs", "ljf", "sjf+easy"):
        estimates = [
            world("pool", number).play(parse_policy(policy), predictor()).workload.duration_estimate
            for number in range(20)
        ]
        told.add(np.concatenate(estimates).tobytes())
    assert len(told) == 3


def test_history_holds_what_finished_before_the_arrival_and_nothing_else():
    tasks = Workload.from_columns(
        arrival_time=[0, 1, 10, 10, 30], runtime=[10, 4, 1, 1, 1], cpus=[2, 1, 2, 1, 2], user=["a", "a", "a", "b", "a"]
    )
    columns = history_given_ends(tasks, np.array([10.0, 5.0, 11.0, 40.0, 50.0]), tasks.runtime)
    ten, four, one = np.log1p([10, 4, 1])
    assert columns[0].tolist() == columns[1].tolist() == columns[3].tolist() == [-1] * 5
    # The first task ends at 10, the instant of this arrival, and is not known at it.
    assert columns[2] == pytest.approx([four, four, four, np.log1p(1), -1])
    assert columns[4] == pytest.approx([one, (one + ten) / 2, (one + ten + four) / 3, np.log1p(3), (ten + one) / 2])


def test_an_estimate_that_is_not_stated_is_no_feature():
    features = {}
    for name, stated in (("none", [np.nan] * 3), ("some", [100.0, np.nan, np.nan])):
        tasks = Workload.from_columns(arrival_time=[0.0, 1.0, 2.0], runtime=[5.0, 6.0, 7.0], duration_estimate=stated)
        features[name] = runtime_features(tasks, {"user": [""], "group": [""], "queue": [""]})[:, 1:3].tolist()
    assert features["none"] == [[-1, 0]] * 3
    assert features["some"] == [[pytest.approx(np.log1p(100)), 1], [-1, 0], [-1, 0]]


@pytest.mark.parametrize("options", [{}, {"objective": "l1", "rounds": 40}])
def test_trees_as_arrays_predict_as_lightgbm_does_to_the_last_bit(options):
    lightgbm = pytest.importorskip("lightgbm")
    generator = np.random.default_rng(0)
    features = generator.normal(size=(800, 4))
    features[:100, 2] = 0
    text = fit("lightgbm", features, features[:, 0] ** 2 + generator.normal(size=800), seed=1, options=options)
    unseen = generator.normal(size=(500, 4))
    unseen[:20, 2] = 0
    assert (load(text)(unseen) == lightgbm.Booster(model_str=text).predict(unseen)).all()


def test_a_model_of_other_features_is_refused():
    with pytest.raises(InvalidParameter, match="fit it anew"):
        RuntimeModel.parse('{"categories": {}, "regressor": "{}"}')
    assert issubclass(InvalidParameter, EngineError)
