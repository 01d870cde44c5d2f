"""Helpers of the passes of a site against plain loops; but for vectors they run as Python here."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numba import njit

from scheduler_sim.engine.kernels.site import match, recall
from scheduler_sim.engine.kernels.site.state import CHOSEN, FIELDS, LOGGED, ROOMS, SETTINGS, WORDS
from scheduler_sim.engine.kernels.structures.vectors import bits_that_fit, few_up_to


def plain(module: Any, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let functions of a module call each other as Python."""
    for name in names:
        function = getattr(module, name)
        monkeypatch.setattr(module, name, getattr(function, "py_func", function))


def _few(values: Any, first: Any, limit: Any) -> Any:
    return few_up_to(values, first, limit)


def _fit(times: Any, first: Any, ends: Any, other: Any, least: Any, length: Any, spare: Any) -> Any:
    return bits_that_fit(times, first, ends, other, least, length, spare)


def test_doubles_that_are_compared_in_vectors_are_those_of_a_plain_loop() -> None:
    few, fit = njit(_few), njit(_fit)
    random = np.random.default_rng(0)
    for _ in range(300):
        times = random.choice([-np.inf, np.inf, 0.0, 1.0, 2.0, 3.0, 2.5], 200)
        ends = random.choice([np.inf, 0.0, 1.0, 2.0, 3.0, 9.0], 200)
        first, other = random.integers(0, 136, 2).tolist()
        limit = float(random.choice([-np.inf, 0.0, 1.0, 2.5, np.inf]))
        assert few(times, first, limit) == sum(1 << k for k in range(8) if times[first + k] <= limit)
        least, length, spare = (
            float(random.choice(values)) for values in ([0.0, 1.0, 2.0], [1.0, 2.0, np.inf], [0.0, 1.0, 60.0])
        )
        fits = [max(times[first + k], least) + length <= ends[other + k] + spare for k in range(64)]
        assert fit(times, first, ends, other, least, length, spare) & 2**64 - 1 == sum(
            1 << k for k in range(64) if fits[k]
        )


def best_of(runs: list[tuple[int, int, int]], left: list[int], cores: int, nodes: int) -> int:
    """Return which of some runs, each of a weight, nodes and grains, Slurm takes next by a look at each; else -1.

    The lightest come first. Of those one that suffices, the tightest, and of others the largest.
    """
    best, of_best, suffices = -1, (0, 0, 0), False
    for number in left:
        weight, size, total = runs[number]
        is_enough = total >= cores and size >= nodes
        is_better = best < 0 or weight < of_best[0]
        if best >= 0 and weight == of_best[0]:
            is_better = (total < of_best[2] or not suffices) if is_enough else total > of_best[2]
        if is_better:
            best, of_best, suffices = number, runs[number], is_enough
    return best


# No run has from 2**31 to 2**32 grains, which are thousandths of cores at the least; beyond, each is looked at in turn.
@pytest.mark.parametrize("unit", [1, 2**25, 2**32], ids=["few grains", "up to 2**31", "beyond 2**32"])
def test_the_next_run_is_the_one_that_a_look_at_each_in_turn_finds(unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain(match, ("_best_in_turn", "_best_run", "_find_runs"), monkeypatch)
    random = np.random.default_rng(unit)
    for _ in range(150):
        count = int(random.integers(0, 14))
        node = np.sort(random.choice(20, count, replace=False))
        offers = unit * random.integers(1, 5, count)
        weights = random.integers(0, 3, count) if random.random() < 0.5 else np.zeros(count, np.int64)
        counts = np.zeros(FIELDS, np.int64)
        counts[ROOMS] = count
        scratch = {name: np.zeros(20, np.int64) for name in ("room_first", "room_size", "room_sum", "room_rank")}
        state: Any = SimpleNamespace(
            room_nodes=node, room_cores=offers, room_weight=weights, counts=counts, **scratch
        )  # fmt: skip
        cores, nodes = unit * int(random.integers(-2, 12)), int(random.integers(-2, 5))
        found, best = match._find_runs(state, cores, nodes)
        new = [k for k in range(count) if not k or node[k] != node[k - 1] + 1 or weights[k] != weights[k - 1]]
        ends = [*new[1:], count]
        runs = [
            (int(weights[k]), end - k, int(offers[k:end].sum())) for k, end in zip(new, ends, strict=False) if count
        ]
        assert [tuple(one) for one in zip(state.room_size[:found], state.room_sum[:found], strict=True)] == [
            run[1:] for run in runs
        ]
        left = list(range(len(runs)))
        while left or best >= 0:
            assert best == best_of(runs, left, cores, nodes)
            left.remove(best)
            state.room_rank[best] = match.USED
            cores, nodes = cores - unit * int(random.integers(0, 4)), nodes - 1
            best = match._best_run(state, found, cores, nodes)


def test_that_too_few_nodes_are_of_use_holds_until_one_is_that_was_not(monkeypatch: pytest.MonkeyPatch) -> None:
    plain(
        recall,
        ("remember", "remember_later", "as_few_as_before", "_last_of_use", "_list_changed"),
        monkeypatch,
    )
    monkeypatch.setattr(recall, "known_place", lambda *_: 0)
    monkeypatch.setattr(recall, "lowest_bit", lambda bits: (int(bits) & -int(bits)).bit_length() - 1)

    def within(state: Any, _part: int, _known: int, time: float) -> None:
        state.within_words[0] = sum(1 << n for n in range(20) if state.mask_words[0] >> n & 1 and times[n] <= time)

    monkeypatch.setattr(recall, "known_within", within)
    random = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        counts, settings = np.zeros(FIELDS, np.int64), np.zeros(SETTINGS, np.int64)
        counts[LOGGED], counts[CHOSEN], settings[WORDS] = 5, 3, 1
        times = random.choice([-np.inf, 1.0, 2.0, 3.0, 4.0, np.inf], 20)
        columns = ("kind", "version", "row", "chosen", "both", "within", "nodes", "units")
        answer: dict[str, Any] = {f"answer_{name}": np.zeros(40, np.int64) for name in columns}
        answer |= {f"answer_{name}": np.zeros(1) for name in ("time", "until", "earliest")}
        words = {name: np.zeros(1, np.int64) for name in ("suit_words", "within_words", "changed_words")}
        state: Any = SimpleNamespace(
            counts=counts, settings=settings, known_times=times, kinds=[SimpleNamespace(part=0)],
            mask_words=random.integers(0, 2**20, 1), changed_nodes=random.integers(0, 20, 32),
            changed_span=np.full(2, -1), **answer, **words,
        )  # fmt: skip
        # No search is without an end: one of the two is a time.
        until = float(random.integers(1, 5))
        earliest = float(random.integers(1, 5)) if random.random() < 0.5 else np.inf
        recall.remember_later(state, 0, 0, until, earliest)
        before = times.copy()
        counts[LOGGED] += int(random.integers(0, 6))
        changed = set(state.changed_nodes[5 : counts[LOGGED]].tolist())
        for node in changed:
            times[node] = random.choice([-np.inf, 1.0, 2.0, 3.0, 4.0, np.inf])
        of_use, was = (one < earliest if earliest < np.inf else one <= until for one in (times, before))
        more = any(of_use[node] and not was[node] for node in changed if state.mask_words[0] >> node & 1)
        holds = recall.as_few_as_before(state, 0, 0)
        assert holds == (not more)
        held += holds
    assert 0 < held < 300
