"""What tasks on several nodes held of each: kept small, read back whole, and true to the nodes that there are."""

from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.demand import demands
from scheduler_sim.engine.contract import Pieces
from scheduler_sim.engine.gangs import TOGETHER, GangLog, Gangs
from scheduler_sim.engine.kernels.structures import gang_buffer
from scheduler_sim.engine.measuring.overbooked import overbooked
from tests.engine.gang_cases import Span, listening, spans_of
from tests.engine.test_nodes_reference import random_case

POLICIES = ("fcfs+list", "sjf+easy@best_fit", "fcfs+conservative@best_fit")


def pieces_of(spans: list[Span]) -> Pieces:
    """Return spans as a kernel tells of them."""
    columns = [
        (number, row, start, end, *piece) for number, (row, start, end, held) in enumerate(spans) for piece in held
    ]
    kinds = (np.int64, np.int64, np.float64, np.float64, np.int64, np.int64, np.int64, np.int64)
    made: list[Any] = [np.array(values, kind) for values, kind in zip(zip(*columns, strict=True), kinds, strict=True)]
    return Pieces(*made)


def random_spans(generator: np.random.Generator, count: int) -> list[Span]:
    """Return spans on few nodes, many of them in a row with the same on each, GPU 63 among what is held."""
    spans = []
    for row in generator.integers(0, max(count // 2, 1), count).tolist():
        nodes = np.sort(generator.choice(12, int(generator.integers(2, 9)), replace=False)).tolist()
        held = [(8000, 0, 0), (8000, 64_000, -1), (0, 1500, 3)]
        pieces = tuple((node, *held[generator.choice(3, p=[0.1, 0.8, 0.1])]) for node in nodes)
        start = float(generator.integers(0, 9)) / 3
        spans.append((row, start, start + float(generator.integers(0, 9)) / 7, pieces))
    return spans


@pytest.mark.parametrize("count", [1, 40])
def test_spans_are_read_back_as_they_were_packed(count: int) -> None:
    generator = np.random.default_rng(count)
    spans = random_spans(generator, count)
    gangs = Gangs.of(pieces_of(spans))
    assert len(gangs) == count
    assert gangs.node_counts.tolist() == [len(held) for *_, held in spans]
    for again in (gangs, Gangs.unpacked(gangs.packed()), gangs.in_order(), Gangs.unpacked(gangs.in_order().packed())):
        assert spans_of(again.pieces()) == sorted(spans)
    ordered = gangs.in_order()
    assert ordered.task.tolist() == sorted(row for row, *_ in spans)
    some = generator.permutation(count)[: count // 2 + 1]
    assert spans_of(gangs[some].pieces()) == sorted(spans[place] for place in some.tolist())
    assert gangs.nodes(0).tolist() == [node for node, *_ in spans[0][3]]


def test_nothing_is_read_back_as_nothing() -> None:
    nothing = Gangs.unpacked(Gangs.of(Pieces.none()).packed())
    assert len(nothing) == 0
    assert len(nothing.pieces()) == 0
    assert len(nothing.in_order()) == 0


def test_a_log_packs_what_has_come_and_keeps_its_order() -> None:
    generator = np.random.default_rng(3)
    spans = random_spans(generator, 2 * TOGETHER + 100)
    log = GangLog()
    for first in range(0, len(spans), 900):
        log.add(pieces_of(spans[first : first + 900]))
    assert log.gangs().task.tolist() == [row for row, *_ in spans]
    assert spans_of(log.gangs().pieces()) == sorted(spans)


def test_a_gang_by_hand_holds_whole_nodes_and_the_rest_of_one() -> None:
    workload = Workload.from_columns(
        arrival_time=[0.0, 0.0, 1.0], runtime=[5.0, 5.0, 2.0], gpus=[1, 11, 6], cpus=[1, 22, 6]
    )
    simulation = Simulation(workload, Cluster("c", (NodeGroup("n", 4, 16, gpus=4),)), parse_policy("fcfs"))
    told = listening(simulation)
    simulation.advance()
    # Two whole nodes hold eight GPUs; the lowest with room for three more is the one that the first task is on.
    assert spans_of(Pieces.joined(told)) == [
        (1, 0.0, 5.0, ((0, 6000, 3000, 14), (1, 8000, 4000, 15), (2, 8000, 4000, 15))),
        (2, 5.0, 7.0, ((0, 4000, 4000, 15), (1, 2000, 2000, 3))),
    ]


@pytest.mark.parametrize("policy", POLICIES)
def test_pieces_add_up_to_the_request_and_never_overfill_a_node(policy: str) -> None:
    several = 0
    for seed in range(30):
        workload, cluster, options = random_case(seed)
        if not len(workload):
            continue
        simulation = Simulation(workload, cluster, parse_policy(policy), seed=seed, options=options)
        told = listening(simulation)
        simulation.advance()
        pieces, spans = Pieces.joined(told), simulation.spans()
        together = Gangs.of(pieces)
        # One side of a split task ends before the other: it holds less than its span says.
        assert overbooked(cluster, spans[~workload.hybrid[spans.row]], together) is None
        if (pieces.end_time > pieces.start_time).any():
            twice = Gangs.joined([together, together])
            assert overbooked(cluster, spans, twice) is not None, "what is held twice is too much"
            for most in (1, 3, 7):
                assert overbooked(cluster, spans, twice, most_pieces=most) == overbooked(cluster, spans, twice)
        asked, outcome = demands(workload, cluster), simulation.outcome()
        rest = (asked.last_cpu > 0) | (asked.last_gpu > 0)
        on_several = np.flatnonzero(asked.full_nodes + rest > 1)
        gangs = spans_of(pieces)
        assert [row for row, *_ in gangs] == on_several.tolist()
        for row, start, end, held in gangs:
            assert (start, end) == (outcome.start_time[row], outcome.finish_time[row])
            assert sum(gpus for _, _, gpus, _ in held) == asked.gpu[row] == 1000 * workload.gpus[row]
            assert (
                sum(cpus for _, cpus, _, _ in held) == asked.full_nodes[row] * asked.full_cpu[row] + asked.last_cpu[row]
            )
            assert held[0][0] == outcome.node[row]
        several += len(gangs)
    assert several > 10


@pytest.mark.parametrize("seed", range(20))
def test_parts_of_the_nodes_are_together_the_whole(seed: int) -> None:
    generator = np.random.default_rng(seed)
    whole = Gangs.of(pieces_of(random_spans(generator, 12)))
    most = int(generator.integers(1, 30))
    chunks = list(whole.node_chunks(12, most))
    assert [first for first, _ in chunks] == [0, *(last for _, last in chunks[:-1])]
    assert chunks[-1][1] == 12
    parts = [whole.on_nodes(first, last).pieces() for first, last in chunks]
    # A chunk of several nodes keeps to what is allowed.
    assert all(len(part) <= most or last - first == 1 for part, (first, last) in zip(parts, chunks, strict=True))
    columns = ("row", "start_time", "end_time", "node", "cpus", "gpus", "devices")

    def rows(pieces: Pieces) -> list[tuple[Any, ...]]:
        return sorted(zip(*(getattr(pieces, name).tolist() for name in columns), strict=True))

    assert [row for part in parts for row in rows(part)] == sorted(
        rows(whole.pieces()),
        key=lambda row: (next(place for place, (first, last) in enumerate(chunks) if first <= row[3] < last), row),
    )
    assert whole.last_node == whole.pieces().node.max()


def test_a_buffer_that_fills_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 20
    workload = Workload.from_columns(
        arrival_time=np.arange(count), runtime=np.arange(count) % 7, gpus=4 + np.arange(count) % 9, cpus=np.ones(count)
    )
    cluster = Cluster("c", (NodeGroup("n", 4, 16, gpus=4),))
    found = []
    for size in (gang_buffer.BUFFER, 0):
        monkeypatch.setattr(gang_buffer, "BUFFER", size)
        simulation = Simulation(workload, cluster, parse_policy("fcfs"))
        told = listening(simulation)
        simulation.advance()
        assert simulation.done
        found.append((spans_of(Pieces.joined(told)), simulation.outcome().finish_time.tolist(), len(told)))
    assert found[0][:2] == found[1][:2]
    assert found[1][2] > found[0][2], "the small buffer was never full"
