"""Lessons: their files, their installation, their pages; every built-in one is played and held to what it expects."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.test import Client

from apps.dashboard.lessons import services
from apps.dashboard.lessons.document import InvalidLesson, Lesson, read_lesson, write_lesson
from apps.dashboard.lessons.expressions import Expression, InvalidExpression, Term
from apps.dashboard.lessons.services import lesson_install, lesson_remove, lessons_install
from apps.dashboard.lessons.stored import SOURCE, built_in, lesson_installed
from apps.results.models import Run
from apps.tasks.models import Workload
from scheduler_sim.accounts.models import AuditEntry
from scheduler_sim.background import kinds, locks
from scheduler_sim.background.models import Job
from tests.files import written
from tests.web.conftest import client_that_controls_runs

TEXT = """\
name: two
title: Two tasks
summary: Who is first?
text: |
  Two tasks on one processor.

  The first is `long`.
question: Which starts first?
choices:
- text: The first
  right: true
  why: |
    It starts at {start_time(fcfs, task 1)}, the other
    {start_time(fcfs, task 2) / start_time(sjf, task 2)} times later.
- text: The second
  why: Look <b>again</b>.
cluster: hpc-1
policies: [fcfs, sjf]
tasks: |
  task_id,arrival_time,runtime,duration_estimate,cpus,user
  1,0,60,60,1,ann
  2,1,30,30,1,ben
  3,2,10,10,1,ben
figures: [mean_wait_time, wait_time(task 3), mean_wait_time(user ben)]
expect:
- mean_wait_time(sjf) < mean_wait_time(fcfs)
show: {at: 30, policies: [fcfs, sjf], task: 2}
after: Ben waits {mean_wait_time(fcfs, user ben)}.
"""


def count_of_everything() -> dict[str, int]:
    """Return how many rows every table has, but those that only tell what was done."""
    told = {"AuditEntry", "CacheGeneration", "Job", "Session", "LogEntry"}
    models = [model for model in apps.get_models() if model.__name__ not in told]
    return {model.__name__: model._default_manager.count() for model in models}


def read(text: str) -> Lesson:
    return read_lesson(text, name="two.yaml")


def test_a_lesson_is_read_and_written_back() -> None:
    lesson = read(TEXT)
    assert read(write_lesson(lesson.as_json())) == lesson
    assert Lesson.from_json(lesson.as_json()) == lesson


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("title: Two tasks", "titel: Two tasks", "line 2: titel: There is no key titel here; docs/lessons.md has all."),
        ("question: Which starts first?\n", "", "two.yaml: The key question is missing."),
        ("  right: true\n", "", "line 9: choices: Exactly one choice must be right."),
        ("  right: true\n", "  right: perhaps\n", "line 11: choices[0].right: It must be bool, not str."),
        ("  right: true\n", "  wright: true\n", "line 11: choices[0].wright: There is no key wright here;"),
        ("title: Two tasks", "title: ''", "line 2: title: It must be str of length >= 1."),
        ("name: two", "name: install", "line 1: name: install is the name of a page; take another one."),
        ("name: two", "name: ../two", "line 1: name: It must be lower-case letters, digits and hyphens, at most 50."),
        ("hpc-1", "/etc/passwd", "line 17: cluster: There is no cluster preset '/etc/passwd'."),
        ("[fcfs, sjf]\nt", "[fcfs, sfj]\nt", "line 18: policies: "),
        ("[fcfs, sjf]\nt", "[fcfs, sjf+none]\nt", "line 18: policies: Write sjf+none as sjf"),
        ("hpc-1", "hpc-1\noptions: {site: x}", "line 18: options.site: A lesson cannot ask for site here."),
        ("hpc-1", "hpc-1\noptions: {seed: -1}", "line 18: options.seed: seed must be "),
        ("mean_wait_time(sjf) <", "mean_weight(sjf) <", "line 26: expect[0]: There is no figure 'mean_weight' of"),
        ("mean_wait_time(sjf) <", "mean_wait_time(srf) <", "line 26: expect[0]: srf in "),
        (" < mean_wait_time(fcfs)", "", "line 26: expect[0]: 'mean_wait_time(sjf)' compares nothing."),
        ("{mean_wait_time(fcfs, user ben)}", "{import(os)}", "line 28: after: There is no figure 'import' of a run."),
        ("policies: [fcfs, sjf], t", "policies: [edf], t", "line 27: show.policies: edf is none of"),
        ("name: two", "[", "two.yaml is neither YAML nor JSON"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line_and_key(old: str, new: str, sentence: str) -> None:
    assert old in TEXT
    with pytest.raises(InvalidLesson) as refused:
        read(TEXT.replace(old, new, 1))
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "1 +", "mean_wait_time", "mean_wait_time(fcfs", "mean_wait_time(fcfs, node 3)", "__import__('os')"),
        *("mean_wait_time(fcfs) + makespan(fcfs) * makespan(fcfs)", "mean_wait_time(fcfs) ** 9", "t0", "lost_time()"),
        *("mean_wait_time(fcfs) < wins(fcfs)", "mean_wait_time(fcfs) is 1", "1 < (2 < mean_wait_time(fcfs))"),
        *("t9 + mean_wait_time(fcfs) < 3", "t0 < mean_wait_time(fcfs)", "1" * 400 + " * mean_wait_time(fcfs)"),
        *("1e308 * 10 * makespan(fcfs)", "True * makespan(fcfs)"),
        "(" * 5_000,
    ],
)
def test_what_has_no_meaning_is_no_expression(text: str) -> None:
    with pytest.raises(InvalidExpression):
        Expression.read(text)


def test_expressions_reckon_with_figures_and_their_units() -> None:
    policy = "rr(quantum=300)"
    first, second = Term("mean_wait_time", policy), Term("start_time", "fcfs", task=3)
    figures = {first: 90.0, second: 30.0}
    texts = {
        f"mean_wait_time({policy})": "90.0 s",
        f"mean_wait_time({policy}) / start_time(fcfs, task 3)": "3.00",
        f"-mean_wait_time({policy}) + 100 * start_time(fcfs, task 3)": "48.5 min",
        f"2 * (mean_wait_time({policy}) + start_time(fcfs, task 3))": "4.00 min",
        "start_time(fcfs, task 3) / (start_time(fcfs, task 3) - 30 * start_time(fcfs, task 3) / 30)": "no data",
    }
    assert {text: str(Expression.read(text).value(figures)) for text in texts} == texts
    holds = Expression.read(f"start_time(fcfs, task 3) < 60 <= mean_wait_time({policy})").holds
    assert [holds(figures), holds(figures | {first: 59.0}), holds(figures | {first: None})] == [True, False, False]


@pytest.mark.django_db(transaction=True)
def test_every_built_in_lesson_is_played_as_it_expects_answers_its_question_and_leaves_nothing(client: Client) -> None:
    empty = count_of_everything()
    names = [lesson.name for lesson in built_in()]
    assert len(names) == 8
    told: list[str] = []
    assert lessons_install(lessons=built_in(), tell=told.append) == names
    assert told[-1] == "lesson 8 of 8: Fair share"
    full = count_of_everything()
    assert lessons_install(lessons=built_in()) == []
    assert count_of_everything() == full
    assert not Run.objects.in_sight().exists()
    for lesson in built_in():
        _reads_as_a_lesson(client, lesson)
    call_command("installlessons", "--remove", *names, stdout=StringIO())
    assert count_of_everything() == empty


def _reads_as_a_lesson(client: Client, lesson: Lesson) -> None:
    """A wrong answer brings a hint and hides the outcome; the right one shows what was played."""
    address = f"/learn/{lesson.name}/"
    answered = "What was played"
    for number, choice in enumerate(lesson.choices, 1):
        page = client.get(address, {"choice": number}).content.decode()
        assert (answered in page) == choice.right
        assert ('<h2 id="answer-title">Right</h2>' in page) == choice.right
    gave_up = client.get(address, {"choice": 1 if lesson.choices[1].right else 2, "show": 1})
    page = gave_up.content.decode()
    assert answered in page
    assert "no data" not in page
    assert "{" not in page.split("<article", 1)[1].split("</article", 1)[0]
    instant = client.get(gave_up.context["instant"])
    assert instant.status_code == 200
    assert answered not in client.get(address).content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_changed_lesson_takes_the_place_of_the_old_one_once_it_is_right(client: Client) -> None:
    lesson_install(lesson=read(TEXT))
    old = lesson_installed("two")
    wrong = read(TEXT.replace("mean_wait_time(sjf) <", "mean_wait_time(sjf) * 100 <"))
    with pytest.raises(InvalidLesson, match=r"its run is not as expected: .* \(mean_wait_time\(sjf\) is "):
        lesson_install(lesson=wrong)
    assert lesson_installed("two") == old
    assert (Workload.objects.count(), Run.objects.count()) == (1, 1)
    assert lesson_install(lesson=read(TEXT.replace("Two tasks\n", "Two other tasks\n", 1)))
    assert (Workload.objects.count(), Run.objects.count()) == (1, 1)
    page = client.get("/learn/two/?choice=1").content.decode()
    assert "Two other tasks" in page
    # Start 0 s and 60 s of 70 s; texts of a lesson are no markup.
    assert "It starts at 0 s, the other 0.86 times later." in page
    assert "<code>long</code>" in page
    assert "Look &lt;b&gt;again&lt;/b&gt;." in client.get("/learn/two/?choice=2").content.decode()


@pytest.mark.django_db(transaction=True)
def test_an_installation_that_was_broken_off_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_found: Any) -> None:
        raise SystemExit(1)

    with monkeypatch.context() as patched:
        # As if the process had been killed between the run and what it is held to: nothing is tidied up.
        patched.setattr(services, "_hold_to_claims", killed)
        patched.setattr(services, "_remove", lambda _found: None)
        with pytest.raises(SystemExit):
            lesson_install(lesson=read(TEXT))
    assert lesson_installed("two") is None
    assert lesson_install(lesson=read(TEXT))
    assert (Workload.objects.count(), Run.objects.count()) == (1, 1)


def installed_and_played() -> Workload:
    """Install the lesson and play its tasks in a run of one's own."""
    lesson_install(lesson=read(TEXT))
    workload = Workload.objects.get()
    options = ("--workload", workload.name, "--cluster", "hpc-1", "--policies", "fcfs", "--name", "mine")
    call_command("runsimulation", *options, stdout=StringIO(), verbosity=0)
    return workload


@pytest.mark.django_db(transaction=True)
def test_a_lesson_whose_tasks_somebody_plays_stays(client: Client) -> None:
    installed_and_played()
    with pytest.raises(InvalidLesson, match=r"Run mine plays the tasks of lesson two as well; delete it first\."):
        lesson_remove(name="two")
    assert lesson_installed("two") is not None


@pytest.mark.django_db(transaction=True)
def test_tasks_that_others_play_keep_their_origin_when_their_lesson_changes_and_comes_back(client: Client) -> None:
    workload = installed_and_played()
    changed = read(TEXT.replace("title: Two tasks", "title: Two jobs"))
    lesson_install(lesson=changed)
    kept = Workload.objects.get(pk=workload.pk)
    assert (kept.source, kept.source_sha256) == (SOURCE, workload.source_sha256)
    assert SOURCE not in kept.audit
    call_command("verifyrun", "mine", "--replay", stdout=StringIO())
    lesson_remove(name="two")
    assert lesson_installed("two") is None
    assert lesson_install(lesson=read(TEXT))
    found = lesson_installed("two")
    assert found is not None
    assert found.workload.pk == workload.pk
    assert Workload.objects.count() == 1
    call_command("verifyrun", "mine", "--replay", stdout=StringIO())


@pytest.mark.django_db
def test_two_processes_do_not_install_lessons_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(locks, "take", lambda key: key != services.LOCK)
        for change in (lambda: lessons_install(lessons=[read(TEXT)]), lambda: lesson_remove(name="two")):
            with pytest.raises(InvalidLesson, match="Another process is installing or removing lessons"):
                change()
    assert not Workload.objects.exists()
    with pytest.raises(InvalidLesson, match="No lesson called"):
        lesson_remove(name="two")
    assert not locks.is_held(services.LOCK)


@pytest.mark.django_db
def test_a_policys_page_leads_to_the_lessons_that_show_it(client: Client) -> None:
    page = str(client.get("/policies/fcfs%2Bconservative/").content, "utf-8")
    assert 'href="/learn/easy-or-conservative/"' in page
    assert 'href="/learn/fair-share/"' not in page
    assert "Lessons that show it" not in str(client.get("/policies/f4/").content, "utf-8")


@pytest.mark.django_db(transaction=True)
def test_a_lesson_is_made_of_any_workload_and_can_be_installed(tmp_path: Path) -> None:
    making = ("makelesson", "jobs", "--cluster", "hpc-8", "--name", "mine", "--policies", "fcfs,sjf+easy")
    options = ("--tasks", "300", "--seed", "3", "--name", "jobs", "--processors", "8")
    call_command("generateworkload", "lublin", *options, stdout=StringIO(), verbosity=0)
    with pytest.raises(CommandError, match="A lesson has 1 to 200 tasks, and these are 300; --tasks takes the first"):
        call_command(*making, stdout=StringIO())
    text = StringIO()
    call_command(*making, "--tasks", "40", stdout=text)
    file = written(tmp_path / "mine.yaml", text.getvalue())
    said = StringIO()
    call_command("installlessons", "--file", str(file), stdout=said)
    call_command("installlessons", "--file", str(file), stdout=said)
    assert said.getvalue() == "Installed mine (My lesson).\nAlready there: mine (My lesson).\n"
    call_command("installlessons", "--list", stdout=said)
    assert "mine                     installed      My lesson" in said.getvalue()


@pytest.mark.parametrize("content", [b"\xff\xfe\xff", None])
def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "x.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CommandError, match=r"x\.yaml (begins as UTF-16 text and holds|cannot be read: No such file)"):
        call_command("installlessons", "--file", str(file))


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["choice=1", "choice=99", "choice=-1", "choice=x%00", "choice=9" * 30, "show=1"])
def test_a_lesson_that_is_not_installed_is_read_without_its_outcome(client: Client, query: str) -> None:
    page = client.get(f"/learn/convoy/?{query}")
    assert page.status_code == 200
    assert "What was played" not in page.content.decode()
    assert client.get("/learn/nothing/").status_code == 404


@pytest.mark.django_db
def test_the_built_in_lessons_are_installed_by_a_job_that_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    client = client_that_controls_runs()
    assert "Install the built-in lessons" in client.get("/learn/").content.decode()
    client.post("/learn/install/")
    client.post("/learn/install/")
    job = Job.objects.get()
    assert AuditEntry.objects.filter(action="start", kind="lessons", name="carol").count() == 1
    job.tell("lesson 2 of 8: The hole that EASY fills")
    Job.objects.update(status=Job.Status.RUNNING)
    page = client.get("/learn/").content.decode()
    assert "The lessons are being installed: lesson 2 of 8: The hole that EASY fills." in page
    assert "Install the built-in lessons" not in page
    done: list[Any] = []
    monkeypatch.setattr(services, "_install", done.append)
    kind = kinds.find("lessons")
    kind.work(job)
    assert done == list(built_in())
    assert (kind.title(job), kind.address(job)) == ("built-in lessons", "/learn/")


@pytest.mark.django_db(transaction=True)
def test_a_lesson_that_another_version_has_stored_is_not_shown_and_can_be_removed() -> None:
    lesson_install(lesson=read(TEXT))
    workload = Workload.objects.get(source=SOURCE)
    workload.audit[SOURCE]["document"]["wright"] = True
    workload.save()
    client = client_that_controls_runs()
    assert client.get("/learn/").status_code == 200
    assert client.get("/learn/two/").status_code == 404
    lesson_remove(name="two")
    assert not Workload.objects.exists()
