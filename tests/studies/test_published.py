"""Studies that draw their tasks from a stored trace, and what they find beside what was published."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from apps.live.exchange.manifest import manifest_parts, run_manifest
from apps.live.play.configuration import RunConfiguration
from apps.live.play.preparation import prepare
from apps.metrics.models import Metric
from apps.results.models import Study
from apps.studies import views
from apps.studies.definition import Definition
from apps.studies.play.execution import study_play
from apps.studies.ready_made import named_definition, ready_made_files
from apps.studies.report.html import study_html
from apps.studies.report.published import claims, published, published_tables
from apps.studies.report.tables import markdown_table, study_document
from apps.studies.sources import InvalidStudy
from apps.tasks.errors import WorkloadError
from apps.tasks.models import Workload
from apps.tasks.services import workload_generate, workload_import, workload_sample
from scheduler_sim.engine import InvalidWorkload, load_cluster, parse_policy
from scheduler_sim.engine.measuring.figures import FIGURES

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_this_process")]


@pytest.fixture
def trace(tmp_path: Path) -> Workload:
    """Return an imported workload of 90 tasks, told when they started."""
    rows = [f"{n},{n * 20},{(n * 37) % 200 + 5},{n % 8 + 1}" for n in range(1, 91)]
    file = tmp_path / "told.csv"
    file.write_text("\n".join(["task_id,arrival_time,runtime,cpus", *rows]) + "\n")
    return workload_import(file=str(file), name="told")[0]


def definition(**source: Any) -> Definition:
    return Definition.from_json(
        {
            "name": "drawn",
            "workloads": [{"sample": "told", "tasks": 40, **source}],
            "clusters": ["hpc-8"],
            "policies": ["fcfs", "fcfs+easy"],
            "seeds": 3,
        }
    )


@pytest.fixture
def played(trace: Workload) -> Study:
    return study_play(definition(draw="tasks")).study


def test_every_seed_of_a_sample_plays_tasks_of_its_own_which_are_stored_once(
    played: Study, in_this_process: list[int]
) -> None:
    runs = list(played.runs.finished().select_related("workload").order_by("pk"))
    drawn = [run.workload for run in runs]
    assert [one.source for one in drawn] == ["sample"] * 3
    numbers = [frozenset(one.tasks.values_list("task_id", flat=True)) for one in drawn]
    assert len(set(numbers)) == 3
    assert all(len(one) == 40 and one <= set(range(1, 91)) for one in numbers)
    before = len(in_this_process)
    assert study_play(definition(draw="tasks")).finished == 3
    assert len(in_this_process) == before
    assert [one.name for one in Workload.objects.not_of_studies()] == ["told"]


def test_a_run_of_a_sample_is_taken_up_from_its_manifest(played: Study) -> None:
    run = played.runs.finished().latest("pk")
    document = run_manifest(run)
    assert manifest_parts(document)[0].pk == run.workload_id
    run.workload.runs.all().delete()
    run.workload.delete()
    for given in (None, "told"):
        workload = manifest_parts(document, workload_file=given)[0]
        assert (workload.seed, workload.task_count, workload.source) == (3, 40, "sample")
        assert workload.pk != run.workload_id


def test_only_what_was_imported_is_sampled() -> None:
    made, _ = workload_generate(model="lublin", tasks=50, seed=1, name="made", parameters={"processors": 64})
    with pytest.raises(WorkloadError, match="made was not imported from a file"):
        workload_sample(of=made, tasks=10, seed=1, draw="window", arrivals="trace")


def test_sessions_are_not_looked_for_in_a_sample_which_is_named(trace: Workload) -> None:
    drawn, _ = workload_sample(of=trace, tasks=40, seed=1, draw="tasks", arrivals="trace")
    configuration = RunConfiguration(policies=("fcfs",), feedback="users", keep="summary")
    with pytest.raises(InvalidWorkload, match=f"Workload {drawn.name} is a sample"):
        prepare(workload=drawn, cluster=load_cluster("hpc-8"), configuration=configuration)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ({"draw": "some"}, "draw is window or tasks, not 'some'"),
        ({"arrivals": "late"}, "arrivals is trace or poisson, not 'late'"),
        ({"tasks": 0}, "tasks must be a whole number above 0"),
        ({"parameters": {"a": 1}}, "parameters are of a generator"),
        ({"stored": "x"}, "names one of stored, file, generate and sample"),
        ({"sample": "", "stored": "x", "draw": "tasks"}, "draw is of a sample, and the workload names stored"),
    ],
)
def test_a_sample_without_meaning_is_refused(source: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidStudy, match=fault):
        definition(**source)


def told(study: Study, figure: str = "mean_wait_time") -> tuple[str, str]:
    """Return the verdict on EASY before FCFS by one figure, and what was found."""
    found = published(study)
    assert found is not None
    one = next(one for one in found.beside if one.claim.figure == figure)
    assert one.claim.words == "fcfs+easy before fcfs"
    return one.verdict, one.found


def set_waits(study: Study, waits: dict[str, list[float]]) -> None:
    for place, run in enumerate(study.runs.order_by("pk")):
        for name, values in waits.items():
            Metric.objects.totals().filter(run=run, scheduler=name).update(mean_wait_time=values[place])


def test_a_direction_agrees_differs_or_is_not_decided_by_differences_seed_by_seed(played: Study) -> None:
    # Far apart by seed, close together by policy: only the pairs tell them apart.
    set_waits(played, {"fcfs": [100.0, 500.0, 900.0], "fcfs+easy": [90.0, 490.5, 889.0]})
    assert told(played) == ("agrees", "fcfs+easy before fcfs by -10.2 [-12.1, -8.3] s (-2.0%)")
    set_waits(played, {"fcfs": [90.0, 490.5, 889.0], "fcfs+easy": [100.0, 500.0, 900.0]})
    assert told(played) == ("differs", "fcfs before fcfs+easy by -10.2 [-12.1, -8.3] s (-2.0%)")
    set_waits(played, {"fcfs": [90.0, 600.0, 889.0], "fcfs+easy": [100.0, 500.0, 900.0]})
    assert told(played) == ("not decided", "fcfs+easy less fcfs -0.44 [-3.08, 2.20] min (-5.0%)")
    set_waits(played, {"fcfs": [100.0] * 3, "fcfs+easy": [90.0] * 3})
    assert told(played) == ("not decided", "fcfs+easy less fcfs -10.0 s (-10.0%), the same for all seeds, no interval")


def test_the_page_and_the_downloads_show_winners_and_directions(played: Study, client: Client) -> None:
    page = client.get(f"/studies/{played.pk}/").content.decode()
    assert "Beside what was published" in page
    assert "fcfs+easy before fcfs" in page
    assert "Lifka" in page
    text = markdown_table(played)
    assert "| where | figure | published | here | found | source |" in text
    report = study_html(played)
    assert "<h2>Beside what was published</h2>" in report
    found = published(played)
    assert found is not None
    for table in published_tables(found):
        for row in table.rows:
            assert all(f"<td>{escape(cell)}</td>" in report for cell in row)
    document = study_document(played)["published"]
    assert {one["figure"] for one in document["winners"]} >= {"mean_job_completion_time", "makespan"}
    assert {one["verdict"] for one in document["beside"]} <= {"agrees", "differs", "not decided"}


def test_a_study_of_which_nothing_was_claimed_says_nothing(trace: Workload, client: Client) -> None:
    study = study_play(Definition.from_json({**definition().document, "policies": ["fcfs", "ljf"]})).study
    assert published(study) is None
    assert "Beside what was published" not in client.get(f"/studies/{study.pk}/").content.decode()


def test_every_claim_names_figures_and_policies_that_there_are_and_says_where_it_stands() -> None:
    for claim in claims():
        assert FIGURES[claim.figure].better in ("lower", "higher")
        for policy in (claim.before, claim.after):
            assert parse_policy(policy).name == policy
        assert claim.source
        assert claim.place
        assert claim.says
        assert 1960 < claim.year < 2030
    pairs = [(one.figure, one.before, one.after) for one in claims()]
    assert not set(pairs) & {(figure, after, before) for figure, before, after in pairs}


@pytest.mark.parametrize("key", ready_made_files())
def test_a_ready_made_study_has_meaning_and_policies_that_something_was_claimed_of(key: str) -> None:
    asked = named_definition(key)
    assert len(asked.seeds) >= 5
    assert any({claim.before, claim.after} <= set(asked.policies) for claim in claims())


def test_a_ready_made_study_is_started_from_the_form_once_its_workload_is_there(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(views, "study_launch", lambda study, **_: started.append(study.name))
    page = admin_client.get("/studies/new/").content.decode()
    assert "Needs the workload gavel-msr-6214e9" in page
    lacking = admin_client.post("/studies/new/", {"ready_made": "gpu-policies"}, follow=True)
    assert "needs workloads that are not stored: gavel-msr-6214e9" in lacking.content.decode()
    assert admin_client.post("/studies/new/", {"ready_made": "../secret"}).status_code == 404
    assert not started
    for _ in range(2):
        answer = admin_client.post("/studies/new/", {"ready_made": "backfilling"}, follow=True)
        assert "orders and backfilling" in answer.content.decode()
    assert started == ["orders and backfilling"]
    assert "It is stored here" in admin_client.get("/studies/new/").content.decode()
