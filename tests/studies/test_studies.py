"""Studies are expanded, played once, taken up where they were, extended, and put into words."""

import json
import math
import os
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.test import Client

from apps.live.models import StudyState
from apps.metrics.models import Metric
from apps.results.errors import RunStateError
from apps.results.models import Run, Study
from apps.studies.definition import Definition, read_definition
from apps.studies.grid import grid_runs, runs_store, study_store
from apps.studies.paper.study import study_paper
from apps.studies.play import execution, worker
from apps.studies.play import pool as pool_of_studies
from apps.studies.play.execution import study_play
from apps.studies.play.planning import study_plan
from apps.studies.play.playing import TAKEN, play_run
from apps.studies.report.charts import cell_charts
from apps.studies.report.figures import study_figures
from apps.studies.report.html import study_html
from apps.studies.report.tables import markdown_table, study_document
from apps.studies.report.words import study_in_words, study_sentences
from apps.studies.sources import InvalidStudy
from apps.tasks.services import workload_generate
from scheduler_sim.background.claims import identity
from scheduler_sim.engine import Cluster, EngineError
from scheduler_sim.engine.clusters.presets import pool

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_this_process")]


def definition(**changes: Any) -> Definition:
    """Return a small study of 8 runs."""
    document = {
        "name": "small",
        "workloads": [{"generate": "lublin", "tasks": 120, "parameters": {"processors": 64, "load": 0.9}}],
        "load_factors": [0.8, 1.2],
        "clusters": ["hpc-64", {"cluster": "hpc-64", "add_nodes": "processors=64"}],
        "policies": ["fcfs", "sjf+easy"],
        "seeds": 2,
    }
    return Definition.from_json({**document, **changes})


def test_the_grid_holds_every_combination_once() -> None:
    runs = list(grid_runs(definition()))
    assert len(runs) == definition().run_count == 8
    assert len({run.point for run in runs}) == 8


def test_a_study_plays_every_run_and_stores_only_figures() -> None:
    outcome = study_play(definition())
    assert (outcome.runs, outcome.finished, outcome.failed) == (8, 8, 0)
    assert outcome.study.status == "finished"
    assert Metric.objects.totals().count() == 16
    assert not outcome.study.runs.exclude(rows_written=0).exists()


def test_variants_play_the_same_tasks_under_other_options() -> None:
    variants = [{}, {"on_limit": "kill", "label": "limited"}, {"checkpoints": 600, "checkpoint_write": 60}]
    failing = [{"cluster": "hpc-64", "failures": "exponential(mean_hours=100)"}]
    outcome = study_play(
        definition(variants=variants, clusters=failing, load_factors=[0.8], estimates=["factor:0.5"], seeds=1)
    )
    assert (outcome.runs, outcome.finished, outcome.failed) == (3, 3, 0)
    cells = study_figures(outcome.study, "mean_job_completion_time", "fcfs")
    assert [one.cell.variant for one in cells] == ["", "limited", "checkpoints 600, checkpoint_write 60"]
    plain, limited, checkpointed = (one.standings["fcfs"].interval.mean for one in cells)
    assert limited < plain < checkpointed
    table = markdown_table(outcome.study)
    assert "| workload | load | cluster | estimates | variant | seeds |" in table
    assert "checkpoints 600, checkpoint_write 60" in table
    page = Client().get(f"/studies/{outcome.study.pk}/").content.decode()
    assert '<th scope="col">Variant</th>' in page
    assert "as in all" in page
    with pytest.raises(InvalidStudy, match="limited twice among its variants"):
        definition(variants=[{"label": "limited"}, {"label": "limited", "limit": 3}])
    with pytest.raises(InvalidStudy, match="must be one of run, kill"):
        definition(variants=[{"on_limit": "perhaps"}])
    with pytest.raises(InvalidStudy, match="There is no key of a variant of the study called 'policies'"):
        definition(variants=[{"policies": "fcfs"}])


def test_playing_it_again_plays_nothing(in_this_process: list[int]) -> None:
    study_play(definition())
    in_this_process.clear()
    study_play(definition())
    assert in_this_process == []
    assert Run.objects.count() == 8


def test_an_extended_study_plays_only_what_is_new(in_this_process: list[int]) -> None:
    study_play(definition())
    in_this_process.clear()
    outcome = study_play(definition(seeds=3))
    assert len(in_this_process) == 4
    assert outcome.finished == 12


def test_runs_that_the_definition_no_longer_names_stay_as_runs_of_their_own() -> None:
    study_play(definition())
    told: list[str] = []
    outcome = study_play(definition(load_factors=[0.8]), tell=told.append)
    assert outcome.study.runs.count() == 4
    assert Run.objects.count() == 8
    assert any("runs of their own" in text for text in told)


def test_failed_runs_are_tried_again_and_others_are_not(in_this_process: list[int]) -> None:
    outcome = study_play(definition())
    broken = outcome.study.runs.all()[0]
    Run.objects.filter(pk=broken.pk).update(status=Run.Status.FAILED)
    in_this_process.clear()
    assert study_play(definition()).failed == 0
    assert in_this_process == [broken.pk]


def test_a_run_that_cannot_be_played_is_failed_with_the_reason_and_the_others_go_on() -> None:
    outcome = study_play(definition(clusters=["hpc-64", "hpc-4"]))
    assert (outcome.finished, outcome.failed) == (4, 4)
    assert outcome.study.status == "failed"
    assert "larger than cluster hpc-4" in outcome.study.runs.filter(status="failed")[0].error


def test_a_run_that_a_living_process_plays_is_left_alone() -> None:
    study = study_store(definition())
    run = runs_store(study, definition())[0]
    run.state.claim()
    Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
    assert play_run(run.pk) == TAKEN


@pytest.mark.django_db(transaction=True)
def test_a_run_of_a_study_has_the_checksum_of_the_same_run_alone() -> None:
    study_play(definition(keep="results"))
    of_study = Run.objects.get(study_point__seed=2, study_point__load_factor=1.2, study_point__cluster="hpc-64")
    call_command(
        "runsimulation", workload=of_study.workload.name, cluster="hpc-64", policies="fcfs,sjf+easy", seed=2,
        scale_load=1.2, stdout=StringIO(), verbosity=0,
    )  # fmt: skip
    alone = Run.objects.get(study=None)
    assert alone.checksum == of_study.checksum
    assert alone.rows_written == of_study.rows_written == 240


def test_a_heavier_load_and_a_smaller_cluster_wait_longer() -> None:
    outcome = study_play(definition())
    cells = {(one.cell.load_factor, one.cores): one for one in study_figures(outcome.study, "mean_wait_time", "fcfs")}
    waits = {key: one.standings["fcfs"].interval.mean for key, one in cells.items()}
    assert waits[1.2, 64] > waits[0.8, 64] > waits[0.8, 128]
    heavy, light, light_on_many = (cells[key].offered_load for key in ((1.2, 64), (0.8, 64), (0.8, 128)))
    assert light is not None
    assert light_on_many is not None
    assert heavy == pytest.approx(1.5 * light)
    assert light == pytest.approx(2 * light_on_many)


def test_a_sequential_study_stops_early_when_narrow_and_at_the_most_otherwise() -> None:
    easy = {"figure": "throughput", "relative_width": 0.9, "minimum": 3, "maximum": 9}
    shared = {"load_factors": [1.0], "clusters": ["hpc-64"], "seeds": list(range(1, 10))}
    assert 3 <= study_play(definition(name="wide", sequential=easy, **shared)).runs < 9
    strict = {**easy, "figure": "mean_wait_time", "relative_width": 0.0001, "maximum": 6}
    assert study_play(definition(name="strict", sequential=strict, **{**shared, "seeds": list(range(1, 7))})).runs == 6


def test_the_conclusion_names_the_best_policy_and_what_hardware_would_do_instead() -> None:
    outcome = study_play(definition(load_factors=[1.2], seeds=4))
    cells = study_figures(outcome.study, "mean_wait_time", "fcfs")
    text = " ".join(study_in_words(cells, figure="mean_wait_time", base="fcfs"))
    assert "sjf+easy cuts the mean wait from" in text
    assert "Adding 64 cores" in text
    assert "sjf+easy on hpc-64 does" in text


def test_what_no_seed_changes_has_no_interval_and_is_called_by_its_workload() -> None:
    workload_generate(model="lublin", tasks=120, seed=4, name="log", parameters={"processors": 64})
    drawn = definition().document["workloads"][0]
    outcome = study_play(
        definition(workloads=[{"stored": "log"}, drawn], load_factors=[1.2], clusters=["hpc-64"], seeds=3)
    )
    cells = study_figures(outcome.study, "mean_wait_time", "fcfs")
    alike, varied = cells
    assert alike.cell.workload == "log"
    for one in alike.standings.values():
        assert (one.interval.count, math.isnan(one.interval.low)) == (3, True)
        assert one.difference is None or not one.difference.is_clear
    assert (alike.is_alike, varied.is_alike) == (True, False)
    first, told, against = study_in_words(cells, figure="mean_wait_time", base="fcfs")[:3]
    assert "in all 2 cells" in first
    assert told.startswith("All seeds give the same mean wait in 1 of 2 cells (log), so that there is no interval")
    findings = [chart.finding for chart in cell_charts(cells, "mean_wait_time").values()]
    assert findings[0].endswith("All 3 seeds give the same, so that there is no interval.")
    assert findings[1].endswith("Bars are 95% intervals over 3 seeds.")
    assert study_in_words([alike], figure="mean_wait_time", base="fcfs")[2].endswith(
        "; the same difference for all seeds says nothing about chance."
    )
    assert "<td>one seed</td>" not in study_html(outcome.study, figure="mean_wait_time", base="fcfs")
    assert f"At load factor 1.2 on hpc-64 for {varied.cell.workload}, sjf+easy cuts" in against
    outcome.study.runs.filter(workload__name="log").update(
        cautions=[{"kind": "k", "policies": [], "text": "Doubtful."}]
    )
    sentences = study_sentences(outcome.study, cells, figure="mean_wait_time", base="fcfs")
    assert "log: Doubtful." in sentences
    outcome.study.runs.exclude(workload__name="log").delete()
    text = study_paper(outcome.study, figure="mean_wait_time", base="fcfs").methods.text
    assert "is the same for all seeds, so no interval is given." in text


def test_without_runs_it_says_so(client: Client) -> None:
    study = study_store(definition())
    assert study.status == "empty"
    assert "nothing to compare" in study_in_words([], figure="mean_wait_time", base="fcfs")[0]
    assert "No run has finished yet" in client.get(f"/studies/{study.pk}/").content.decode()


def test_the_plan_estimates_the_time_from_measured_runs() -> None:
    assert study_plan(definition(), workers=2).seconds is None
    study_play(definition())
    plan = study_plan(definition(seeds=4), workers=2)
    assert (plan.runs, plan.missing, plan.plays, plan.measured) == (16, 8, 16, 8)
    assert plan.seconds is not None
    assert plan.seconds > 0
    assert study_plan(definition(seeds=4), workers=1).seconds == pytest.approx(2 * plan.seconds)


def test_pages_and_downloads_show_the_stored_figures(client: Client) -> None:
    study = study_play(definition()).study
    page = client.get(f"/studies/{study.pk}/?figure=mean_wait_time&base=fcfs").content.decode()
    assert "sjf+easy" in page
    assert f"/runs/{study.runs.all()[0].pk}/" in page
    rows = json.loads(client.get(f"/studies/{study.pk}/cells.json?figure=mean_wait_time").content)
    assert len(rows) == 8
    stored = Metric.objects.totals().filter(
        run__study=study, scheduler="fcfs", run__study_point__load_factor=0.8, run__study_point__cluster="hpc-64"
    )
    mean = sum(stored.values_list("mean_wait_time", flat=True)) / 2
    found = next(
        row for row in rows if (row["load_factor"], row["cluster"], row["scheduler"]) == (0.8, "hpc-64", "fcfs")
    )
    assert found["mean"] == pytest.approx(mean, rel=1e-5)
    charts = client.get(f"/studies/{study.pk}/charts.json").json()["charts"]
    assert set(charts) == {"load-1", "load-2", "size-1", "size-2"}
    assert len(charts["load-1"]["series"][0]["low"]) == 2
    assert client.get(f"/studies/{study.pk}/charts/load-1.csv").content.startswith(b"series,Load factor,")
    assert client.get("/studies/?format=json").json()[0]["finished"] == 8
    assert client.get("/studies/").status_code == 200
    assert client.get("/studies/999/").status_code == 404


def test_a_report_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    study_play(definition(name="<b>tricky</b>"))
    call_command("exportreport", study="<b>tricky</b>", output=str(tmp_path / "r.html"), stderr=StringIO())
    html = (tmp_path / "r.html").read_text()
    assert "&lt;b&gt;tricky" in html
    assert "<b>tricky" not in html
    assert re.search(r"<script|<link|@import|src=|href=\"(?!#)|url\((?!#)", html) is None
    assert html.count("<svg") == 4
    pictures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert all(">sjf+easy<" in picture and "<text" in picture for picture in pictures)
    out = StringIO()
    call_command("exportreport", study="<b>tricky</b>", format="md", stdout=out)
    assert out.getvalue().count("\n| lublin-120") == 4


def test_a_study_of_two_policies_renders_at_a_constant_number_of_queries(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    study = study_play(definition(seeds=3)).study
    with django_assert_max_num_queries(12):
        client.get(f"/studies/{study.pk}/")


def test_the_command_reads_a_file_and_prints_one_document(tmp_path: Path) -> None:
    file = tmp_path / "from file.yaml"
    document = {key: value for key, value in definition().document.items() if key != "name"}
    file.write_text(yaml.safe_dump(document))
    out = StringIO()
    call_command("runstudy", str(file), "--dry-run", stdout=out, verbosity=0)
    assert "8 runs" in out.getvalue()
    assert "Nothing was written" in out.getvalue()
    assert not Study.objects.exists()
    out = StringIO()
    call_command("runstudy", str(file), "--json", "--workers", "1", stdout=out, verbosity=0)
    printed = json.loads(out.getvalue())
    assert (printed["name"], printed["status"], len(printed["cells"])) == ("from file", "finished", 4)
    assert printed == json.loads(json.dumps(study_document(Study.objects.get())))
    out = StringIO()
    call_command("runstudy", str(file), stdout=out, verbosity=0)
    assert "sjf+easy" in out.getvalue()


def test_the_command_names_failed_runs_in_its_exit(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text(json.dumps({**definition().document, "clusters": ["hpc-4"]}))
    with pytest.raises(CommandError, match="4 of 4 runs failed"):
        call_command("runstudy", str(file), stdout=StringIO(), verbosity=0)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"policies": []}, "names no policies"),
        ({"policies": ["nope"]}, "nope"),
        ({"workloads": []}, "names no workloads"),
        ({"workloads": [{"generate": "nope"}]}, "no generator called 'nope'"),
        ({"workloads": [{"generate": "lublin", "parameters": {"nope": 1}}]}, "nope"),
        ({"workloads": [{"generate": "lublin", "stored": "x"}]}, "names one of"),
        ({"load_factors": [0]}, "above 0"),
        ({"load_factors": [1, 1.0]}, "twice"),
        ({"clusters": [{"cluster": "hpc-64", "add_nodes": "other=1"}]}, "no node group"),
        ({"clusters": [{"add_nodes": "a=1"}]}, "names a preset"),
        ({"estimates": ["guess"]}, "guess"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": [1, 1]}, "twice"),
        ({"base": "f1"}, "not among"),
        ({"figure": "beauty"}, "no figure called"),
        ({"keep": "nothing"}, "keep must be one of results, summary, parquet, not nothing."),
        ({"warmup": 0.7, "cooldown": 0.5}, "together below 1"),
        ({"sequential": {"relative_width": 2}}, "between 0 and 1"),
        ({"sequential": {"minimum": 9, "maximum": 3}}, "minimum"),
        ({"typo": 1}, "There is no key of the study called 'typo'. Valid names: agent_"),
        ({"polices": "fcfs"}, "There is no key of the study called 'polices'. Did you mean policies"),
        (
            {"sede": 3, "polices": "fcfs", "zzz": 1},
            r"no keys of the study called 'polices' \(did you mean policies\?\), 'sede' \(did .*\?\), 'zzz'. Valid",
        ),
        ({f"zz{number:02}": 1 for number in range(12)}, "called 'zz00', .*, 'zz09' and 2 more. Valid names: "),
        ({"workloads": [{"task": 5}]}, "key of a workload of the study called 'task'. Did you mean tasks"),
        ({"clusters": [{"clustr": "hpc-64"}]}, "key of a cluster of the study called 'clustr'. Did you mean cluster"),
        ({"sequential": {"minimun": 2}}, "key of sequential called 'minimun'. Did you mean minimum"),
        ({"name": ""}, "needs a name"),
    ],
)
def test_a_definition_without_meaning_is_refused_in_one_sentence(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises((InvalidStudy, EngineError), match=fault):
        definition(**changes)


@pytest.mark.parametrize("text", ["{", "[1, 2]", "- : :"])
def test_a_file_that_is_no_definition_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(InvalidStudy):
        read_definition(file)
    with pytest.raises(InvalidStudy, match="cannot be read"):
        read_definition(tmp_path / "absent.yaml")


@pytest.mark.django_db(transaction=True)
def test_a_manifest_replays_to_the_same_checksum_and_a_changed_one_is_found_out(tmp_path: Path) -> None:
    workload_generate(model="lublin", tasks=150, seed=4, name="w", parameters={"processors": 64})
    common: dict[str, Any] = {"stdout": StringIO(), "verbosity": 0}
    file = tmp_path / "manifest.json"
    call_command(
        "runsimulation", workload="w", cluster="hpc-64", policies="fcfs,sjf+easy", scale_load=1.3,
        add_nodes="processors=8", estimates="uniform:3", seed=7, write_manifest=str(file), **common,
    )  # fmt: skip
    first = Run.objects.get()
    assert Cluster.from_json(first.cluster).cores == 72
    call_command("runsimulation", manifest=str(file), **common)
    assert Run.objects.order_by("-pk")[0].checksum == first.checksum
    document = json.loads(file.read_text())
    document["configuration"]["seed"] = 8
    file.write_text(json.dumps(document))
    with pytest.raises(CommandError, match="not reproduced"):
        call_command("runsimulation", manifest=str(file), **common)
    document["engine_version"] = "0.0"
    file.write_text(json.dumps(document))
    with pytest.raises(CommandError, match="cannot be replayed"):
        call_command("runsimulation", manifest=str(file), **common)


@pytest.mark.django_db(transaction=True)
def test_what_if_options_without_meaning_are_refused() -> None:
    workload_generate(model="lublin", tasks=10, seed=4, name="w", parameters={"processors": 64})
    for options, fault in (
        ({"scale_load": 0.0}, "The load factor must be a number above 0, not 0.0."),
        ({"add_nodes": "nope=1"}, "no node group"),
        ({"drop_nodes": "processors=64"}, "no node left"),
    ):
        with pytest.raises(CommandError, match=fault):
            call_command(
                "runsimulation", workload="w", cluster="hpc-64", policies="fcfs", stdout=StringIO(), verbosity=0,
                **options,
            )  # fmt: skip
    assert pool(64).cores == 64


def test_a_sequential_study_played_again_stops_where_it_stopped_before(in_this_process: list[int]) -> None:
    rule = {"figure": "mean_wait_time", "relative_width": 0.45, "minimum": 2, "maximum": 12}
    shared = {"load_factors": [1.0], "clusters": ["hpc-64"], "seeds": list(range(1, 13)), "sequential": rule}
    first = study_play(definition(name="rule", **shared))
    assert 2 < first.runs <= 12
    in_this_process.clear()
    assert study_play(definition(name="rule", **shared)).runs == first.runs
    assert in_this_process == []


def test_a_sequential_study_that_was_stopped_does_not_go_on_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(run_ids: Any, *, workers: int, on_end: Any, beat: Any) -> None:
        Run.objects.filter(pk__in=run_ids[1:]).update(status=Run.Status.STOPPED)
        on_end(run_ids[0], play_run(run_ids[0]))

    monkeypatch.setattr(execution, "play_on_pool", stop)
    rule = {"figure": "mean_wait_time", "relative_width": 0.001, "minimum": 3, "maximum": 9}
    outcome = study_play(definition(load_factors=[1.0], clusters=["hpc-64"], seeds=list(range(1, 10)), sequential=rule))
    assert (outcome.runs, outcome.finished, outcome.stopped) == (3, 1, 2)


def test_policies_stand_in_the_order_of_the_definition() -> None:
    outcome = study_play(definition(policies=["sjf+easy", "fcfs"], seeds=1))
    assert [list(cell.standings) for cell in study_figures(outcome.study, "mean_wait_time", "fcfs")] == [
        ["sjf+easy", "fcfs"]
    ] * 4


def test_one_process_at_a_time_hands_out_a_study(monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_store(definition())
    state = StudyState.objects.create(study=study)
    StudyState.objects.filter(pk=state.pk).update(**identity(1))
    state.refresh_from_db()
    with pytest.raises(RunStateError, match="Study small is being played by process 1 on"):
        study_play(definition())
    state.release()
    assert study_play(definition()).finished == 8
    assert StudyState.objects.get().process_id is None


def test_a_stored_study_is_played_by_its_number_or_name() -> None:
    study = study_store(definition())
    with pytest.raises(CommandError, match="either the FILE of a study or a stored one"):
        call_command("runstudy", stdout=StringIO(), verbosity=0)
    with pytest.raises(CommandError, match="no study 'nope'"):
        call_command("runstudy", study="nope", stdout=StringIO(), verbosity=0)
    call_command("runstudy", study=str(study.pk), workers=1, stdout=StringIO(), verbosity=0)
    assert study.counts() == {"finished": 8}


def test_a_run_that_another_process_stored_at_the_same_moment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_store(definition())
    before = runs_store(study, definition())
    # What this process read before the other one stored its runs.
    monkeypatch.setattr(Study, "runs", type("Runs", (), {"all": lambda _self: [], "filter": study.runs.filter})())
    assert {run.pk for run in runs_store(study, definition())} == {run.pk for run in before}


def test_processes_that_die_before_they_begin_are_not_started_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_store(definition())
    runs = runs_store(study, definition())
    monkeypatch.setattr(worker, "start", os.abort)
    with pytest.raises(pool_of_studies.WorkersDied, match="died 3 times before they began a run"):
        pool_of_studies.play_on_pool([run.pk for run in runs], workers=2, on_end=print, beat=lambda: None)
    assert study.counts() == {"queued": 8}


def test_what_was_recorded_stands_beside_todays_load_and_cluster_alone(tmp_path: Path) -> None:
    trace = tmp_path / "told.swf"
    lines = [f"{n} {n * 10} {n * 3} 60 {n % 4 + 1} -1 -1 {n % 4 + 1} 90 -1 1 1 1 1 1 -1 -1 -1" for n in range(1, 40)]
    trace.write_text("; MaxProcs: 64\n" + "\n".join(lines) + "\n")
    outcome = study_play(definition(workloads=[str(trace)], load_factors=[1, 1.2], policies=["fcfs", "recorded"]))
    assert outcome.finished == 8
    told = {
        (one.cell.load_factor, one.cores): one.standings["recorded"].interval.mean
        for one in study_figures(outcome.study, "mean_wait_time", "fcfs")
        if "recorded" in one.standings
    }
    assert told == {(1.0, 64): pytest.approx(60.0)}


def test_what_was_recorded_is_left_out_of_a_workload_that_does_not_tell() -> None:
    outcome = study_play(definition(policies=["fcfs", "recorded"], load_factors=[1], seeds=1))
    assert outcome.finished == 2
    assert all(run.policies == ["fcfs"] for run in outcome.study.runs.all())
