"""What charts hold: never more points than a screen shows, never a number that was not computed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.dashboard.runs.charts import completion_times
from apps.dashboard.runs.fairness_chart import fairness_chart
from apps.metrics.leaderboard import FOLDED_COLUMNS, in_words, leaderboard, win_matrix
from apps.metrics.models import Metric
from scheduler_sim.display.appearance import COLOURS, DASH_ARRAYS, appearance
from scheduler_sim.display.charts import (
    SCATTER_POINTS,
    SERIES_POINTS,
    Axis,
    Chart,
    Series,
    cumulative,
    plain,
    sample_rows,
    thin,
)
from scheduler_sim.display.formatting import (
    change_in_words,
    duration,
    listing,
    percent_change,
    percent_done,
    quantity,
    scale_of,
)
from scheduler_sim.engine.numerics.histogram import LogHistogram
from scheduler_sim.engine.numerics.paired import task_difference
from scheduler_sim.engine.policies import READY_MADE
from scheduler_sim.engine.policies.order import ORDERS


def total(scheduler: str, slowdown: float | None, completion: float | None = None, **fields) -> Metric:
    return Metric(
        scheduler=scheduler,
        mean_bounded_slowdown=slowdown,
        mean_job_completion_time=completion if completion is not None else slowdown,
        mean_wait_time=slowdown,
        finished_count=10,
        **fields,
    )


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(0, 2**32 - 1))
def test_thinning_keeps_the_ends_and_the_extremes(count, seed):
    values = np.random.default_rng(seed).standard_cauchy(count).tolist()
    x, y = thin(np.arange(len(values)), values)
    assert len(x) <= SERIES_POINTS
    assert (x[0], x[-1]) == (0, len(values) - 1)
    assert min(y) == min(values)
    assert max(y) == max(values)
    assert all(values[int(at)] == value for at, value in zip(x, y, strict=True))


def test_thinning_keeps_gaps():
    values = np.full(4000, np.nan)
    values[2000] = 5.0
    _, y = thin(np.arange(4000), values)
    assert np.nanmax(y) == 5.0
    assert np.isnan(y).any()


@settings(deadline=None)
@given(st.integers(0, 10**7))
def test_a_sample_is_small_ascending_and_within_the_rows(count):
    rows = sample_rows(count)
    assert len(rows) <= SCATTER_POINTS
    assert len(rows) == min(count, SCATTER_POINTS)
    assert (np.diff(rows) > 0).all()
    assert not len(rows) or (rows[0] == 0 and rows[-1] == count - 1)


def test_a_cumulative_share_ends_at_one_and_starts_below_the_first_value():
    x, y = cumulative(np.array([0, 0, 3, 0, 1, 0]), np.array([1.0, 2, 3, 4, 5, 6]))
    assert x == [2, 3, 4, 5]
    assert y == [0, 0.75, 0.75, 1]


def test_a_cumulative_share_of_nothing_is_empty():
    assert cumulative(np.zeros(4, int), np.arange(4.0)) == ([], [])


def test_a_chart_is_json_without_nan_and_its_csv_has_every_point():
    chart = Chart("a", "line", "A", "B", Axis("t", "s"), Axis("v"), [Series("one", [1, 2], [float("nan"), 2.5])])
    document = json.dumps(chart.as_json(), allow_nan=False)
    assert json.loads(document)["series"][0]["y"] == [None, 2.5]
    assert list(chart.csv_rows()) == [("series", "t [s]", "v"), ("one", 1, None), ("one", 2, 2.5)]


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), (float("inf"), None), (3.0, 3), (1 / 3, 0.333333), ("a", "a")]
)
def test_numbers_are_shortened_to_six_digits(value, expected):
    assert plain(value) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "no data"),
        (0, "0 s"),
        (48.21, "48.2 s"),
        (810, "13.5 min"),
        (18360, "5.10 h"),
        (1_071_360, "12.4 d"),
        (-7200, "-2.00 h"),
    ],
)
def test_durations_are_written_in_the_unit_that_suits_them(seconds, text):
    assert duration(seconds) == text


def test_a_column_has_one_unit_and_one_number_of_decimals():
    scale = scale_of("seconds", [7200.0, 86_400.0, 3600.0, None])
    assert [scale.text(value) for value in (7200.0, 86_400.0, 3600.0, None)] == ["2.00", "24.00", "1.00", "no data"]
    assert scale.unit == "h"


@pytest.mark.parametrize(
    ("value", "base", "text"),
    [
        (37, 100, "-63%"),
        (104.2, 100, "+4.2%"),
        (1200, 100, "×12"),
        (5, 100, "÷20"),
        (100, 100, "0%"),
        (1, 0, "no data"),
        (-0.2, -0.3, "no data"),
        (-0.1, 0.2, "-150%"),
    ],
)
def test_differences_are_written_as_people_say_them(value, base, text):
    assert percent_change(value, base) == text


def test_the_scripts_draw_the_same_dashes_as_the_pages():
    script = (Path(__file__).parent.parent.parent / "static/js/charts/colours.js").read_text()
    (written,) = re.findall(r"DASHES = (\[.*?\]);", script, re.DOTALL)
    dashes = json.loads(written)
    assert tuple("" if dash == "solid" else " ".join(map(str, dash)) for dash in dashes) == DASH_ARRAYS


def test_progress_is_rounded_down_here_as_in_the_browser():
    pairs = json.loads((Path(__file__).parent.parent / "data/progress.json").read_text())
    assert len(pairs) > 5
    assert [(share, percent_done(share)) for share, _ in pairs] == [tuple(pair) for pair in pairs]


def test_differences_in_sentences():
    assert change_in_words(37, 100) == "63% lower"
    assert change_in_words(5, 100) == "20 times lower"
    assert change_in_words(300, 100) == "3.0 times higher"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert quantity("share", 0.5) == "50.0%"


def test_the_winner_is_named_with_how_much_and_why():
    best = total("sjf", 2.0, 100.0, cpu_utilisation=0.9, wins=8)
    base = total("fcfs", 40.0, 400.0, cpu_utilisation=0.6, wins=2)
    sentence, reason = in_words([best, base], base)
    assert sentence == "sjf slows tasks down least: a mean slowdown of 2.00, 20 times lower than fcfs."
    assert "CPU use is 90% instead of 60%" in reason
    assert "80% of the tasks finish first" in reason


def test_policies_of_like_slowdown_are_told_apart_by_completion_times():
    best, base = total("a", 1.0, 50.0), total("b", 1.0, 100.0)
    assert "50% shorter under a" in in_words([best, base], base)[0]


def test_a_run_without_figures_has_no_winner():
    assert in_words([total("a", None)], None)[0].startswith("No task has finished")


def test_blue_means_better_for_each_figure_whichever_way_is_better():
    totals = [total("a", 2.0, 10.0, fairness=0.9), total("b", 4.0, 20.0, fairness=0.5)]
    board = leaderboard(totals, base="b", sort="", whole=True)
    names = [column.name for column in board.columns]
    row = next(row for row in board.rows if row.scheduler == "a")
    assert row.cells[names.index("mean_bounded_slowdown")].verdict == "better"
    assert row.cells[names.index("fairness")].verdict == "better"


def test_the_leaderboard_sorts_by_any_column_and_keeps_the_ranks():
    totals = [total("a", 2.0, 30.0), total("b", 4.0, 20.0), total("c", None)]
    board = leaderboard(totals, base="a", sort="mean_job_completion_time")
    assert (board.rows[0].scheduler, board.rows[0].rank) == ("b", 2)
    assert board.rows[-1].scheduler == "c"


def test_columns_that_few_need_are_folded_until_all_are_asked_for_or_they_are_sorted_by():
    totals = [total("a", 2.0, 10.0, fairness=0.5, unfair_share=0.1), total("b", 4.0, fairness=0.9)]
    board = leaderboard(totals, base="a", sort="")
    assert list(board.folded) == ["fairness", "unfair_share"]
    assert not {column.name for column in board.columns} & FOLDED_COLUMNS
    by_fairness = leaderboard(totals, base="a", sort="-fairness")
    assert [column.name for column in by_fairness.columns][-1] == "fairness"
    assert [row.scheduler for row in by_fairness.rows] == ["b", "a"]
    whole = leaderboard(totals, base="a", sort="", whole=True)
    assert not whole.folded
    assert [column.name for column in whole.columns][-2:] == ["fairness", "unfair_share"]
    assert [len(row.cells) for row in whole.rows] == [len(whole.columns)] * 2


def test_shares_of_a_pair_in_the_win_matrix_add_up_to_one():
    one, two = total("a", 1.0), total("b", 2.0)
    one.details, two.details = {"beats": {"a": 0, "b": 30}}, {"beats": {"a": 10, "b": 0}}
    (_, first), (_, second) = win_matrix([one, two])
    assert (first[1].text, second[0].text) == ("75%", "25%")
    assert (first[1].step, second[0].step) == (8, 2)
    assert first[0].text == ""


def test_a_policy_that_loses_one_task_in_a_thousand_is_not_said_to_win_all():
    one, two = total("a", 1.0), total("b", 2.0)
    one.details, two.details = {"beats": {"b": 999}}, {"beats": {"a": 1}}
    (_, first), (_, second) = win_matrix([one, two])
    assert (first[1].text, second[0].text) == (">99%", "<1%")


def test_a_pair_that_always_ties_has_no_winner():
    one, two = total("a", 1.0), total("b", 2.0)
    one.details, two.details = {"beats": {"b": 0}}, {"beats": {"a": 0}}
    (_, first), _ = win_matrix([one, two])
    assert first[1].text == "ties"


def test_every_policy_has_one_look_and_the_usual_rivals_differ():
    names = [order.name for order in ORDERS] + [f"{order.name}+easy" for order in ORDERS] + list(READY_MADE)
    for name in [*names, "learned:x+easy", "gone"]:
        look = appearance(name)
        assert look == appearance(name)
        assert 0 <= look.colour < COLOURS
        assert 0 <= look.dash < len(DASH_ARRAYS)
    rivals = ["fcfs", "fcfs+easy", "fcfs+conservative", "sjf", "sjf+easy", "wfp3", "wfp3+easy", "f1", "f1+easy", "saf"]
    rivals += ["fcfs+easy(order=sjf)", "fcfs+easy(order=sjf,predict=last_two)"]
    assert len({appearance(name) for name in rivals}) == len(rivals)
    old = [name for name in READY_MADE if name != "recorded"]
    assert len({appearance(name) for name in old}) == len(old)


def test_a_paired_interval_holds_the_true_difference_and_knows_when_it_is_clear():
    generator = np.random.default_rng(1)
    base = generator.exponential(100, 3000)
    found = task_difference(base, base - 5 + generator.normal(0, 20, 3000))
    assert found.low is not None
    assert found.high is not None
    assert found.low < -5 < found.high
    assert found.clear
    assert found.sooner + found.later + found.same == found.tasks == 3000


def test_too_few_tasks_have_a_mean_but_no_interval():
    found = task_difference(np.arange(10.0), np.arange(10.0) + 1)
    assert (found.mean, found.low, found.clear) == (1.0, None, False)
    assert task_difference(np.zeros(0), np.zeros(0)).mean is None


def test_lines_of_one_policy_in_two_runs_look_alike_but_for_their_marks():
    histogram = LogHistogram.of(np.array([1.0, 10.0, 100.0])).as_json()
    details = {"histograms": {"job_completion_time": histogram}}
    named = [(f"sjf (run {run})", total("sjf", 1.0, run_id=run, details=details)) for run in (4, 9)]
    first, second = completion_times(named).as_json()["series"]
    assert (first["colour"], first["dash"]) == (second["colour"], second["dash"])
    assert (first.get("mark", 0), second.get("mark", 0)) == (0, 1)


def test_percentiles_beside_the_curves_are_the_stored_ones_and_others_are_marked_and_within_the_extremes():
    times = np.full(2, 101.0)
    details = {"histograms": {"job_completion_time": LogHistogram.of(times).as_json()}}
    stored = {f"{name}_job_completion_time": 101.0 for name in ("min", "p50", "p95", "p99", "max")}
    table = completion_times([("fcfs", total("fcfs", 1.0, details=details, **stored))]).table
    cells = dict(zip(table.columns, table.rows[0], strict=True))
    assert cells["95%"] == cells["50%"] == "101.0 s"
    assert cells["75%"] == cells["10%"] == "≈ 101.0 s"


def test_the_chart_of_fairness_names_who_got_least_and_how_many_took_longer_than_their_share():
    def told(scheduler, rho, worst_user, share, **fields):
        histogram = LogHistogram.of(np.array(rho)).as_json()
        shares = {"rho": histogram, "users": 2, "worst_user": worst_user, "share": share}
        return total(scheduler, 1.0, least_share=share, details={"fair_shares": shares}, **fields)

    fair = told("fair", [0.8, 0.9], "ann", 1.1, mean_rho=0.85, max_rho=0.9, unfair_share=0.0)
    greedy = told("greedy", [0.5, 4.0], "bob", 0.25, mean_rho=2.25, max_rho=4.0, unfair_share=0.5)
    (chart,) = fairness_chart([fair, greedy, total("stored long ago", 1.0)])
    assert chart.finding == (
        "0.0% of the tasks take longer than in an equal share under fair, and 50.0% under greedy. "
        "User bob got least of what was due, 25.0% under greedy."
    )
    assert [one.name for one in chart.series] == ["fair", "greedy"]
    assert chart.table.rows[1][-3:] == ("4.00", "50.0%", "bob: 0.25")
    assert fairness_chart([total("stored long ago", 1.0)]) == []
