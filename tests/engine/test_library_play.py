"""The library's face: what people import, and that it says the same as the engine behind it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from scheduler_sim import engine as sim
from scheduler_sim.engine.library import plots
from scheduler_sim.engine.measuring.metrics import summarise, whole_run
from scheduler_sim.engine.numerics.paired import task_difference
from scheduler_sim.engine.policies import parse_policy
from scheduler_sim.engine.series import StepSeries
from tests.engine.own import own_policies

ROOT = Path(__file__).resolve().parents[2]
POLICIES = ("fcfs", "fcfs+easy", "sjf+easy", "random_order+list")


@pytest.fixture(scope="module")
def tasks() -> Any:
    return sim.generate("lublin", tasks=400, seed=3)


@pytest.fixture(scope="module")
def result(tasks: Any) -> sim.Result:
    return sim.play(tasks, "hpc-256", POLICIES, seed=5)


def test_play_gives_the_placements_and_figures_of_the_simulation(tasks: Any, result: sim.Result) -> None:
    for name in POLICIES:
        alone = sim.Simulation(tasks.workload, sim.load_cluster("hpc-256"), parse_policy(name), seed=5)
        alone.advance()
        rows = result.placements(name)
        np.testing.assert_array_equal(rows["start_time"], alone.outcome().start_time)
        np.testing.assert_array_equal(rows["finish_time"], alone.outcome().finish_time)
        edges = np.array(whole_run(tasks.workload, [alone.outcome()]))
        of_it = summarise(alone, edges=edges)
        for figure in ("mean_wait_time", "p95_job_completion_time", "makespan", "energy_joules", "fairness"):
            np.testing.assert_equal(result.figure(figure, name), getattr(of_it, figure)[0])
    assert result.figures()["mean_bounded_slowdown"].is_monotonic_increasing
    assert result.figures()["wins"].sum() >= len(tasks.workload)


def test_the_number_of_workers_and_looking_on_change_nothing(tasks: Any, result: sim.Result) -> None:
    looks: list[tuple[str, int]] = []
    alone = sim.play(tasks, "hpc-256", POLICIES, seed=5, workers=1, progress=lambda *look: looks.append(look))
    pd.testing.assert_frame_equal(alone.figures(), result.figures())
    for name in POLICIES:
        pd.testing.assert_frame_equal(alone.placements(name), result.placements(name))
        assert (name, 400) in looks


def test_tables_of_every_kind_hold_the_same_and_numbers_are_not_copied(result: sim.Result) -> None:
    frame = result.placements("sjf+easy")
    arrow = result.placements("sjf+easy", kind="arrow")
    held = result.simulations["sjf+easy"].outcome()
    assert arrow.to_pandas().equals(frame)
    assert result.placements("sjf+easy", kind="polars").to_dict(as_series=False) == arrow.to_pydict()
    for name in ("start_time", "finish_time", "ready_time"):
        there = getattr(held, name)
        assert arrow.column(name).chunk(0).buffers()[1].address == there.ctypes.data
        assert np.shares_memory(result.placements("sjf+easy", kind="numpy")[name], there)
        assert np.shares_memory(frame[name].to_numpy(), there)


def test_tables_in_memory_are_the_workload_of_the_same_columns() -> None:
    columns: dict[str, Any] = {
        "arrival_time": [5.0, 0.0, 2.5],
        "runtime": [3.0, 4.0, 5.0],
        "cpus": [1, 2, 3],
        "user": ["b", None, "a"],
        "duration_estimate": [np.nan, 9.0, 8.0],
        "dependencies": [[2], [], None],
        "hybrid": [False, False, None],
        "deadline_time": [np.nan, 50.0, np.nan],
    }
    told = sim.Workload.from_columns(
        arrival_time=columns["arrival_time"],
        runtime=columns["runtime"],
        cpus=columns["cpus"],
        user=["b", "", "a"],
        duration_estimate=columns["duration_estimate"],
        dependencies=[[2], [], []],
        deadline_time=columns["deadline_time"],
    )
    begin = pd.Timestamp("2026-03-02 08:00:00.25", tz="Europe/Stockholm")
    dated = pd.DataFrame(columns).assign(
        submitted=[begin + pd.Timedelta(seconds=value) for value in columns["arrival_time"]],
        deadline_time=[pd.NaT, begin + pd.Timedelta(seconds=50), pd.NaT],
        runtime=pd.to_timedelta(columns["runtime"], unit="s"),
        remark="no column of a workload",
    )
    for found in (
        sim.Workload.from_arrow(pa.table(columns)),
        sim.Workload.from_pandas(pd.DataFrame(columns)),
        sim.Workload.from_pandas(dated.drop(columns="arrival_time"), {"arrival_time": "submitted"}),
    ):
        assert found.user.texts().tolist() == told.user.texts().tolist() == ["", "a", "b"]
        assert found.dependencies() == told.dependencies()
        for name in (
            "task_id",
            "arrival_time",
            "runtime",
            "cpus",
            "duration_estimate",
            "estimate_known",
            "deadline_time",
        ):
            np.testing.assert_array_equal(getattr(found, name), getattr(told, name), err_msg=name)


def test_what_a_table_does_not_state_has_the_value_of_a_missing_column() -> None:
    frame = pd.DataFrame(
        {
            "arrival_time": [0.0, 0.0, 0.0],
            "runtime": [1.0, 1.0, 1.0],
            "cpus": [None, None, 3.0],
            "gpus": [None, 1.0, None],
            "memory_mb": [None, 5.0, 6.0],
        }
    )
    found = sim.Workload.from_pandas(frame)
    assert found.cpus.tolist() == [1.0, 0.0, 3.0]
    assert found.gpus.tolist() == [0.0, 1.0, 0.0]
    assert found.memory_mb.tolist() == [0.0, 5.0, 6.0]
    assert sim.Workload.from_numpy({"arrival_time": [0.0], "runtime": [1.0], "user": [None]}).user.names == ("",)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"arrival_time": [0.0], "runtime": pd.to_datetime(["2026-01-01"])}, "Column runtime holds datetimes or durat"),
        (
            {"arrival_time": [0.0], "runtime": [1.0], "cpus": pd.to_timedelta([1], unit="s")},
            "Column cpus holds datetimes",
        ),
        ({"arrival_time": [0.0], "runtime": [1.0], "hybrid": ["no"]}, "Column hybrid holds a value that is neither"),
        ({"arrival_time": [0.0], "runtime": [1.0], "user": [b"\xff"]}, "Column user holds a value that is not a text."),
        (
            {"arrival_time": [0.0], "runtime": [1.0], "dependencies": [[None]]},
            "Column dependencies holds a parent that",
        ),
        (
            {
                "arrival_time": pd.to_datetime(["2026-01-01"]),
                "runtime": [1.0],
                "deadline_time": pd.to_datetime(["2026-01-02"], utc=True),
            },
            "Of arrival_time and deadline_time one has a time zone and the other has none.",
        ),
        ({"arrival_time": [0.0], "runtime": [1.0], "cpu": [1]}, "There is no workload column called 'cpu'. Did you"),
        ({"arrival_time": [0.0]}, "There is no column runtime; the tasks have arrival_time."),
        ({"arrival_time": ["soon"], "runtime": [1.0]}, "Column arrival_time holds a value that is not a number."),
        ({"arrival_time": [0.0, 1.0], "runtime": [1.0, np.nan]}, "Column runtime holds 1 values that are not finite."),
        (
            {"arrival_time": [0.0], "runtime": [1.0], "deadline_time": pd.to_datetime(["2026-01-01"])},
            "Columns arrival_time and deadline_time must both be datetimes or both be numbers.",
        ),
    ],
)
def test_a_table_that_means_nothing_gets_one_sentence(columns: dict[str, Any], sentence: str) -> None:
    with pytest.raises(sim.InvalidWorkload) as refused:
        sim.Workload.from_pandas(pd.DataFrame(columns))
    assert str(refused.value).startswith(sentence)


def test_what_is_no_table_or_workload_is_named_and_what_arrow_takes_for_a_table_is_one() -> None:
    import io

    columns = {"arrival_time": [5.0, 0.0], "runtime": [1.0, 2.0], "cpus": [1, 2]}
    frame = pd.DataFrame({**columns, "task_id": [7, 9]})
    polars = pytest.importorskip("polars")
    kinds: Any = [("arrival_time", "f8"), ("runtime", "f8"), ("cpus", "i4"), ("task_id", "i8")]
    for found in (
        sim.Workload.from_pandas(frame.set_index("task_id")),
        sim.Workload.from_arrow(polars.DataFrame({**columns, "task_id": [7, 9]})),
        sim.Workload.from_arrow(pa.table(frame).to_batches()[0]),
        sim.Workload.from_numpy(np.array([(5.0, 1.0, 1, 7), (0.0, 2.0, 2, 9)], kinds)),
    ):
        assert (found.task_id.tolist(), found.runtime.tolist()) == ([9, 7], [2.0, 1.0])
    days = pa.table({**columns, "arrival_time": pa.array([3, 2], pa.date32())})
    assert sim.Workload.from_arrow(days).arrival_time.tolist() == [0.0, 86_400.0]
    anything: Any = sim
    for asked, sentence in (
        (lambda: anything.Workload.from_pandas(columns), "from_pandas takes a DataFrame of pandas, not dict"),
        (lambda: anything.Workload.from_pandas(pd.concat([frame, frame[["cpus"]]], axis=1)), "more than one column"),
        (lambda: anything.Workload.from_numpy([1.0]), "from_numpy takes arrays by name, or a structured array"),
        (lambda: anything.play("log.swf", "hpc-4", "fcfs"), "not str; read takes files"),
        (lambda: anything.read(frame), "not pandas's DataFrame; Workload.from_pandas"),
        (lambda: anything.read(io.StringIO("")), "open the file with mode 'rb'"),
        (lambda: anything.generate("lublin", tasks=1.5), "tasks is 1.5, not a whole number."),
    ):
        with pytest.raises(sim.EngineError, match=sentence):
            asked()


def test_times_of_numpy_and_times_that_cannot_be_counted_are_refused() -> None:
    with pytest.raises(sim.InvalidWorkload, match="Column arrival_time holds datetimes of NumPy"):
        sim.Workload.from_numpy({"arrival_time": np.array(["2026-01-01"], "M8[ms]"), "runtime": [1.0]})
    with pytest.raises(sim.InvalidWorkload, match="Column runtime holds durations of NumPy"):
        sim.Workload.from_numpy({"arrival_time": [0.0], "runtime": np.array([1], "m8[s]")})
    for name, kind in (("runtime", pa.duration("s")), ("arrival_time", pa.timestamp("s"))):
        columns = {"arrival_time": pa.array([0.0]), "runtime": pa.array([1.0])} | {name: pa.array([2**60], kind)}
        with pytest.raises(sim.InvalidWorkload, match=f"Column {name} holds"):
            sim.Workload.from_arrow(pa.table(columns))
    with pytest.raises(sim.InvalidWorkload, match="more than one column 'runtime'"):
        sim.Workload.from_arrow(pa.table([pa.array([1.0])] * 2, names=["runtime", "runtime"]))


def test_what_is_shown_of_a_result_cannot_be_written(result: sim.Result) -> None:
    shown = result.placements("fcfs", kind="numpy")
    for name in ("start_time", "arrival_time"):
        with pytest.raises(ValueError, match="read-only"):
            shown[name][0] = 1.0


def test_an_error_of_one_policy_comes_before_the_others_are_through(tasks: Any) -> None:
    finished: dict[str, int] = {}

    def look(policy: str, count: int) -> None:
        finished[policy] = count
        if policy == "fcfs":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sim.play(tasks, "hpc-256", "fcfs,sjf", workers=1, progress=look)
    assert finished == {"fcfs": 400}


def test_a_column_that_the_table_lacks_is_named() -> None:
    with pytest.raises(sim.InvalidWorkload, match=r"The table has no column 'begin'; it has runtime, submitted\."):
        sim.Workload.from_arrow(pa.table({"runtime": [1.0], "submitted": [0.0]}), {"arrival_time": "begin"})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"policies": "fcfs,sfj"}, "sfj"),
        ({"policies": []}, "The list of policies is empty."),
        ({"policies": ["fcfs", "fcfs"]}, "Policies stand in the list more than once: fcfs."),
        ({"cluster": "hpc-1"}, "are larger than cluster hpc-1"),
        ({"cluster": "hcp-256"}, "Did you mean hpc-N?"),
        ({"cluster": 256}, "A cluster is a Cluster, a Site, a preset's name or a file's path, not 256."),
        ({"workers": 0}, "workers is 0, not a whole number from 1 up."),
        ({"warmup": 0.7, "cooldown": 0.3}, "together below 1"),
        ({"limit": 0}, "limit is 0, not a whole number from 1 up."),
        ({"seed": -1}, "seed is -1, not a whole number from 0 up."),
        ({"policies": ["fcfs", 3]}, "A policy is a text such as 'sjf+easy', or a Policy, not 3."),
        ({"policies": ["fcfs", None]}, "or a Policy, not None."),
        ({"policies": [0]}, "or a Policy, not 0."),
        ({"policies": [()]}, "or a Policy, not ()."),
        ({"policies": 5}, "or a Policy, not 5."),
        ({"policies": None}, "or a Policy, not None."),
        ({"seed": True}, "seed is True, not a whole number from 0 up."),
        ({"estimates": None}, "estimates is None, not a text"),
        ({"options": {"kill_at_estimate": True}}, "not an Options, as in Options("),
        ({"signals": {"carbon": [1.0]}}, "The series of carbon is no StepSeries"),
        ({"policies": ["fcfs,sjf"]}, "is several policies in one text"),
        ({"estimates": "guess"}, "There are no estimates called 'guess'."),
    ],
)
def test_what_cannot_be_played_gets_one_sentence(tasks: Any, arguments: dict[str, Any], sentence: str) -> None:
    asked = {"cluster": "hpc-256", "policies": "fcfs"} | arguments
    with pytest.raises(sim.EngineError) as refused:
        sim.play(tasks, asked.pop("cluster"), asked.pop("policies"), **asked)
    assert sentence in str(refused.value)


def test_notes_say_what_must_be_known() -> None:
    workload = sim.Workload.from_columns(arrival_time=[0.0, 0.0, 1.0], runtime=[5.0, 5.0, 5.0], cpus=[2, 9, 1])
    played = sim.play(workload, "hpc-4", "fcfs+easy", on_oversize="drop")
    assert played.notes == (
        "1 of 3 tasks are not played.",
        "Perfect estimates are assumed: no task states one, and fcfs+easy use the true run times.",
    )
    assert all(note in played._repr_html_() for note in played.notes)


def test_figures_leave_out_what_is_not_scored(tasks: Any) -> None:
    cut = sim.play(tasks, "hpc-256", "fcfs", warmup=0.25, cooldown=0.25)
    every = cut.placements()
    assert cut.figure("finished_count") == 200
    assert cut.figure("mean_wait_time") == pytest.approx(every["wait_time"][100:300].mean(), rel=1e-12)


def test_attempts_and_state_tell_of_preemption() -> None:
    workload = sim.Workload.from_columns(arrival_time=[0.0, 4.0], runtime=[10.0, 2.0], cpus=[1, 1])
    played = sim.play(workload, "hpc-1", "srtf")
    assert played.attempts()[["task_id", "start_time", "end_time"]].to_numpy().tolist() == [
        [1, 0, 4],
        [1, 6, 12],
        [2, 4, 6],
    ]
    at = played.state(5.0)
    assert (at.running.tolist(), at.waiting.tolist(), at.free_cores) == ([1], [0], 0.0)
    assert played.state(12.0).free_cores == 1.0


def test_compare_is_the_paired_difference_of_completion_times(result: sim.Result) -> None:
    found = sim.compare(result, "fcfs").set_index("policy")
    times = {name: result.placements(name)["job_completion_time"].to_numpy() for name in POLICIES}
    for name in POLICIES[1:]:
        wanted = task_difference(times["fcfs"], times[name])
        assert found.loc[name, "mean"] == wanted.mean
        assert (found.loc[name, "sooner"], found.loc[name, "later"]) == (wanted.sooner, wanted.later)
        assert found.loc[name, "verdict"] == wanted.verdict
    with pytest.raises(sim.EngineError, match="Only one policy was played"):
        sim.compare(sim.play(result.workload, "hpc-256", "fcfs"))
    with pytest.raises(sim.EngineError, match="no played policy called 'sjf'"):
        sim.compare(result, "sjf")


def test_a_study_gives_means_and_intervals_over_the_seeds() -> None:
    grid = sim.study(
        lambda seed: sim.generate("lublin", tasks=100, seed=seed),
        "hpc-256",
        "fcfs,sjf",
        seeds=[4, 5, 6],
        loads=(1.0, 2.0),
        figures=("mean_wait_time",),
    )
    assert grid[["load", "policy", "count"]].to_numpy().tolist() == [
        [1.0, "fcfs", 3],
        [1.0, "sjf", 3],
        [2.0, "fcfs", 3],
        [2.0, "sjf", 3],
    ]
    means = [
        sim.play(sim.generate("lublin", tasks=100, seed=seed), "hpc-256", "sjf", seed=seed, load=2.0).figure(
            "mean_wait_time"
        )
        for seed in (4, 5, 6)
    ]
    of_it = grid.iloc[3]
    assert of_it["mean"] == pytest.approx(np.mean(means), rel=1e-12)
    assert of_it["high"] - of_it["mean"] == pytest.approx(4.302652729911275 * np.std(means, ddof=1) / 3**0.5, rel=1e-9)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"seeds": 0}, "A study needs at least one seed."),
        ({"seeds": [1, 1]}, "A study takes every seed once; one is given twice."),
        ({"loads": ()}, "A study needs at least one load."),
        ({"seed": 3}, "A study takes seeds and loads, not one seed or load."),
        ({"seeds": np.int64(0), "loads": np.float32(1)}, "A study needs at least one seed."),
        ({"cluster": ["hpc-256", "hpc-256"]}, "Two clusters of the study are called hpc-256; name them apart."),
    ],
)
def test_a_study_that_would_count_twice_is_refused(tasks: Any, asked: dict[str, Any], sentence: str) -> None:
    given: dict[str, Any] = {"cluster": "hpc-256", "seeds": 1} | asked
    with pytest.raises(sim.EngineError) as refused:
        sim.study(tasks, given.pop("cluster"), "fcfs", **given)
    assert str(refused.value) == sentence


def test_plots_draw_on_the_axes_that_they_are_given_and_return_them(result: sim.Result) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots(2, 2)
    assert plots.gantt(result, "fcfs+easy", ax=axes[0, 0]) is axes[0, 0]
    # On a pool a task is as high as it has processors, in one piece or several.
    bars: Any = axes[0, 0].patches
    held = result.attempts("fcfs+easy")
    area = ((held["end_time"] - held["start_time"]) * held["cpus"]).sum() / 3600
    assert sum(bar.get_width() * bar.get_height() for bar in bars) == pytest.approx(area)
    assert all(bar.get_y() >= -1e-9 and bar.get_y() + bar.get_height() <= 256 + 1e-9 for bar in bars)
    assert plots.cdf(result, "wait_time", policies=["fcfs", "sjf+easy"], ax=axes[0, 1]) is axes[0, 1]
    waits = np.sort(result.placements("sjf+easy")["wait_time"])
    np.testing.assert_array_equal(axes[0, 1].lines[1].get_xdata(), waits)
    drawn = plots.utilisation(result, policies=["fcfs"], windows=1, ax=axes[1, 0])
    steps: Any = drawn.patches[0]
    assert steps.get_data().values[0] == pytest.approx(result.figure("cpu_utilisation", "fcfs"), rel=1e-12)
    plots.heatmap(result, "fcfs", windows=1, ax=axes[1, 1])
    assert axes[1, 1].collections[0].get_array()[0, 0] == pytest.approx(result.figure("cpu_utilisation", "fcfs"))
    with pytest.raises(sim.EngineError, match="no figure of tasks called 'speed'"):
        plots.cdf(result, "speed")


def test_a_task_on_several_nodes_is_told_and_drawn_on_each_of_them() -> None:
    from matplotlib.figure import Figure

    cluster = sim.Cluster(name="gangs", groups=(sim.NodeGroup(name="n", count=3, cores=4, gpus=2),))
    columns = {"arrival_time": [0.0, 0.0, 1.0], "runtime": [10.0, 5.0, 4.0], "cpus": [0, 1, 0], "gpus": [4, 1, 6]}
    played = sim.play(sim.Workload.from_numpy(columns), cluster, sim.parse_policy("fcfs"))
    with pytest.raises(sim.EngineError, match="An instant is a number of seconds"):
        played.state(float("nan"))
    held = played.on_nodes(kind="numpy")
    assert held["task_id"].tolist() == [1, 1, 2, 3, 3, 3]
    assert held["node"].tolist() == [0, 1, 2, 0, 1, 2]
    assert held["start_time"].tolist() == [0, 0, 0, 10, 10, 10]
    assert held["gpus"].tolist() == [2, 2, 1, 2, 2, 2]
    free = played.state(3.0).free_by_node
    assert free is not None
    assert free.tolist() == [[4, 0], [4, 0], [3, 1]]
    axes = Figure().subplots(2)
    assert len(plots.gantt(played, ax=axes[0]).patches) == 6
    plots.heatmap(played, windows=1, ax=axes[1])
    mesh: Any = axes[1].collections[0]
    np.testing.assert_allclose(mesh.get_array()[:, 0], [28 / 84, 28 / 84, (2 * 5 + 8) / 84])


def test_the_code_blocks_of_the_documentation_run(
    trace_path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib as mpl

    (tmp_path / "KTH-SP2.swf.gz").symlink_to(trace_path("KTH-SP2.swf.gz"))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    mpl.use("svg")
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/library.md").read_text(), re.DOTALL)
    assert len(blocks) == 11
    with own_policies("my_sjf", "my_area", "my_aging", "my_easy", "program_sjf_easy"):
        for block in blocks:
            exec(block, names)
    assert names["result"].policies == ("fcfs", "fcfs+easy", "sjf+easy")
    own = names["own"]
    for name in ("my_sjf+easy", "my_easy"):
        np.testing.assert_array_equal(own.placements(name)["start_time"], own.placements("sjf+easy")["start_time"])
    in_readme = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks[0] in in_readme


def test_series_tell_the_energy_and_carbon_of_each_task_and_hold_tasks_back() -> None:
    nodes = sim.Cluster("two", (sim.NodeGroup("n", 1, 2, cpu_idle_watts=10.0, cpu_busy_watts=100.0),))
    tasks = sim.Workload.from_columns(arrival_time=[0, 60], runtime=[600, 600], cpus=[1, 2])
    carbon = StepSeries(np.array([0.0, 3600.0]), np.array([400.0, 100.0]), 7200.0, "hold")
    found = sim.play(tasks, nodes, "fcfs,lowest_window", signals={"carbon": carbon})
    rows = found.placements("lowest_window")
    assert rows["start_time"].tolist() == [3600.0, 4200.0]
    assert rows["energy_joules"].tolist() == [60_000.0, 120_000.0]
    assert rows["carbon_kg"].to_numpy() == pytest.approx([60_000 * 100 / 3.6e9, 120_000 * 100 / 3.6e9])
    assert rows["electricity_usd"].isna().all()
    assert found.figure("carbon_kg", "lowest_window") == pytest.approx(rows["carbon_kg"].sum())
    assert found.figure("carbon_kg", "fcfs") == pytest.approx(180_000 * 400 / 3.6e9)
    assert "carbon_kg" not in sim.play(tasks, nodes, "fcfs").placements()
    short = {"carbon": StepSeries(np.array([0.0]), np.array([1.0]), 30.0)}
    with pytest.raises(sim.EngineError, match="tasks arrive from 0 s to 60 s: give it beyond"):
        sim.play(tasks, nodes, "fcfs", signals=short)
