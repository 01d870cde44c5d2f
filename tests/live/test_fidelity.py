"""Whether an answer may be believed: a log that is not replayed is spoken of first, and marks every run like it."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from apps.live.exchange.manifest import run_manifest
from apps.results.fidelity import replay_in_words, run_badge
from apps.results.models import Fidelity, Run, Study
from apps.studies.report.html import run_html, run_markdown
from apps.studies.report.words import study_sentences
from apps.tasks.models import Workload
from apps.tasks.services import workload_import
from apps.tasks.sites.services import site_store
from scheduler_sim.engine.sites import Site, add_site_nodes, read_slurm_site
from tests.conftest import empty_caches
from tests.files import written

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    """Rows get the numbers again that those of other tests had."""
    empty_caches()


# Twenty nodes of one partition and two of another, and the GPU nodes, of which four are larger than all others.
NODES = {
    "groups": [
        {"name": "batch", "count": 20, "cores": 64},
        {"name": "debug", "count": 2, "cores": 64},
        {"name": "a100", "count": 4, "cores": 128, "gpus": 4, "gpu_type": "a100"},
        {"name": "v100", "count": 4, "cores": 64, "gpus": 4, "gpu_type": "v100"},
    ]
}
NOTHING = "No run has finished, so there is nothing to compare."
HEAD = "JobID|Partition|User|Account|State|Submit|Start|End|ElapsedRaw|Timelimit|AllocCPUS"
DAY = "2026-03-02T"


def clock(seconds: int) -> str:
    return f"{DAY}{8 + seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def sacct(path: Path, jobs: list[tuple[int, int, int, int]], *, nodes: int = 0) -> Path:
    """Write a log of jobs (submitted, started, seconds, cores) of the partition batch, each on so many nodes if any."""
    lines = [HEAD + ("|NNodes|AllocTRES" if nodes else "")]
    for number, (submitted, started, seconds, cores) in enumerate(jobs, start=1):
        times = f"{clock(submitted)}|{clock(started)}|{clock(started + seconds)}|{seconds}|02:00:00"
        asked = f"|{nodes}|cpu={cores},node={nodes},billing={cores}" if nodes else ""
        lines.append(f"{number}|batch|u{number % 2}|lab|COMPLETED|{times}|{cores}{asked}")
    path.write_text("\n".join(lines) + "\n")
    return path


# Pairs of jobs of eight whole nodes, as sixteen of twenty nodes hold them: one pair an hour.
PAIRS = [(0, 0, 3600, 512), (0, 0, 3600, 512), (60, 3600, 3600, 512), (60, 3600, 3600, 512)]


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    return written(tmp_path / "site.yaml", yaml.safe_dump(NODES))


def stored(path: Path) -> Workload:
    return workload_import(file=path, name=path.stem)[0]


def play(workload: Workload, cluster: Path | str, policies: str, *more: str) -> tuple[Run, dict[str, Any]]:
    out = StringIO()
    where = ("--workload", workload.name, "--cluster", str(cluster), "--policies", policies)
    call_command("runsimulation", *where, *more, "--json", stdout=out, verbosity=0)
    document = json.loads(out.getvalue())
    return Run.objects.get(pk=document["run"]), document


def check(*arguments: str) -> tuple[str, str]:
    """Return what `checkfidelity` prints, and its error, empty where it ends well."""
    out = StringIO()
    try:
        call_command("checkfidelity", *arguments, stdout=out)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


def test_jobs_that_are_put_on_too_few_large_nodes_are_spoken_of_before_anything_else(
    tmp_path: Path, cluster: Path, client: Client
) -> None:
    workload = stored(sacct(tmp_path / "whole.txt", PAIRS))
    run, document = play(workload, cluster, "recorded,fcfs+easy")
    first, second = document["cautions"]
    assert next(iter(document)) == "cautions"
    assert (first["kind"], first["policies"]) == ("not_replayed", ["recorded"])
    # Ended at 1, 2, 3 and 4 h: waits of 0, 3600, 7140 and 10740 s where the log has 0, 0, 3540 and 3540 s.
    assert "the mean wait is 89.5 min here and 29.5 min in the log, and 3 of 4 tasks start later" in first["text"]
    assert "The first is task 2 (batch, 512 cores): it started at 0 s in the log and at 3,600 s here" in first["text"]
    assert "it is put on nodes of a100, where they hold 512 of 512 cores" in first["text"]
    assert second["kind"] == "impossible_starts"
    assert "At 0 s tasks hold 1,024 cores on nodes of more than 64 cores, and there are 512" in second["text"]
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert page.index("recorded does not replay the log") < page.index("What the log records does not fit")
    assert page.index("What the log records does not fit") < page.index('id="leaderboard"')
    assert page.index("Do not rely on this") < page.index("slow tasks down alike")
    for address in (f"{reverse('compare')}?runs={run.pk}", f"/api/v1/leaderboard/?run={run.pk}"):
        assert "recorded does not replay the log" in client.get(address).content.decode()
    answer = client.get(f"/api/v1/runs/{run.pk}/").json()
    assert answer["cautions"][0] == first
    assert answer["fidelity"]["kind"] == "differs"
    assert run_manifest(run)["cautions"][0] == first
    for text in (run_html(run), run_markdown(run)):
        assert text.index("recorded does not replay the log") < text.index("Do not rely on this")
    out, err = StringIO(), StringIO()
    call_command("exportdata", "results", "--run", str(run.pk), stdout=out, stderr=err)
    assert "recorded does not replay the log" in err.getvalue()
    out = StringIO()
    call_command("runsimulation", "--resume", str(run.pk), stdout=out, verbosity=0)
    printed = " ".join(out.getvalue().split())
    assert printed.index("recorded does not replay the log") < printed.index("mean JCT")
    assert "Do not rely on this: recorded on site Does not replay" not in printed
    assert "Do not rely on this: recorded on site does not replay your log" in printed
    call_command("verifyrun", str(run.pk), "--replay", stdout=StringIO())


def test_what_really_ran_is_replayed_or_spoken_of_first(tmp_path: Path, cluster: Path) -> None:
    run, document = play(stored(sacct(tmp_path / "nodes.txt", PAIRS, nodes=8)), cluster, "recorded")
    found = Fidelity.objects.get(workload=run.workload)
    assert bool(found.late_tasks) == ("not_replayed" in [caution["kind"] for caution in document["cautions"]])
    assert found.has_same_mean_wait == (run_badge(run).kind == "replays")


def test_on_a_site_with_its_partitions_the_same_jobs_are_replayed(tmp_path: Path) -> None:
    hosts = {"batch": "n[01-20]", "debug": "d[1-2]", "a100": "a[1-4]", "v100": "v[1-4]"}
    groups = [{**group, "hosts": hosts[str(group["name"])]} for group in NODES["groups"]]
    partitions = [{"name": "batch", "hosts": "n[01-20]", "is_default": True}, {"name": "gpu", "hosts": "a[1-4],v[1-4]"}]
    site_store(site=Site.from_json({"name": "real", "groups": groups, "partitions": partitions}))
    workload = stored(sacct(tmp_path / "nodes.txt", PAIRS, nodes=8))
    run = play_on_site(workload, "real", "recorded")
    assert run.cautions == []
    found = Fidelity.objects.get(workload=workload)
    assert (found.late_tasks, found.played_mean_wait, found.recorded_mean_wait) == (0, 1770.0, 1770.0)
    crowded = stored(sacct(tmp_path / "more.txt", [*PAIRS[:2], (0, 0, 3600, 512)], nodes=8))
    impossible = play_on_site(crowded, "real", "recorded").cautions[1]
    assert impossible["kind"] == "impossible_starts"
    assert "At 0 s tasks hold 1,536 cores in partition batch, and there are 1,280" in impossible["text"]


def test_a_log_that_a_cluster_replays_marks_runs_that_do_not_play_it_and_those_of_a_changed_cluster(
    tmp_path: Path, client: Client
) -> None:
    jobs = [(0, 0, 100, 40), (0, 0, 50, 20), (10, 100, 30, 64)]
    workload = stored(sacct(tmp_path / "fits.txt", jobs))
    before, _ = play(workload, "hpc-64", "fcfs,sjf")
    assert run_badge(before).kind == "unchecked"
    assert "Not checked against your log" in client.get(f"/runs/{before.pk}/").content.decode()
    run, document = play(workload, "hpc-64", "recorded")
    assert document["cautions"] == []
    assert document["fidelity"]["text"] == "Replays your log within 0 s (mean)"
    assert run_badge(before) == run_badge(run)
    assert "Replays your log within 0 s (mean)" in client.get(f"/runs/{before.pk}/").content.decode()
    assert client.get("/runs/").content.decode().count("log replayed") == 2
    changed, _ = play(workload, "hpc-64", "fcfs", "--add-nodes", "processors=64")
    assert run_badge(changed).text == "Not checked as it is here; unchanged, hpc-64 replays your log within 0 s (mean)"
    other, _ = play(workload, "hpc-640", "fcfs")
    assert run_badge(other).kind == "unchecked"
    assert "hpc-64 " not in run_badge(other).text
    page = client.get(f"/runs/{before.pk}/").content.decode()
    assert "Starts under recorded on hpc-64 beside those that the log recorded." in " ".join(page.split())
    assert "No task starts more than 1 s from when it did in the log." in page
    table = client.get(f"/runs/{before.pk}/?table=fidelity&format=json").json()
    assert [one["group"] for one in table] == ["all tasks", "partition batch", "hour 08"]
    assert (table[0]["recorded_mean_wait"], table[1]["within_2_s"], table[2]["tasks"]) == (30.0, 1.0, 3)
    [row] = client.get(f"/api/v1/fidelities/?workload={workload.pk}").json()["results"]
    assert (row["policy"], row["place_name"], row["tasks"], row["late_tasks"]) == ("recorded", "hpc-64", 3, 0)
    assert (row["mean_absolute_difference"], row["recorded_mean_wait"]) == (0.0, 30.0)
    assert row["details"]["by_queue"]["batch"]["tasks"] == 3
    assert list(row["details"]["by_hour"]) == ["08"]


def test_a_what_if_on_a_cluster_that_does_not_replay_the_log_is_doubted(tmp_path: Path) -> None:
    jobs = [(0, 0, 1000, 40), (0, 0, 1000, 40)]
    workload = stored(sacct(tmp_path / "small.txt", jobs))
    run, document = play(workload, "hpc-64", "recorded")
    assert document["fidelity"]["kind"] == "differs"
    wider, _ = play(workload, "hpc-64", "fcfs,sjf", "--add-nodes", "processors=8")
    assert run_badge(wider).doubt.startswith("Do not rely on this: unchanged already, recorded on hpc-64 does not")
    denser, _ = play(workload, "hpc-64", "fcfs", "--scale-load", "2")
    assert denser.cautions == []
    assert run_badge(denser) == run_badge(run)


def test_runs_that_change_what_the_log_tells_of_say_nothing_about_others(tmp_path: Path) -> None:
    workload = stored(sacct(tmp_path / "part.txt", [(0, 0, 100, 64), (0, 200, 100, 64)]))
    for more in (("--limit", "1"), ("--on-limit", "kill")):
        play(workload, "hpc-64", "recorded", *more)
    assert not Fidelity.objects.exists()


def test_tasks_that_ran_and_are_left_out_are_counted(tmp_path: Path) -> None:
    workload = stored(sacct(tmp_path / "large.txt", [(0, 0, 100, 64), (0, 0, 100, 8)]))
    _, document = play(workload, "hpc-32", "recorded", "--on-oversize", "drop")
    assert document["cautions"][0]["kind"] == "impossible_starts"
    assert "1 of the tasks that really ran does not fit it empty and is left out." in document["cautions"][0]["text"]


def test_jobs_that_were_queued_again_are_named_as_what_may_be_why(tmp_path: Path) -> None:
    workload = stored(sacct(tmp_path / "again.txt", [(0, 0, 100, 64), (0, 0, 100, 8)]))
    workload.audit["dropped"]["earlier_attempt"] = {"count": 3, "places": [2], "examples": []}
    workload.save(update_fields=["audit"])
    _, document = play(workload, "hpc-64", "recorded")
    assert [caution["kind"] for caution in document["cautions"]] == ["not_replayed", "impossible_starts"]
    assert all("(3 earlier runs)" in caution["text"] for caution in document["cautions"])


def test_a_study_is_doubted_where_its_workload_is_not_replayed(tmp_path: Path) -> None:
    workload = stored(sacct(tmp_path / "study.txt", [(0, 0, 1000, 40), (0, 0, 1000, 40)]))
    definition = {"name": "grid", "workloads": [workload.name], "clusters": ["hpc-64"], "policies": ["fcfs", "sjf"]}
    study = Study.objects.create(name="grid", definition=definition)
    for seed in ("1", "2"):
        run, _ = play(workload, "hpc-64", "fcfs,sjf", "--seed", seed)
        Run.objects.filter(pk=run.pk).update(study=study, digest=seed)
    caution, nothing = study_sentences(study, [], figure="mean_wait_time", base="fcfs")
    assert (caution[:20], nothing) == ("What the log records", NOTHING)
    assert "mean wait" in check(workload.name, "--cluster", "hpc-64")[1]
    _, doubt, nothing = study_sentences(study, [], figure="mean_wait_time", base="fcfs")
    assert doubt.startswith("Do not rely on this: recorded on hpc-64 does not replay your log")
    assert nothing == NOTHING


@pytest.mark.slow
def test_a_site_s_version_is_marked_by_what_was_looked_at_on_it_and_changes_of_it_are_told_of_that(
    slurm_path: Callable[[str], Path],
) -> None:
    folder = slurm_path("S1A")
    site, _ = read_slurm_site({}, slurm_conf_file=folder / "conf" / "slurm.conf")
    site_store(site=site, name="real")
    log = workload_import(file=folder / "sacct" / "sacct_X_all.psv.gz", name="log")[0]
    assert run_badge(play_on_site(log, "real", "fcfs")).kind == "unchecked"
    printed, error = check("log", "--site", "real", "--policy", "recorded", "--json")
    document = json.loads(printed)
    assert (error, document["late_tasks"], document["every"]["mean_absolute"]) == ("", 0, 0.0)
    assert Fidelity.objects.get().place_name == "real version 1"
    assert run_badge(play_on_site(log, "real", "fcfs")).kind == "replays"
    more = play_on_site(log, "real", "fcfs", "--add-nodes", "main=2")
    assert run_badge(more).text.startswith("Not checked as it is here; unchanged, real version 1 replays your log")
    site_store(site=add_site_nodes(site, "main=2"), name="real")
    assert run_badge(play_on_site(log, "real", "fcfs")).text == run_badge(more).text
    # The site's own scheduler goes before the recorded starts, which only say that the log fits.
    own = play_on_site(log, "real@1", "slurm")
    found = Fidelity.objects.get(policy="slurm")
    assert found.place_name == "real version 1"
    assert (run_badge(own).kind == "replays") == found.has_same_mean_wait
    assert run_badge(own).text == replay_in_words(found)


def play_on_site(workload: Workload, site: str, policies: str, *more: str) -> Run:
    out = StringIO()
    where = ("--workload", workload.name, "--site", site, "--policies", policies)
    call_command("runsimulation", *where, *more, "--json", stdout=out, verbosity=0)
    return Run.objects.get(pk=json.loads(out.getvalue())["run"])


def test_generated_tasks_have_no_log_to_be_checked_against(client: Client) -> None:
    call_command("generateworkload", "lublin", "--tasks", "20", "--name", "made", stdout=StringIO())
    run, document = play(Workload.objects.get(name="made"), "hpc-256", "fcfs")
    assert document["fidelity"] == {"kind": "no_log", "text": "", "doubt": ""}
    assert "data-fidelity" not in client.get(f"/runs/{run.pk}/").content.decode()
    assert "does not tell when any of its tasks really started" in check("made", "--cluster", "hpc-256")[1]


@pytest.mark.slow
def test_checkfidelity_replays_every_start_of_real_slurm_and_tells_how_far_other_policies_are(
    slurm_path: Callable[[str], Path], tmp_path: Path
) -> None:
    nodes = tmp_path / "s1.yaml"
    nodes.write_text(yaml.safe_dump({"groups": [{"name": "node", "count": 32, "cores": 16}]}))
    trace = str(slurm_path("S1A") / "sacct" / "sacct_X_all.psv.gz")
    printed, error = check(trace, "--cluster", str(nodes), "--policy", "recorded", "--json")
    document = json.loads(printed)
    assert (error, document["agrees"], document["cautions"], document["late_tasks"]) == ("", True, [], 0)
    assert (document["every"]["tasks"], document["every"]["mean_absolute"]) == (404, 0.0)
    assert document["every"]["recorded_mean_wait"] == pytest.approx(118.9, abs=0.05)
    assert list(document["by_hour"]) == ["10", "11"]
    # Measured with another program, of the same tasks as one pool of 512 processors.
    for policy, wait in (("fcfs", 179.6), ("fcfs+easy", 94.2), ("fcfs+conservative", 98.1)):
        printed, error = check(trace, "--cluster", "hpc-512", "--policy", policy, "--json")
        assert "does not replay" in error
        assert json.loads(printed)["every"]["played_mean_wait"] == pytest.approx(wait, abs=0.05)
    assert Fidelity.objects.count() == 4
    printed, error = check(trace, "--cluster", "hpc-512", "--policy", "fcfs+easy", "--within", "25")
    assert error == ""
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert next(line for line in lines if line.startswith("all tasks")).startswith("all tasks 404 118.9 s 94.2 s")
    assert any(line.startswith("partition main 404") for line in lines)
    assert any("The first is task 73 (main, 32 cores)" in line for line in lines)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--within", "-1"), "numbers from 0 up"),
        (("--within", "nan"), "numbers from 0 up"),
        (("--policy", "nonsense"), "nonsense"),
        (("--cluster", "hpc-8"), "larger than cluster hpc-8"),
        (("--policy", "fcfs,sjf"), "one policy"),
        (("--site", "elsewhere"), "not both"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(tmp_path: Path, more: tuple[str, str], reason: str) -> None:
    workload = stored(sacct(tmp_path / "few.txt", [(0, 0, 10, 16)]))
    assert reason in check(workload.name, "--cluster", "hpc-16", *more)[1]
    assert "There is no site 'elsewhere'" in check(workload.name, "--site", "elsewhere")[1]
    assert not Fidelity.objects.exists()
