"""The cheapest change that reaches a target: found as playing everything finds it, with a guarantee that holds."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim.engine.answers.purchase import (
    CHECKED,
    LARGEST_GRID,
    Change,
    Growth,
    Played,
    PurchaseSearch,
    parse_growths,
)
from scheduler_sim.engine.answers.purchase_plays import HOURS_A_YEAR, PurchaseProblem, grown, yearly_price
from scheduler_sim.engine.answers.targets import Target, parse_targets
from scheduler_sim.engine.clusters.cluster import Cluster, NodeGroup
from scheduler_sim.engine.clusters.presets import pool
from scheduler_sim.engine.contract import Options
from scheduler_sim.engine.errors import InvalidCluster, InvalidParameter
from scheduler_sim.engine.generators import generate_workload
from scheduler_sim.engine.policies import parse_policies
from scheduler_sim.engine.series import Signals, StepSeries
from scheduler_sim.engine.workloads.workload import Workload


def lublin(tasks: int, *, seed: int, processors: int) -> Workload:
    return generate_workload("lublin", tasks=tasks, seed=seed, parameters={"processors": processors}).workload


Table = dict[Change, float]


def searched(search: PurchaseSearch, table: Table, *, at_once: int = 1) -> PurchaseSearch:
    """Play what a search asks for until it asks for nothing."""
    while changes := search.ask(at_once):
        assert len(set(changes)) == len(changes)
        for change in changes:
            assert change not in search.plays, "asked for twice"
            search.tell(change, Played((table[change],)))
    return search


def cheapest(search: PurchaseSearch, table: Table) -> Change | None:
    """Return the first by price, policy and nodes that reaches the target, found by looking at all."""
    reach = [change for change, figure in table.items() if figure <= search.bounds[0]]
    return min(reach, key=lambda change: (search.price(change), change), default=None)


@st.composite
def tables(draw: st.DrawFn, *, monotone: bool) -> tuple[PurchaseSearch, Table]:
    kinds = draw(st.integers(1, 3))
    most = [draw(st.integers(1, 6 if kinds < 3 else 3)) for _ in range(kinds)]
    policies = draw(st.integers(1, 3))
    growths = [Growth(f"g{number}", one, float(draw(st.integers(1, 4)))) for number, one in enumerate(most)]
    shape = (policies, *(one + 1 for one in most))
    figures = np.array(draw(st.lists(st.integers(0, 20), min_size=math.prod(shape), max_size=math.prod(shape))), float)
    figures = figures.reshape(shape)
    if monotone:
        for axis in range(1, figures.ndim):
            figures = np.minimum.accumulate(figures, axis=axis)
    table = {Change(at[0], tuple(at[1:])): float(figures[at]) for at in product(*map(range, shape))}
    search = PurchaseSearch(policies, growths, (float(draw(st.integers(0, 20))),), most_plays=10_000)
    return search, table


@settings(max_examples=150, deadline=None)
@given(tables(monotone=True), st.integers(1, 3))
def test_where_waits_do_not_rise_the_cheapest_is_found(case: tuple[PurchaseSearch, Table], at_once: int) -> None:
    search, table = case
    searched(search, table, at_once=at_once)
    assert search.best == cheapest(search, table)
    assert search.guarantee[0] in ("exact", "monotone")
    assert search.rises()[0] == 0


@settings(max_examples=150, deadline=None)
@given(tables(monotone=False))
def test_an_answer_that_is_wrong_is_never_called_exact(case: tuple[PurchaseSearch, Table]) -> None:
    search, table = case
    searched(search, table)
    if search.best != cheapest(search, table):
        assert search.guarantee[0] != "exact"
    if search.best is not None:
        assert all(change in search.plays for change in _one_less(search.best))
        ranked = sorted(table, key=lambda change: (search.price(change), change))
        place = ranked.index(search.best)
        assert all(change in search.plays for change in ranked[max(0, place - CHECKED) : place])


def _one_less(change: Change) -> list[Change]:
    return [
        Change(change.policy, (*change.nodes[:axis], number - 1, *change.nodes[axis + 1 :]))
        for axis, number in enumerate(change.nodes)
        if number
    ]


@settings(max_examples=100, deadline=None)
@given(tables(monotone=False))
def test_an_exhaustive_search_is_exact_whatever_waits_do(case: tuple[PurchaseSearch, Table]) -> None:
    search, table = case
    whole = searched(replace(search, is_exhaustive=True, plays={}), table)
    assert whole.best == cheapest(whole, table)
    assert whole.guarantee[0] == "exact"


def test_one_kind_of_nodes_is_bisected() -> None:
    search = PurchaseSearch(1, [Growth("g", 1023, 1.0)], (0.0,))
    table = {Change(0, (number,)): float(number < 700) for number in range(1024)}
    while search.left:
        (change,) = search.ask()
        search.tell(change, Played((table[change],)))
    assert search.best == Change(0, (700,))
    assert len(search.plays) <= 12


def test_the_budget_ends_it_and_the_answer_says_so() -> None:
    search = PurchaseSearch(1, [Growth("g", 1000, 1.0)], (0.0,), most_plays=4)
    searched(search, {Change(0, (number,)): float(number < 700) for number in range(1001)})
    kind, sentence = search.guarantee
    assert (len(search.plays), kind) == (4, "unfinished")
    assert f"{search.left:,} are open" in sentence


def test_a_target_out_of_reach_leaves_the_nearest() -> None:
    search = PurchaseSearch(2, [Growth("g", 8, 1.0)], (1.0,))
    searched(search, {Change(policy, (n,)): 50.0 - n - 20 * policy for policy in range(2) for n in range(9)})
    assert search.best is None
    assert search.nearest == Change(1, (8,))
    assert search.guarantee[0] == "monotone"


def test_the_frontier_falls_as_more_is_spent() -> None:
    search = PurchaseSearch(2, [Growth("g", 8, 2.0)], (30.0,))
    searched(search, {Change(policy, (n,)): 50.0 - 4 * n - 3 * policy for policy in range(2) for n in range(9)})
    frontier = search.frontier()
    figures = [search.plays[change].figures[0] for change in frontier]
    assert figures == sorted(figures, reverse=True)
    assert [search.price(change) for change in frontier] == sorted({search.price(change) for change in frontier})
    assert search.best is not None
    assert search.price(search.best) in [search.price(change) for change in frontier]


def test_a_grid_too_large_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="too many to choose from"):
        PurchaseSearch(1, [Growth("a", LARGEST_GRID, 1.0)], (1.0,))


CASES = [
    ("fcfs,fcfs+easy,sjf+easy", "p95_wait_time < 2 h"),
    ("fcfs,fcfs+easy", "mean_wait < 20 min; mean_bounded_slowdown < 40"),
    ("fcfs+easy,sjf+easy", "p95_wait of size 9 to 64 cores < 90 min"),
]


@pytest.mark.parametrize(("policies", "targets"), CASES)
def test_the_optimum_of_a_small_case_is_that_of_playing_everything(policies: str, targets: str) -> None:
    workload = lublin(250, seed=3, processors=48)
    problem = PurchaseProblem(
        workload=workload,
        ground=pool(48),
        policies=parse_policies(policies),
        growths=(Growth("processors", 40, 1.0),),
        targets=parse_targets(targets),
    )
    bounds = [target.bound for target in problem.targets]
    search = PurchaseSearch(len(problem.policies), problem.growths, bounds)
    while changes := search.ask():
        search.tell(changes[0], problem.play(changes[0]))
    every = [Change(policy, (number,)) for policy in range(len(problem.policies)) for number in range(41)]
    reach = [change for change in every if search.reaches(problem.play(change))]
    assert reach, "a case that nothing reaches tells nothing"
    assert search.best == min(reach, key=lambda change: (search.price(change), change))
    assert search.best.nodes != (0,)
    assert len(search.plays) < len(every) / 3


def two_kinds() -> Cluster:
    return Cluster(
        "two",
        (
            NodeGroup("thin", 2, 8, usd_per_core_hour=0.01),
            NodeGroup("fat", 1, 32, usd_per_core_hour=0.02),
        ),
    )


def test_two_kinds_of_nodes_are_weighed_by_price() -> None:
    workload = lublin(150, seed=5, processors=32)
    workload = replace(workload, cpus=np.minimum(workload.cpus, 8.0))
    growths = (Growth("thin", 6, 1.0), Growth("fat", 3, 3.5))
    problem = PurchaseProblem(
        workload, two_kinds(), parse_policies("fcfs,sjf+easy"), growths, parse_targets("p95_wait<1h")
    )
    search = PurchaseSearch(2, growths, [3600.0])
    while changes := search.ask(2):
        for change in changes:
            search.tell(change, problem.play(change))
    every = [Change(policy, nodes) for policy in range(2) for nodes in product(range(7), range(4))]
    reach = [change for change in every if search.reaches(problem.play(change))]
    assert search.best == min(reach, key=lambda change: (search.price(change), change), default=None)


def test_a_change_keeps_the_power_cap_of_the_run() -> None:
    cluster = Cluster("c", (NodeGroup("n", 1, 2, cpu_idle_watts=10.0, cpu_busy_watts=30.0),))
    workload = Workload.from_columns(arrival_time=[0, 0], runtime=[100, 100], cpus=[1, 1])
    cap = Signals({"power_cap": StepSeries(np.array([0.0]), np.array([40.0 + 1.0]), 9.0, "hold")})
    targets, growths = parse_targets("mean_wait < 1 h"), (Growth("n", 1, 1.0),)
    problem = PurchaseProblem(workload, cluster, parse_policies("fcfs"), growths, targets)
    assert problem.play(Change(0, (0,))).figures == (0.0,)
    held = replace(problem, options=Options(hold_cap=True), signals=cap)
    assert held.play(Change(0, (0,))).figures == (50.0,)


def test_a_play_is_the_same_whenever_it_is_played() -> None:
    workload = lublin(100, seed=1, processors=32)
    targets = parse_targets("mean_wait < 1 h")
    growths = (Growth("processors", 4, 1.0),)
    problem = PurchaseProblem(workload, pool(32), parse_policies("random"), growths, targets, seeds=(1, 2))
    one = problem.play(Change(0, (3,)))
    assert one == problem.play(Change(0, (3,)))
    assert one.tasks == 100
    apart = [replace(problem, seeds=(seed,)).play(Change(0, (3,))).figures[0] for seed in (1, 2)]
    assert one.figures[0] == pytest.approx(np.mean(apart))


def test_prices_come_from_what_the_cluster_states() -> None:
    assert yearly_price(two_kinds(), "fat") == pytest.approx(HOURS_A_YEAR * 32 * 0.02)
    assert yearly_price(Cluster("bare", (NodeGroup("a", 1, 4),)), "a") == 0
    with pytest.raises(InvalidCluster, match="no node group 'b'"):
        yearly_price(two_kinds(), "b")
    assert grown(two_kinds(), (Growth("thin", 3, 1.0),), (0,)) == two_kinds()


@pytest.mark.parametrize(
    ("text", "target", "shown"),
    [
        ("p95 wait of partition gpu < 4 h", Target("p95_wait_time", 14_400, "partition", "gpu"), None),
        ("MEAN_WAIT<90", Target("mean_wait_time", 90), "mean_wait_time < 1.5 min"),
        ("slowdown <= 2.5", Target("mean_bounded_slowdown", 2.5), "mean_bounded_slowdown < 2.5"),
        ("median wait of size 2 to 8 cores under 1.5h", Target("p50_wait_time", 5400, "size", "2 to 8 cores"), None),
        (
            "mean_job_completion_time of hour 09 at most 1 d",
            Target("mean_job_completion_time", 86_400, "hour", "09"),
            None,
        ),
    ],
)
def test_targets_are_read_and_written(text: str, target: Target, shown: str | None) -> None:
    assert parse_targets(text) == (target,)
    assert parse_targets(str(target)) == (target,)
    assert shown is None or str(target) == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "A target is wanted"),
        ("quick please", "A target is FIGURE"),
        ("p94_wait < 3", "Did you mean p95_wait"),
        ("p95_wait of colour red < 3", "no way to tell tasks apart called 'colour'"),
        ("p95_wait < 3 weeks", "s, min, h, d"),
        ("slowdown < 3 h", "without a unit"),
    ],
)
def test_what_is_no_target_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        parse_targets(text)


def test_a_group_that_nobody_is_in_is_refused_with_those_there_are() -> None:
    workload = lublin(50, seed=1, processors=32)
    rows = np.arange(50)
    with pytest.raises(InvalidParameter, match="states no partition"):
        parse_targets("p95_wait of partition gpu < 1 h")[0].rows(workload, rows)
    with pytest.raises(InvalidParameter, match="No scored task is of size 'huge'"):
        parse_targets("p95_wait of size huge < 1 h")[0].rows(workload, rows)


def test_what_may_be_added_is_read_with_its_price() -> None:
    prices = {"a": 5.0}
    assert parse_growths("a=3, b=2@7.5", prices) == (Growth("a", 3, 5.0), Growth("b", 2, 7.5))
    assert parse_growths("c[1,3]=2", {"c[1,3]": 1.0}) == (Growth("c[1,3]", 2, 1.0),)
    for text in ("a", "a=0", "a=x", "b=2", "a=1@0", "a=1@-2", "a=1@nan", "=3"):
        with pytest.raises(InvalidParameter, match=r"GROUP=MOST\[@PRICE\]"):
            parse_growths(text, prices)
    with pytest.raises(InvalidParameter, match="twice"):
        parse_growths("a=1,a=2", prices)
