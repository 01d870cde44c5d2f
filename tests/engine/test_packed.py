"""Jobs that share a GPU by twos: what each does beside the other, who gains by it, and what nobody may have twice."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from scheduler_sim.engine import Cluster, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.overheads import Overhead
from scheduler_sim.engine.contract import REASONS, Attempts, Pieces
from scheduler_sim.engine.errors import InvalidTrace, InvalidWorkload
from scheduler_sim.engine.kernels.rounds.allocations import Instant, NoAllocation
from scheduler_sim.engine.kernels.rounds.kernel import PackedKernel
from scheduler_sim.engine.kernels.rounds.packed import Packing
from scheduler_sim.engine.kernels.rounds.packing import MOST_SHARING, Pairs, least_gain, packed_shares
from scheduler_sim.engine.measuring.bounds import lower_bounds
from scheduler_sim.engine.measuring.usage import Usage
from scheduler_sim.engine.traces import read_kinds
from scheduler_sim.engine.workloads.throughputs import Throughputs
from tests.engine.reference_packed import PlainPacking

KINDS = ("new", "old")
PROGRAMMES = ("max_min_fairness", "min_total_duration", "max_sum_throughput")
POLICIES = tuple(f"{name}_packed" for name in PROGRAMMES)
ONE = Cluster("one", (NodeGroup("n", 1, 4, gpus=1, gpu_type="new"),))
BOTH = Cluster("both", tuple(NodeGroup(kind, 2, 8, gpus=2, gpu_type=kind) for kind in KINDS))


def table(seed: int, gain: float) -> Throughputs:
    """Return rates of three types on up to three GPUs, and of pairs that do up to `gain` times as much as by turns."""
    random = np.random.default_rng(seed)
    rates = {(name, gpus): tuple(random.uniform(1, 9, 2).tolist()) for name in "abc" for gpus in (1, 2, 3)}
    pairs = {}
    for one, other in (("a", "a"), ("a", "b"), ("a", "c"), ("b", "c"), ("c", "c")):
        part = random.uniform(0.3, gain / 2, 2)
        alone = zip(rates[one, 1], rates[other, 1], strict=True)
        pairs[one, other] = tuple((x * part[0], y * (part[0] if one == other else part[1])) for x, y in alone)
    return Throughputs(KINDS, rates, pairs)


def workload(seed: int, gain: float, n: int = 24) -> Workload:
    random = np.random.default_rng(seed + 100)
    return Workload.from_columns(
        arrival_time=np.sort(random.integers(0, 60, n)) * 100.0,
        runtime=random.integers(1, 40, n) * 100.0,
        size=random.integers(5, 200, n) * 100.0,
        gpus=random.choice([1, 1, 1, 1, 2, 3], n),
        cpus=np.ones(n),
        group=random.choice(list("abc"), n).tolist(),
        throughputs=table(seed, gain),
    )


def play(tasks: Workload, policy: str, cluster: Cluster = BOTH, **options: Any) -> Simulation:
    simulation = Simulation(tasks, cluster, parse_policy(policy), options=Options(**options))
    simulation.advance()
    assert simulation.done
    return simulation


def pair(rates: tuple[float, float], *work: float) -> Workload:
    names = ["x", "y", "y"][: len(work)]
    alone = {("x", 1): (1.0,), ("y", 1): (2.0,)}
    return Workload.from_columns(
        arrival_time=np.zeros(len(work)),
        runtime=np.array(work) / [alone[name, 1][0] for name in names],
        size=work,
        gpus=np.ones(len(work)),
        cpus=np.ones(len(work)),
        group=names,
        throughputs=Throughputs(("new",), alone, {("x", "y"): (rates,)}),
    )


@pytest.mark.parametrize("policy", POLICIES)
def test_two_jobs_on_one_gpu_go_on_at_their_rates_beside_each_other(policy):
    # 0.8 and 1.5 units a second: 288 and 540 units a round of 360 s.
    played = play(pair((0.8, 1.5), 576.0, 1080.0), policy, ONE)
    assert played.outcome().finish_time.tolist() == [720.0, 720.0]
    spans = played.spans()
    assert spans.gpus.tolist() == [0.5, 0.5]
    assert spans.device.tolist() == [0, 0]
    history = played.history()
    assert history.service_time.tolist() == [720.0, 720.0]
    assert history.held_part is not None
    assert history.held_part.tolist() == [0.5, 0.5]


def test_who_is_left_has_the_gpu_alone_from_the_next_round_on():
    # The second is done in the first round, at 360 s; then the first has 712 units left, at 1 a second.
    played = play(pair((0.8, 1.5), 1000.0, 540.0), "max_min_fairness_packed(reset=0)", ONE)
    assert played.outcome().finish_time.tolist() == [360.0 + 712.0, 360.0]
    found = played.attempts()
    assert sorted(zip(found.row.tolist(), found.number.tolist(), found.gpus.tolist(), strict=True)) == [
        (0, 1, 0.5), (0, 2, 1.0), (1, 1, 0.5),
    ]  # fmt: skip


def test_jobs_that_do_no_more_together_than_by_turns_do_not_share():
    # 0.4 of its rate for each: by turns both had half.
    played = play(pair((0.4, 0.8), 360.0, 720.0), "max_sum_throughput_packed(reset=0)", ONE)
    assert sorted(played.outcome().finish_time.tolist()) == [360.0, 720.0]
    assert set(played.attempts().gpus.tolist()) == {1.0}


@pytest.mark.parametrize("name", PROGRAMMES)
@pytest.mark.parametrize("seed", range(4))
def test_without_rates_of_pairs_the_rounds_are_the_compiled_ones(name, seed):
    tasks = workload(seed, gain=0.9)
    overhead = Overhead.read("20") if seed % 2 else Overhead()
    packed = play(tasks, f"{name}_packed", restart_overhead=overhead).outcome()
    plain = play(tasks, f"{name}_perf", restart_overhead=overhead).outcome()
    for column in ("start_time", "finish_time", "node", "device", "completion_order"):
        np.testing.assert_array_equal(getattr(packed, column), getattr(plain, column))
    assert packed.history is not None
    assert plain.history is not None
    for column in ("attempts", "service_time", "held_time", "begun_time", "ending"):
        np.testing.assert_array_equal(getattr(packed.history, column), getattr(plain.history, column))


def speeds(tasks: Workload, found: Attempts) -> np.ndarray:
    """Return the rate of each attempt by who else is on its GPU, and see to it that nobody has it twice."""
    table, types = tasks.throughputs, tasks.group.texts()
    assert table is not None
    beside = dict(table.pairs) | {(two, one): [pair[::-1] for pair in both] for (one, two), both in table.pairs.items()}
    kinds = [BOTH.groups[number].gpu_type for number in BOTH.group_of_nodes()[found.node]]
    rates = np.zeros(len(found))
    for one in range(len(found)):
        row, kind = found.row[one], KINDS.index(kinds[one])
        together = (found.start_time < found.end_time[one]) & (found.end_time > found.start_time[one])
        together &= (found.node == found.node[one]) & (found.device == found.device[one])
        others = [other for other in np.flatnonzero(together).tolist() if other != one]
        rates[one] = table.rates[types[row], int(tasks.gpus[row])][kind]
        if found.gpus[one] < tasks.gpus[row]:
            (other,) = others
            assert found.gpus[other] == found.gpus[one] == 0.5
            rates[one] = beside[types[row], types[found.row[other]]][kind][0]
        else:
            assert not others
        running = (found.start_time <= found.start_time[one]) & (found.end_time > found.start_time[one])
        assert found.gpus[running & (np.array(kinds) == kinds[one])].sum() <= 4
    return rates


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(4))
def test_no_gpu_is_given_out_twice_and_work_is_done_at_the_rates_of_the_table(policy: str, seed: int) -> None:
    tasks = workload(seed, gain=1.8)
    played = play(tasks, policy)
    found, history = played.attempts(), played.history()
    assert (found.gpus < tasks.gpus[found.row]).any()
    assert history.held_part is not None
    rates = speeds(tasks, found)
    for row in range(len(tasks)):
        of_task = rates[found.row == row]
        assert history.service_time[row] * of_task.min() <= tasks.size[row] * (1 + 1e-9)
        assert history.service_time[row] * of_task.max() >= tasks.size[row] * (1 - 1e-9)
    np.testing.assert_allclose(
        np.bincount(found.row, (found.end_time - found.start_time) * found.gpus),
        history.held_time * history.held_part * tasks.gpus,
    )
    usage = Usage.of(played)
    assert usage.busy_gpu_seconds(np.array([0.0, 1e9])).sum() <= 4 * 2 * played.outcome().finish_time.max()
    length = played.outcome().finish_time.max() - tasks.arrival_time.min()
    assert length >= lower_bounds(tasks, BOTH).makespan - 1e-9


@settings(max_examples=25)
@given(st.sampled_from(PROGRAMMES), st.integers(0, 10_000), st.integers(1, 24), st.sampled_from([0.0, 500.0, 1920.0]))
def test_plain_rounds_of_jobs_and_pairs_play_the_same(name: str, seed: int, n: int, reset: float) -> None:
    tasks = workload(seed, gain=1.8, n=n)
    options = Options(restart_overhead=Overhead.read("20") if seed % 2 else Overhead())
    played = Simulation(tasks, BOTH, parse_policy(f"{name}_packed(round=300,reset={reset:g})"), options=options)
    assert isinstance(played.kernel, PackedKernel)
    fast = played.kernel._mechanism
    assert isinstance(fast, Packing)
    plain = PlainPacking(fast.jobs, fast.job_type, fast.beside, name, 300.0, reset)
    plain.play()
    played.advance()
    found = played.attempts()
    kind = BOTH.group_of_nodes()[found.node]
    part = found.gpus / tasks.gpus[found.row]
    reasons = [REASONS[reason] for reason in found.reason.tolist()]
    columns = (column.tolist() for column in (found.row, found.start_time, found.end_time, kind, part))
    assert sorted(zip(*columns, reasons, strict=True)) == sorted(plain.spans)
    assert played.history().service_time == pytest.approx(plain.service)


def test_calls_that_are_interrupted_play_the_same() -> None:
    tasks, random = workload(3, gain=1.8), np.random.default_rng(5)
    whole = play(tasks, POLICIES[0])
    cut = Simulation(tasks, BOTH, parse_policy(POLICIES[0]))
    while not cut.done:
        if random.random() < 0.5:
            cut.advance(until_time=cut.clock + float(random.integers(0, 20)) * 100.0)
        else:
            cut.advance(max_events=int(random.integers(1, 9)))
    np.testing.assert_array_equal(cut.outcome().finish_time, whole.outcome().finish_time)
    for column in ("row", "number", "start_time", "end_time", "node", "device", "gpus", "reason"):
        np.testing.assert_array_equal(getattr(cut.attempts(), column), getattr(whole.attempts(), column))


def test_pairs_shorten_a_batch_and_the_bound_knows_it() -> None:
    # Two jobs of 1,000 units at 1 a second, 0.9 beside each other: one GPU does them in 1,111 s, not in 2,000.
    rates = Throughputs(("new",), {("x", 1): (1.0,)}, {("x", "x"): ((0.9, 0.9),)})
    tasks = Workload.from_columns(
        arrival_time=[0.0, 0.0], runtime=[900.0, 900.0], size=[900.0, 900.0], gpus=[1.0, 1.0], cpus=[0.0, 0.0],
        group=["x", "x"], throughputs=rates,
    )  # fmt: skip
    assert lower_bounds(tasks, ONE).makespan == pytest.approx(1000.0)
    assert play(tasks, "min_total_duration_packed(round=1000)", ONE).outcome().finish_time.tolist() == [1000.0, 1000.0]


def moment(seed: int) -> tuple[Instant, np.ndarray, np.ndarray]:
    """Return what 7 jobs are, their types and the rates beside each other."""
    random, rates = np.random.default_rng(seed), table(seed, 1.9)
    types, gpus = random.integers(0, 3, 7), random.choice([1.0, 1.0, 1.0, 2.0], 7)
    rate = np.array([rates.rates["abc"[kind], int(count)] for kind, count in zip(types, gpus, strict=True)])
    nothing = np.zeros(7)
    now = Instant(
        gpus=gpus, weight=np.ones(7), rate=rate, left=random.uniform(10, 1000, 7), age_time=nothing,
        alone_time=nothing, had_share=np.zeros((7, 2)), workers=np.array([2.0, 1.0]), names=KINDS,
    )  # fmt: skip
    return now, np.where(gpus == 1, types, -1), rates.beside("abc")


def best_of_all(now: Instant, types: np.ndarray, beside: np.ndarray, worth: np.ndarray, least: bool) -> float:
    """Return an optimum over all jobs and all pairs, useful or not, written down plainly."""
    jobs, kinds = now.rate.shape
    units: list[tuple[int, ...]] = [(one,) for one in range(jobs)]
    units += [pair for pair in combinations(range(jobs), 2) if types[pair[0]] >= 0 and types[pair[1]] >= 0]
    gain, time, cap = np.zeros((jobs, len(units), kinds)), np.zeros((jobs, len(units), kinds)), []
    for number, unit in enumerate(units):
        for one in unit:
            rate = (
                now.rate[one] if len(unit) == 1 else beside[types[one], types[unit[0] if unit[1] == one else unit[1]]]
            )
            gain[one, number], time[one, number] = rate * worth[one], 1.0
    for kind in range(kinds):
        held = np.zeros((len(units), kinds))
        held[:, kind] = [now.gpus[unit[0]] for unit in units]
        cap.append(held.ravel())
    width = len(units) * kinds
    if not least:
        bounds = np.vstack([time.reshape(jobs, width), cap])
        return -float(linprog(-gain.sum(0).ravel(), A_ub=bounds, b_ub=[*np.ones(jobs), *now.workers]).fun)
    bounds = np.vstack([
        np.column_stack([-gain.reshape(jobs, width), np.ones(jobs)]),
        np.column_stack([np.vstack([time.reshape(jobs, width), cap]), np.zeros(jobs + kinds)]),
    ])  # fmt: skip
    limits = [*np.zeros(jobs), *np.ones(jobs), *now.workers]
    return -float(linprog(np.append(np.zeros(width), -1.0), A_ub=bounds, b_ub=limits).fun)


@pytest.mark.parametrize("name", PROGRAMMES)
@pytest.mark.parametrize("seed", range(6))
def test_shares_are_the_best_of_all_jobs_and_pairs(name: str, seed: int) -> None:
    now, types, beside = moment(seed)
    pairs = Pairs.of(now.rate, types, beside)
    assert 0 < len(pairs) < 21
    alone, shared = packed_shares(name, now, pairs)
    assert ((alone >= 0) & (alone <= 1)).all()
    taken = alone.sum(1)
    np.add.at(taken, pairs.first, shared.sum(1))
    np.add.at(taken, pairs.second, shared.sum(1))
    assert (taken <= 1 + 1e-9).all()
    assert ((alone * now.gpus[:, None]).sum(0) + shared.sum(0) <= now.workers + 1e-9).all()
    done = (alone * now.rate).sum(1)
    np.add.at(done, pairs.first, (shared * pairs.rate[:, :, 0]).sum(1))
    np.add.at(done, pairs.second, (shared * pairs.rate[:, :, 1]).sum(1))
    worth = {
        "max_min_fairness": now.gpus / (now.rate @ now.workers / now.workers.sum()),
        "min_total_duration": 1 / now.left,
        "max_sum_throughput": np.ones(7),
    }[name]
    least = name != "max_sum_throughput"
    reached = (done * worth).min() if least else done.sum()
    assert reached == pytest.approx(best_of_all(now, types, beside, worth, least), rel=1e-5)
    if least:
        assert least_gain(name, now, pairs) == pytest.approx(best_of_all(now, types, beside, worth, least), rel=1e-7)


def test_more_jobs_than_pairs_are_found_among_are_refused_in_a_sentence() -> None:
    many = MOST_SHARING + 1
    with pytest.raises(NoAllocation, match=f"{many} jobs that may share a GPU are there at once"):
        Pairs.of(np.ones((many, 1)), np.zeros(many, np.int64), np.ones((1, 1, 1)))


def nested(**pairs: Any) -> dict[str, Any]:
    x = {"null": 2.0, "('x', 1)": [1.5, 1.5], "('y', 1)": [1.0, 3.5], "('y', 2)": [1.0, 1.0]} | pairs
    return {"new": {"('x', 1)": x, "('y', 1)": {"null": 3.0}}, "old": {"('x', 1)": {"null": 1.0}}}


def test_rates_of_pairs_are_read_from_gavels_tables_and_come_back(tmp_path: Path) -> None:
    file = tmp_path / "rates.json"
    file.write_text(json.dumps(nested()))
    found = read_kinds(file)
    assert found is not None
    # Nobody is faster beside another than alone, and pairs of more GPUs are left out.
    assert found.pairs == {("x", "x"): ((1.5, 1.5), (0.0, 0.0)), ("x", "y"): ((1.0, 3.0), (0.0, 0.0))}
    assert Throughputs.from_json(json.loads(json.dumps(found.as_json()))) == found
    assert "pairs" not in Throughputs(("new",), {("x", 1): (1.0,)}).as_json()
    assert found.beside(["y", "x"])[:, :, 0].tolist() == [[0.0, 3.0], [1.0, 1.5]]


@pytest.mark.parametrize("both", [[1.0], "fast", [1.0, "x"], None])
def test_a_pair_without_two_rates_is_refused(tmp_path: Path, both: Any) -> None:
    file = tmp_path / "rates.json"
    file.write_text(json.dumps(nested(**{"('x', 1)": both})))
    with pytest.raises(InvalidTrace, match="beside"):
        read_kinds(file)
    with pytest.raises(InvalidWorkload, match="not finite, or negative"):
        Throughputs(("new",), {("x", 1): (1.0,)}, {("x", "x"): ((-1.0, 1.0),)})
    with pytest.raises(InvalidWorkload, match="not a pair of rates a kind"):
        Throughputs(("new",), {("x", 1): (1.0,)}, {("x", "x"): ()})


@pytest.mark.parametrize("policy", POLICIES)
def test_a_job_on_two_nodes_tells_what_it_held_of_each(policy: str) -> None:
    tasks = workload(3, 1.8)
    told: list[Pieces] = []
    simulation = Simulation(tasks, BOTH, parse_policy(policy), on_pieces=told.append)
    simulation.advance()
    pieces, attempts = Pieces.joined(told), simulation.attempts()
    wide = attempts[tasks.gpus[attempts.row] == 3]
    begins = np.flatnonzero(np.append(True, pieces.span[1:] != pieces.span[:-1]))
    spans = {(row, start) for row, start in zip(pieces.row[begins], pieces.start_time[begins], strict=True)}
    assert spans >= {(row, start) for row, start in zip(wide.row, wide.start_time, strict=True)}
    assert len(wide)
    # The others have two GPUs, each on another node; who shares one has one node.
    assert set(tasks.gpus[pieces.row].tolist()) <= {2.0, 3.0}
    np.testing.assert_array_equal(np.add.reduceat(pieces.gpus, begins), tasks.gpus[pieces.row[begins]] * 1000)
    assert [mask.bit_count() * 1000 for mask in pieces.devices.tolist()] == pieces.gpus.tolist()
