"""Learned scores: the formula, and the event loop that plays them against the reference."""

import numpy as np
import pytest

from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import pool
from scheduler_sim.engine.errors import InvalidParameter, InvalidPolicy, InvalidWorkload
from scheduler_sim.engine.learning.evaluation import yardsticks
from scheduler_sim.engine.learning.rollout import play
from scheduler_sim.engine.learning.sequences import Sequences
from scheduler_sim.engine.measuring.metrics import TaskFigures
from scheduler_sim.engine.policies import BACKFILLS, PLACEMENTS, Policy
from scheduler_sim.engine.policies.learned import learned_order, parameters_of
from scheduler_sim.engine.policies.scoring import (
    HIDDEN_UNITS,
    LINEAR,
    MLP,
    blend,
    parameter_vector,
    rate,
    task_features,
    weight_count,
)
from tests.engine.reference_pool import ReferencePool

PROCESSORS = 16


def random_workload(generator, tasks=40):
    """Few distinct instants and lengths, so that ties, zero run times and overruns abound."""
    runtime = generator.integers(0, 12, tasks).astype(float)
    longer = runtime + generator.integers(0, 9, tasks)
    return engine.Workload.from_columns(
        arrival_time=generator.integers(0, 60, tasks).astype(float),
        runtime=runtime,
        duration_estimate=np.where(generator.random(tasks) < 0.3, runtime * 0.5, longer),
        cpus=generator.integers(1, PROCESSORS + 1, tasks).astype(float),
    )


def document(generator, form):
    count = weight_count({"linear": LINEAR, "mlp": MLP}[form])
    # Few decimals, so that the plain sums below round as the kernel's do at most in the last place.
    return {"form": form, "weights": generator.normal(0, 2, count).round(2).tolist()}


def policy_of(weights, backfill):
    return Policy(
        order=learned_order("learned:test", weights), backfill=BACKFILLS[backfill], placement=PLACEMENTS["first_fit"]
    )


def plain_score(weights, *, r, n, wait, excess, free, queue, work):
    """The score by its definition, for one task."""
    w = wait**0.125 / 2.5 - 1.0
    fits, over = float(excess <= 0), max(excess, 0.0)
    state = np.array([free, np.log(queue) / 5.0, np.log1p(work) / 10.0])
    if weights["form"] == "linear":
        x = np.array([r, n, r * n, r * r, n * n, w, r * w, n * w, fits, over])
        return x @ np.reshape(weights["weights"], (10, 4)) @ np.array([1.0, *state])
    units = np.reshape(weights["weights"], (HIDDEN_UNITS, 10))
    inputs = np.array([r, n, w, fits, over, *state, 1.0])
    return float(np.maximum(units[:, :9] @ inputs, 0.0) @ units[:, 9])


class LearnedReference(ReferencePool):
    """The slow simulator with a learned score, computed once an instant before anything starts."""

    def prepare(self, weights):
        self.weights = weights
        capacity = np.full(len(self.cpus), float(self.processors))
        self.features = task_features(np.array(self.expected), np.array(self.cpus, float), capacity)
        self.scored = {}
        return self

    def in_order(self, now):
        work = sum(max(self.start[row] + self.expected[row] - now, 0.0) * self.cpus[row] for row in self.running)
        self.scored = {
            row: plain_score(
                self.weights,
                r=self.features[row, 0],
                n=self.features[row, 1],
                wait=now - self.arrival[row],
                excess=(self.cpus[row] - self.free()) / self.processors,
                free=self.free() / self.processors,
                queue=len(self.queue),
                work=work / self.processors,
            )
            for row in self.queue
        }
        return sorted(self.queue, key=lambda row: (round(self.scored[row], 9), row))


@pytest.mark.parametrize("form", ["linear", "mlp"])
def test_a_score_is_what_its_formula_says(form):
    generator = np.random.default_rng(1)
    weights = document(generator, form)
    parameters = parameters_of(weights)
    folded = np.empty(len(parameters))
    for _ in range(50):
        r, n, excess = generator.uniform(-1, 1, 3)
        wait, work = generator.uniform(0, 1e6, 2)
        free, queued = generator.random(), int(generator.integers(1, 500))
        scores = np.empty(1)
        blend(parameters, free, queued, work, folded)
        rate(parameters, folded, np.array([r]), np.array([n]), np.array([wait]), np.array([excess]), 1, scores)
        expected = plain_score(weights, r=r, n=n, wait=wait, excess=excess, free=free, queue=queued, work=work)
        assert scores[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("backfill", ["none", "list", "easy"])
@pytest.mark.parametrize("form", ["linear", "mlp"])
def test_the_event_loop_agrees_with_the_slow_reference(form, backfill):
    generator = np.random.default_rng(2)
    for _ in range(60):
        workload = random_workload(generator)
        weights = document(generator, form)
        simulation = engine.Simulation(workload=workload, cluster=pool(PROCESSORS), policy=policy_of(weights, backfill))
        simulation.advance()
        reference = LearnedReference.without_scores(workload, PROCESSORS, backfill).prepare(weights)
        reference.play()
        starts = [reference.start[row] for row in range(len(workload))]
        assert simulation.outcome().start_time.tolist() == starts


def test_many_sequences_in_one_call_have_the_figures_of_single_simulations():
    generator = np.random.default_rng(3)
    workload = random_workload(generator, 400)
    offsets = np.array([0, 17, 230])
    for form in ("linear", "mlp"):
        weights = document(generator, form)
        for backfill in ("none", "list", "easy"):
            figures = play(
                Sequences.windows(workload, offsets, 120, PROCESSORS), parameters_of(weights), BACKFILLS[backfill].code
            )
            for place, offset in enumerate(offsets.tolist()):
                window = workload.take(np.arange(offset, offset + 120))
                simulation = engine.Simulation(
                    workload=window, cluster=pool(PROCESSORS), policy=policy_of(weights, backfill)
                )
                simulation.advance()
                single = TaskFigures.of(window, simulation.outcome())
                expected = [single.bounded_slowdown.mean(), single.job_completion_time.mean(), single.wait_time.mean()]
                assert figures[place] == pytest.approx(expected, rel=1e-12)


def test_a_simulation_in_steps_is_the_simulation_in_one_go():
    generator = np.random.default_rng(4)
    workload, weights = random_workload(generator, 200), document(generator, "linear")
    whole = engine.Simulation(workload=workload, cluster=pool(PROCESSORS), policy=policy_of(weights, "easy"))
    whole.advance()
    steps = engine.Simulation(workload=workload, cluster=pool(PROCESSORS), policy=policy_of(weights, "easy"))
    while not steps.done:
        steps.advance(max_events=7)
    assert steps.outcome().start_time.tolist() == whole.outcome().start_time.tolist()


@pytest.mark.parametrize(
    "faulty",
    [
        {"form": "cubic", "weights": [1.0]},
        {"form": "linear", "weights": [1.0, 2.0]},
        {"form": "linear", "weights": [float("nan")] * 40},
        {"form": "linear", "weights": ["a"] * 40},
        {"form": "mlp", "weights": [0.0] * 60, "hidden": 5},
        {},
    ],
)
def test_weights_of_another_shape_are_refused(faulty):
    with pytest.raises(InvalidParameter):
        parameters_of(faulty)


def test_conservative_backfilling_is_refused_with_a_reason():
    generator = np.random.default_rng(5)
    with pytest.raises(InvalidPolicy, match="none, list and easy"):
        engine.Simulation(
            workload=random_workload(generator),
            cluster=pool(PROCESSORS),
            policy=policy_of(document(generator, "linear"), "conservative"),
        )


def test_sequences_that_a_pool_cannot_play_are_refused():
    generator = np.random.default_rng(6)
    workload = random_workload(generator)
    with pytest.raises(InvalidWorkload, match="does not fit into"):
        Sequences.windows(workload, np.array([30]), 20, PROCESSORS)
    with pytest.raises(InvalidWorkload, match="processors"):
        Sequences.windows(workload, np.array([0]), 20, 4)
    assert len(parameter_vector(LINEAR, np.zeros(40))) == 42


@pytest.mark.parametrize("backfill", ["none", "list"])
def test_one_node_plays_learned_scores_as_a_pool_of_its_cores_does(backfill):
    generator = np.random.default_rng(7)
    node = engine.Cluster.from_json(
        {"name": "node", "groups": [{"name": "node", "count": 1, "cores": PROCESSORS, "memory_mb": 1000.0}]}
    )
    for form in ("linear", "mlp"):
        for _ in range(20):
            workload = random_workload(generator)
            policy = policy_of(document(generator, form), backfill)
            starts = []
            for cluster in (pool(PROCESSORS), node):
                simulation = engine.Simulation(workload=workload, cluster=cluster, policy=policy)
                simulation.advance()
                starts.append(simulation.outcome().start_time.tolist())
            assert starts[0] == starts[1]


def test_yardsticks_stop_no_task_go_by_no_series_and_know_no_run_time():
    names = {order.name for order in yardsticks()}
    assert {"fcfs", "sjf", "saf", "f3", "multifactor"} <= names
    assert names.isdisjoint({"wait_awhile", "carbon_threshold", "lowest_slot", "srtf", "las", "linear", "mlp"})
