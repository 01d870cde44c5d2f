"""Regressors as text, fractions, run times and the search."""

import json
from dataclasses import replace

import numpy as np
import pytest

from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import pool, workstation
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.formulas import hybrid_sides
from scheduler_sim.engine.generators import generate_workload
from scheduler_sim.engine.learning.sampling import Parts, Variation, days_of, sample
from scheduler_sim.engine.learning.search import search, search_seeds
from scheduler_sim.engine.learning.settings import SearchSettings
from scheduler_sim.engine.predictors.hybrid import best_fractions, fit_fraction, hybrid_features, predict_fraction
from scheduler_sim.engine.predictors.regression import ALGORITHMS, fit, importance, load, scores
from scheduler_sim.engine.predictors.runtime import fit_runtime, predict_runtime, runtime_features


def rows(count=300):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(count, 3))
    return features, features[:, 0] * 2.0 - features[:, 1] + 0.01 * generator.normal(size=count)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_stored_regressor_predicts_what_it_was_fitted_to(algorithm):
    features, target = rows()
    text = fit(algorithm, features, target, seed=1)
    assert scores(load(text)(features), target)["r2"] > 0.9
    assert fit(algorithm, features, target, seed=1) == text
    shares = importance(text, ("a", "b", "c"))
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["a"] > shares["c"]


def test_a_forest_as_text_predicts_what_the_library_predicts():
    from sklearn.ensemble import RandomForestRegressor

    features, target = rows()
    text = fit("forest", features, target, seed=3)
    library = RandomForestRegressor(n_estimators=40, max_depth=10, min_samples_leaf=5, random_state=3, n_jobs=1).fit(
        features, target
    )
    assert load(text)(features) == pytest.approx(library.predict(features))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"algorithm": "pickle"}', '{"algorithm": "ridge"}', "cos\nsystem"])
def test_a_text_that_is_no_model_is_refused(text):
    with pytest.raises(InvalidParameter):
        load(text)


def test_too_few_rows_are_refused():
    with pytest.raises(InvalidParameter, match="too few"):
        fit("ridge", np.zeros((3, 2)), np.zeros(3), seed=0)


def test_the_best_fraction_is_no_worse_than_any_on_a_grid():
    workload = generate_workload("mixed", tasks=200, seed=1).workload
    cluster, every = workstation(), np.arange(200)
    fraction, time = best_fractions(workload, cluster)
    for other in np.linspace(0, 1, 101):
        sides = hybrid_sides(workload, every, workload.runtime, np.full(200, other), cluster, np.zeros(200, int))
        assert (np.maximum(*sides) >= time - 1e-12).all()
    sides = hybrid_sides(workload, every, workload.runtime, fraction, cluster, np.zeros(200, int))
    assert np.maximum(*sides) == pytest.approx(time)


def test_predicted_fractions_lie_within_0_and_1_and_generalise_to_later_tasks():
    workload = generate_workload("mixed", tasks=2000, seed=2).workload
    columns = hybrid_features(
        size=workload.size, compute_intensity=workload.compute_intensity, memory_mb=workload.memory_mb
    )
    fraction, _ = best_fractions(workload, workstation())
    early = {name: values[:1500] for name, values in columns.items()}
    late = {name: values[1500:] for name, values in columns.items()}
    predicted = predict_fraction(load(fit_fraction("lightgbm", early, fraction[:1500], seed=0)), late)
    assert ((predicted >= 0) & (predicted <= 1)).all()
    assert scores(predicted, fraction[1500:])["mae"] < 0.01


def runtime_workload(count=400):
    generator = np.random.default_rng(3)
    users = generator.integers(0, 4, count)
    return engine.Workload.from_columns(
        arrival_time=np.cumsum(generator.integers(1, 600, count)).astype(float),
        runtime=np.round(np.exp(users * 1.5 + generator.normal(2, 0.3, count))),
        duration_estimate=np.full(count, 7200.0),
        user=[f"u{user}" for user in users],
    )


def test_what_comes_after_a_task_does_not_change_its_features():
    workload = runtime_workload()
    categories = {"user": ["u0", "u1"], "group": [""], "queue": [""]}
    whole = runtime_features(workload, categories)
    for cut in (1, 57, 200):
        assert np.array_equal(runtime_features(workload.head(cut), categories), whole[:cut])


def test_predicted_run_times_beat_the_median_on_later_tasks():
    workload = runtime_workload()
    text = fit_runtime(workload, 300, seed=0)
    json.loads(text)
    late = workload.runtime[300:]
    error = np.abs(np.log1p(predict_runtime(text, workload)[300:]) - np.log1p(late)).mean()
    assert error < 0.5 * np.abs(np.log1p(np.median(workload.runtime[:300])) - np.log1p(late)).mean()
    with pytest.raises(InvalidParameter, match="no stored run time model"):
        predict_runtime("{}", workload)


def small_parts():
    workload = generate_workload("lublin", tasks=600, seed=4, parameters={"processors": 32, "load": 1.0}).workload
    return Parts.of(workload, length=60)


POOL = pool(32)

SMALL = SearchSettings(length=60, generations=6, population=6, batch=6, validations=6, check_every=2, threads=2)


def test_the_same_seed_finds_the_same_score():
    parts = small_parts()
    first, second = (search(parts, POOL, SMALL, seed=5) for _ in range(2))
    assert np.array_equal(first.weights, second.weights)
    assert not np.array_equal(first.weights, search(parts, POOL, SMALL, seed=6).weights)
    assert first.validation == min(point.validation for point in first.curve)
    assert [point.generation for point in first.curve] == [2, 4, 6]


def test_searches_side_by_side_find_what_each_finds_alone():
    parts = small_parts()
    together = search_seeds(parts, POOL, replace(SMALL, threads=2), seeds=[5, 6])
    for result in together:
        assert np.array_equal(result.weights, search(parts, POOL, SMALL, seed=result.seed).weights)


def test_a_search_is_made_again_on_both_parts_for_as_many_generations_as_were_best():
    parts = small_parts()
    once = search(parts, POOL, replace(SMALL, again=False), seed=5)
    again = search(parts, POOL, SMALL, seed=5)
    assert [point.validation for point in once.curve] == [point.validation for point in again.curve]
    assert not np.array_equal(once.weights, again.weights)
    best = min(once.curve, key=lambda point: point.validation).generation
    assert again.sequences_played - once.sequences_played == best * SMALL.population * SMALL.batch


def test_parts_follow_each_other_in_time_and_share_no_task():
    parts = small_parts()
    ids = [set(part.task_id.tolist()) for part in (parts.training, parts.validation, parts.test)]
    assert not ids[0] & ids[1] | ids[1] & ids[2] | ids[0] & ids[2]
    assert parts.training.arrival_time[-1] <= parts.validation.arrival_time[0]
    assert parts.validation.arrival_time[-1] <= parts.test.arrival_time[0]


def test_sampled_sequences_are_in_canonical_order_and_come_from_the_part():
    parts = small_parts()
    drawn = sample(parts.training, 20, 60, 32, np.random.default_rng(1))
    assert (np.diff(drawn.arrival, axis=1) >= 0).all()
    assert set(drawn.duration.ravel()) <= set(parts.training.runtime)


def test_days_are_cut_at_midnight_without_the_first_and_the_last():
    arrival = np.array([100.0, 86_400.0, 90_000.0, 172_799.0, 259_200.0, 345_600.0])
    assert [day.tolist() for day in days_of(arrival)] == [[0.0, 3_600.0, 86_399.0], [0.0]]


def test_sequences_put_together_anew_keep_the_hours_of_the_days():
    generator = np.random.default_rng(1)
    hours = np.sort(
        generator.choice([9.0, 10.0, 15.0], (30, 20)) * 3600.0 + generator.integers(0, 60, (30, 20)), axis=1
    )
    arrival = (hours + np.arange(30)[:, None] * 86_400.0).ravel()
    workload = engine.Workload.from_columns(arrival_time=arrival, runtime=np.arange(1.0, 601.0))
    drawn = sample(workload, 10, 100, 4, generator, Variation(slowest=1.0, fastest=1.0, resampled=1.0))
    assert set(np.floor(drawn.arrival / 3600.0 % 24.0).ravel()) <= {9.0, 10.0, 15.0}
    assert (np.diff(drawn.arrival, axis=1) >= 0).all()
    assert len(set(drawn.arrival[:, 50] - drawn.arrival[:, 0])) > 5


def test_a_workload_shorter_than_its_sequences_is_refused():
    with pytest.raises(InvalidParameter, match="choose shorter sequences"):
        Parts.of(generate_workload("lublin", tasks=300, seed=1).workload, length=60)


@pytest.mark.parametrize(
    "faulty", [{"form": "cubic"}, {"objective": "luck"}, {"backfill": "conservative"}, {"batch": 0}, {"population": 2}]
)
def test_settings_without_meaning_are_refused(faulty):
    with pytest.raises(InvalidParameter):
        SearchSettings(**faulty)
