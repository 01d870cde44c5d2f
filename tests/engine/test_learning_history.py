"""Learned scores that look at what users have done: the formula, and the event loop against the slow reference."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import pool
from scheduler_sim.engine.errors import InvalidParameter, InvalidPolicy
from scheduler_sim.engine.learning.informed import play_informed
from scheduler_sim.engine.learning.sampling import People, Variation, sample
from scheduler_sim.engine.learning.sequences import Sequences
from scheduler_sim.engine.learning.settings import SearchSettings
from scheduler_sim.engine.measuring.metrics import TaskFigures
from scheduler_sim.engine.policies import Policy, parse_policy
from scheduler_sim.engine.policies.learned import learned_order, parameters_of
from scheduler_sim.engine.policies.scoring import PAST_FEATURES, PAST_STATES, task_features
from tests.engine.reference_pool import ReferencePool

PROCESSORS = 16
BACKFILLS = ("none", "list", "easy", "easy(predict=last_two)")


def random_workload(generator, tasks=40):
    """Few instants, lengths, users and estimates, so that ties, overruns and kinds abound; some tasks name nobody."""
    runtime = generator.integers(0, 40, tasks).astype(float)
    return engine.Workload.from_columns(
        arrival_time=generator.integers(0, 60, tasks).astype(float),
        runtime=runtime,
        duration_estimate=np.where(generator.random(tasks) < 0.3, runtime * 0.5, 50.0),
        cpus=generator.integers(1, 5, tasks).astype(float) * 4.0,
        user=generator.choice(["ann", "bob", "eve", ""], tasks),
    )


def document(generator):
    weights = generator.normal(0, 2, len(PAST_FEATURES) * len(PAST_STATES)).round(2)
    return {"form": "history", "weights": weights.tolist()}


def policy_of(weights, backfill):
    found = parse_policy(f"fcfs+{backfill}")
    return Policy(order=learned_order("learned:test", weights), backfill=found.backfill, placement=found.placement)


def scaled(seconds):
    return np.log(max(seconds, 1.0)) / 5.0 - 1.0


def faded(runs):
    """The mean that weighs short run times more, from the first run to the last."""
    rate = 1.0 / max(runs[0], 10.0)
    for seconds in runs[1:]:
        rate += 0.3 * (1.0 / max(seconds, 10.0) - rate)
    return 1.0 / rate


class InformedReference(ReferencePool):
    """The slow simulator: a user's past is looked up anew for each score."""

    def prepare(self, weights):
        self.table = np.reshape(weights["weights"], (len(PAST_FEATURES), len(PAST_STATES)))
        capacity = np.full(len(self.cpus), float(self.processors))
        self.features = task_features(np.array(self.expected), np.array(self.cpus, float), capacity)
        return self

    def ended(self, now, alike):
        """Return the run times of a user's tasks, or of a kind's, that have ended, in the order in which they did."""
        rows = [row for row, time in self.finish.items() if time <= now and row not in self.running and alike(row)]
        # Tasks of no length end in a further round of their instant.
        rows.sort(key=lambda row: (self.finish[row], self.start[row] == self.finish[row], row))
        return [self.duration[row] for row in rows]

    def in_order(self, now):
        state = [1.0, self.free() / self.processors, np.log(max(len(self.queue), 1)) / 5.0]
        folded = self.table @ np.array(state)
        values = {row: float(np.array(self.inputs(row, now)) @ folded) for row in self.queue}
        return sorted(self.queue, key=lambda row: (round(values[row], 9), row))

    def inputs(self, row, now):
        r, n = self.features[row]
        w = (now - self.arrival[row]) ** 0.125 / 2.5 - 1.0
        excess = (self.cpus[row] - self.free()) / self.processors
        user = self.user[row]

        def mine(other):
            return bool(user) and self.user[other] == user

        def alike(other):
            same = self.expected[other] == self.expected[row] and self.cpus[other] == self.cpus[row]
            return mine(other) and same

        p = h = r
        if runs := self.ended(now, mine):
            p, h = min(r, scaled(sum(runs[-2:]) / len(runs[-2:]))), min(r, scaled(faded(runs)))
        g = h
        if runs := self.ended(now, alike):
            g = min(r, scaled(faded(runs)))
        held = sum(self.cpus[other] for other in self.running if mine(other)) / self.processors
        waiting = np.log(sum(mine(other) for other in self.queue)) / 5.0 if user else 0.0
        return [r, n, r * n, w, float(excess <= 0), max(excess, 0.0), p, h, g, held, waiting]


def reference_of(workload, weights, backfill):
    return InformedReference.without_scores(
        workload,
        PROCESSORS,
        backfill.partition("(")[0],
        user=workload.user.texts().tolist(),
        predictor="last_two" if "predict" in backfill else None,
    ).prepare(weights)


@given(seed=st.integers(0, 2**32), backfill=st.sampled_from(BACKFILLS))
@settings(max_examples=40, deadline=None)
def test_the_event_loop_agrees_with_the_slow_reference(seed, backfill):
    generator = np.random.default_rng(seed)
    workload, weights = random_workload(generator), document(generator)
    simulation = engine.Simulation(workload=workload, cluster=pool(PROCESSORS), policy=policy_of(weights, backfill))
    while not simulation.done:
        simulation.advance(max_events=int(generator.integers(1, 30)))
    reference = reference_of(workload, weights, backfill)
    reference.play()
    assert simulation.outcome().start_time.tolist() == [reference.start[row] for row in range(len(workload))]


@pytest.mark.parametrize("backfill", BACKFILLS)
def test_many_sequences_in_one_call_have_the_figures_of_single_simulations(backfill):
    generator = np.random.default_rng(3)
    workload, weights = random_workload(generator, 200), document(generator)
    found = parse_policy(f"fcfs+{backfill}").backfill
    offsets = np.array([0, 17, 110])
    sequences = Sequences.windows(workload, offsets, 90, PROCESSORS)
    figures = play_informed(sequences, parameters_of(weights), found.code, predict=found.predicts)
    for place, offset in enumerate(offsets.tolist()):
        window = workload.take(np.arange(offset, offset + 90))
        simulation = engine.Simulation(workload=window, cluster=pool(PROCESSORS), policy=policy_of(weights, backfill))
        simulation.advance()
        single = TaskFigures.of(window, simulation.outcome())
        expected = [single.bounded_slowdown.mean(), single.job_completion_time.mean(), single.wait_time.mean()]
        assert figures[place] == pytest.approx(expected, rel=1e-12)


def test_a_smoothed_slowdown_counts_what_neighbours_of_a_user_ran():
    workload = engine.Workload.from_columns(
        arrival_time=np.zeros(3), runtime=np.array([100.0, 5.0, 100.0]), cpus=np.ones(3), user=["ann", "ann", "bob"]
    )
    people = People.of(workload)
    assert people.urgency.tolist() == [pytest.approx(0.055), pytest.approx(0.055), pytest.approx(0.01)]
    sequences = replace(Sequences.windows(workload, np.array([0]), 3, 1), urgency=people.urgency[None])
    shortest = parameters_of({"form": "history", "weights": [1.0, *([0.0] * 32)]})
    # 5 s run first, then 100 s of ann's, then bob's, who waits 105 s.
    figures = play_informed(sequences, shortest, 0, predict=False)
    assert figures[0].tolist() == pytest.approx([1 + (5 * 0.055 + 105 * 0.01) / 3, 315 / 3, 110 / 3])


def test_a_copy_of_a_users_tasks_comes_in_their_order_around_the_workload():
    generator = np.random.default_rng(4)
    workload = replace(random_workload(generator, 300), arrival_time=np.arange(300) * 86_400.0 / 30)
    turned = 0
    for _ in range(6):
        rows, arrival, copy = People.of(workload).gather(80, generator)
        assert (np.diff(arrival) >= 0).all()
        for one in np.unique(copy):
            for user in np.unique(workload.user.codes[rows[copy == one]]):
                theirs = rows[(copy == one) & (workload.user.codes[rows] == user)]
                back = (np.diff(theirs) < 0).sum()
                assert back <= 1
                turned += back
    assert turned


def test_sequences_of_users_number_users_and_kinds_of_each_copy():
    generator = np.random.default_rng(4)
    workload = random_workload(generator, 300)
    day = 86_400.0
    workload = replace(workload, arrival_time=np.arange(300) * day / 30)
    found = sample(workload, 6, 80, PROCESSORS, generator, Variation(1.0, 1.0), people=People.of(workload))
    assert found.arrival.shape == (6, 80)
    for user, kind, arrival, expected, cpus in zip(
        found.user, found.kind, found.arrival, found.expected, found.cpus, strict=True
    ):
        assert (np.diff(arrival) >= 0).all()
        known = user >= 0
        assert ((kind >= 0) == known).all()
        # One kind is one user's with one estimate and one size.
        for one in np.unique(kind[known]):
            alike = kind == one
            assert len(set(zip(user[alike], expected[alike], cpus[alike], strict=True))) == 1


@pytest.mark.parametrize(
    "backfill", ["conservative", "easy(order=sjf)", "easy(predict=regression)", "easy(order=sjf,predict=last_two)"]
)
def test_other_backfilling_is_refused_with_a_reason(backfill):
    generator = np.random.default_rng(5)
    with pytest.raises(InvalidPolicy, match="plays with none, list, easy and easy"):
        engine.Simulation(
            workload=random_workload(generator),
            cluster=pool(PROCESSORS),
            policy=policy_of(document(generator), backfill),
        )


def test_it_plays_on_a_pool_only_and_says_so():
    generator = np.random.default_rng(6)
    node = engine.Cluster.from_json(
        {"name": "nodes", "groups": [{"name": "node", "count": 2, "cores": PROCESSORS, "memory_mb": 1000.0}]}
    )
    with pytest.raises(InvalidPolicy, match="on a single pool of processors"):
        engine.Simulation(
            workload=random_workload(generator), cluster=node, policy=policy_of(document(generator), "easy")
        )


def test_predictions_go_with_the_form_history_only():
    with pytest.raises(InvalidParameter, match="form history"):
        SearchSettings(form="linear", backfill="easy(predict=last_two)")
