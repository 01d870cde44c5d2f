"""Policy texts: what is read, how it is written again, and what is refused with which sentence."""

import pytest

from scheduler_sim.engine import (
    Cluster,
    InvalidPolicy,
    NodeGroup,
    Options,
    Simulation,
    Workload,
    parse_policies,
    parse_policy,
)
from scheduler_sim.engine.policies import BACKFILLS, ORDERS, PLACEMENTS, READY_MADE, split_outside
from scheduler_sim.engine.policies.backfill import Backfill
from scheduler_sim.engine.policies.parameter import ascending, choice, number, whole
from tests.engine.pool_cases import lognormal_workload, pool

PART = Backfill(
    "sample",
    9,
    "A part with one parameter of each kind.",
    "classic",
    parameters=(
        number("share", unit="s", default=1.5, rule="A number.", above=True),
        whole("depth", default=None, rule="A whole number."),
        ascending("limits", default=(1.0, 2.0), rule="Numbers."),
        choice("order", ORDERS.names, default="fcfs", rule="An order."),
    ),
)


def test_every_policy_of_the_registries_is_written_as_it_was_read():
    names = [*ORDERS.names(), *READY_MADE]
    names += [f"sjf+{backfill}@{place}" for backfill in BACKFILLS.names() for place in PLACEMENTS.names()]
    for name in names:
        shortest = name.replace("+none", "").replace("@first_fit", "")
        assert parse_policy(name).name == next((k for k, v in READY_MADE.items() if v == shortest), shortest)


@pytest.mark.parametrize(
    ("texts", "written"),
    [
        ({}, "sample"),
        ({"depth": "7", "share": "2"}, "sample(share=2,depth=7)"),
        ({"share": "1.50", "limits": "1/2", "order": "fcfs"}, "sample"),
        ({"limits": "3250/7200.5", "order": "sjf"}, "sample(limits=3250/7200.5,order=sjf)"),
        ({"share": "1e-3"}, "sample(share=0.001)"),
    ],
)
def test_parameters_are_written_in_one_order_and_defaults_left_out(texts, written):
    part = PART.with_values(texts)
    assert part.text == written
    assert PART.with_values(texts) == part


def test_a_parameter_that_is_not_given_has_its_default():
    part = PART.with_values({"share": "2"})
    assert [part.value(name) for name in ("share", "depth", "limits")] == [2.0, None, (1.0, 2.0)]


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ({"dept": "1"}, "There is no parameter of sample called 'dept'. Did you mean depth? Valid names: share, depth"),
        ({"share": "0"}, "sample: share is '0', not a number above 0."),
        ({"share": "nan"}, "sample: share is 'nan', not a number above 0."),
        ({"share": "inf"}, "not a number above 0."),
        ({"depth": "1.5"}, "sample: depth is '1.5', not a whole number from 1 up."),
        ({"limits": "2/1"}, "sample: limits is '2/1', not ascending numbers above 0 with / between them."),
        ({"order": "sjff"}, "There is no order called 'sjff'. Did you mean sjf?"),
    ],
)
def test_a_value_that_a_part_does_not_take_is_refused(texts, sentence):
    with pytest.raises(InvalidPolicy) as refused:
        PART.with_values(texts)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sjf(x=1)", "sjf has no parameters; 'x' was given."),
        ("sjf+conservative(depth", "The brackets of 'sjf+conservative(depth' do not match."),
        ("sjf+conservative)", "do not match"),
        ("sjf+conservative((depth=1))", "do not match"),
        ("sjf+conservative()", "Write parameters as conservative(name=value,...)."),
        ("sjf+conservative(4)", "Write parameters as conservative(name=value,...)."),
        ("sjf+conservative(depth=1,depth=2)", "gives depth more than once"),
        ("sjf+conservative(depth=0)", "conservative: depth is '0', not a whole number from 1 up."),
        ("sjf+easy+list", "is not a policy. Write order[+backfill][@placement][~preemption]"),
        ("sjf@first_fit+easy", "is not a policy"),
        ("sjf~", "is not a policy"),
        ("+easy", "is not a policy"),
        ("", "is not a policy"),
        ("sjf~stop", "There is no preemption called 'stop'."),
        ("fcsf", "There is no policy called 'fcsf'. Did you mean fcfs?"),
    ],
)
def test_what_is_not_a_policy_is_refused_with_one_sentence(text, sentence):
    with pytest.raises(InvalidPolicy) as refused:
        parse_policy(text)
    assert sentence in str(refused.value)


def test_a_comma_inside_brackets_does_not_end_a_policy():
    assert split_outside("a(x=1,y=2),b", ",") == ["a(x=1,y=2)", "b"]
    names = [policy.name for policy in parse_policies("fcfs, sjf+conservative( depth = 3 ),sjf+conservative(depth=4)")]
    assert names == ["fcfs", "sjf+conservative(depth=3)", "sjf+conservative(depth=4)"]


def test_a_name_that_rows_have_no_room_for_is_refused():
    with pytest.raises(InvalidPolicy, match="longer than 100 characters"):
        parse_policy(f"fcfs+conservative(depth={'9' * 90})")


def test_the_depth_of_a_policy_goes_before_that_of_the_run():
    workload = lognormal_workload(200, 32, 1.2, seed=2, estimate_factor=3.0)
    starts = []
    for policy, depth in (("conservative(depth=1)", 50), ("conservative", 1), ("conservative", None)):
        simulation = Simulation(
            workload, pool(32), parse_policy(f"sjf+{policy}"), options=Options(conservative_depth=depth)
        )
        simulation.advance()
        starts.append(simulation.outcome().start_time.tolist())
    assert starts[0] == starts[1]
    assert starts[0] != starts[2]


def simulate(policy, cluster=None, **columns):
    workload = Workload.from_columns(arrival_time=[0, 1, 2], runtime=[5, 5, 5], **columns)
    return Simulation(workload, cluster or pool(4), parse_policy(policy))


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ("fcfs+easy(order=drf)", "not backfilled by drf"),
        ("fcfs+easy(order=recorded)", "not backfilled by recorded"),
        ("fcfs+easy(order=sjf)@eft", "eft walks the queue in one order"),
        ("mlp+easy(order=sjf)", "mlp is scored at each instant, for easy without parameters"),
        ("fcfs+easy(order=ljf,predict=last_two)", "not of ljf"),
        ("fcfs+easy(order=quickest)", "no order called 'quickest'"),
        ("fcfs+easy(predict=mean)", "no predict called 'mean'"),
    ],
)
def test_an_order_of_backfilling_that_cannot_be_played_is_refused(policy, sentence):
    with pytest.raises(InvalidPolicy, match=sentence):
        simulate(policy, recorded_start_time=[0, 1, 2])


def test_run_times_are_predicted_on_a_pool_only():
    with pytest.raises(InvalidPolicy, match="on a single pool of processors"):
        simulate("fcfs+easy(predict=last_two)", Cluster("two", (NodeGroup("n", count=2, cores=4),)))
