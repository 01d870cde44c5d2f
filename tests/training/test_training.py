"""Labelling, fitting and searching, and the commands that do it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from apps.results.models import Run
from apps.tasks.models import Workload
from apps.tasks.services import workload_generate
from apps.training import policy_search
from apps.training.agents import NothingToSplit, agent_train
from apps.training.fitting import TooFewRows, fraction_regret, hybrid_train, runtime_train
from apps.training.labelling import run_label
from apps.training.model_cards import ModelCard
from apps.training.models import BY_GROUP, PolicySearch, TrainedModel, TrainingData
from apps.training.retraining import Retrainer
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import load_cluster, pool, workstation
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.learning.sampling import Parts
from scheduler_sim.engine.learning.settings import SearchSettings
from scheduler_sim.engine.policies.choice_scoring import CHOICES

pytestmark = pytest.mark.django_db


def a_run(workload):
    return Run.objects.create(
        name="labelled", workload=workload, cluster=workstation().as_json(), policies=["oracle"], engine_version="1"
    )


def label(run, policies=("oracle", "greedy")):
    tasks = run.workload.tasks.in_canonical_order()
    return run_label(
        run=run,
        workload=tasks.as_workload(),
        cluster=workstation(),
        task_keys=np.array(list(tasks.values_list("pk", flat=True))),
        policies=[engine.parse_policy(name) for name in policies],
        split_model="concurrent",
    )


@pytest.fixture
def run():
    workload, _ = workload_generate(model="mixed", tasks=300, seed=1, name="mixed")
    return a_run(workload)


def test_a_run_with_the_oracle_leaves_a_row_a_task(run):
    assert label(run) == 300
    assert TrainingData.objects.filter(run=run).count() == 300
    assert len(set(TrainingData.objects.values_list("optimal_gpu_fraction", flat=True))) > 100


def test_labelling_again_replaces_the_rows(run):
    label(run)
    assert label(run) == 300
    assert TrainingData.objects.count() == 300


def test_a_run_without_the_oracle_leaves_no_rows(run):
    assert label(run, ["greedy", "hybrid_ml"]) == 0


def test_the_window_holds_the_newest_rows_in_order(run):
    label(run)
    keys = list(TrainingData.objects.order_by("id").values_list("id", flat=True))
    assert list(TrainingData.objects.latest_window(40).values_list("id", flat=True)) == keys[-40:]
    assert TrainingData.objects.latest_window(1000).count() == 300


def stored_at(moment, rows):
    TrainingData.objects.filter(pk__in=list(rows.values_list("pk", flat=True))).update(created_at=moment)


def test_rows_of_a_time_are_learned_from(run):
    label(run)
    stored_at(datetime(2026, 5, 1, tzinfo=UTC), TrainingData.objects.order_by("id")[:100])
    out = StringIO()
    when = ["--since", "2026-05-01", "--until", "2026-05-02"]
    call_command("trainmodel", "hybrid_ml", *when, "--algorithm", "ridge", "--json", stdout=out)
    document = json.loads(out.getvalue())
    assert (document["data_range"]["rows"], document["data_range"]["held_out_rows"]) == (80, 20)
    assert document["data_range"]["since"].startswith("2026-05-01")
    with pytest.raises(CommandError, match="0 rows"):
        call_command("trainmodel", "hybrid_ml", "--until", "2026-04-01")


def test_rows_beyond_the_retention_are_deleted_when_asked_for(run):
    label(run)
    stored_at(timezone.now() - timedelta(days=40), TrainingData.objects.order_by("id")[:120])
    out = StringIO()
    call_command("prune", "--training-older-than", "30", stdout=out)
    assert "120 rows of training data would be deleted" in out.getvalue()
    assert TrainingData.objects.count() == 300
    call_command("prune", "--training-older-than", "30", "--yes", stdout=out)
    assert "Deleted 120 rows of training data" in out.getvalue()
    assert TrainingData.objects.count() == 180
    assert Run.objects.filter(pk=run.pk).exists()


@pytest.mark.parametrize("algorithm", ["lightgbm", "ridge"])
def test_hybrid_ml_is_fitted_on_early_and_judged_on_late_rows(run, algorithm):
    label(run)
    model = hybrid_train(run=run, algorithm=algorithm, seed=3)
    assert model.active
    assert (model.data_range["rows"], model.data_range["held_out_rows"]) == (240, 60)
    assert model.scores["mean_regret"] < model.scores["mean_regret_of_the_median"]
    assert not model.artifact.startswith("\x80")
    assert hybrid_train(run=run, algorithm=algorithm, seed=3).artifact == model.artifact


def test_the_regret_of_the_best_fraction_is_none():
    best = np.array([0.0, 0.3, 0.7, 1.0])
    assert fraction_regret(best, best) == pytest.approx(0.0)
    assert fraction_regret(np.array([0.5]), np.array([0.75])) == pytest.approx(1.0)


def test_training_on_nothing_is_refused_with_the_way_to_get_rows():
    with pytest.raises(TooFewRows, match="policy oracle"):
        hybrid_train()
    with pytest.raises(CommandError, match="policy oracle"):
        call_command("trainmodel", "hybrid_ml")
    assert not TrainedModel.objects.exists()


def test_the_command_prints_the_stored_model(run):
    label(run)
    out = StringIO()
    call_command("trainmodel", "hybrid_ml", "--from", "labelled", "--algorithm", "ridge", "--json", stdout=out)
    document = json.loads(out.getvalue())
    assert document["model"] == "hybrid_ml"
    assert document["scores"]["r2"] > 0.5


def test_run_times_are_learned_from_a_workload():
    workload, _ = workload_generate(model="mixed", tasks=400, seed=2, name="site")
    model = runtime_train(workload=workload, name="site", algorithm="ridge")
    assert model.data_range["rows"] == 320
    assert model.scores["mae_log"] >= 0
    with pytest.raises(CommandError, match="give a workload"):
        call_command("trainmodel", "runtime")


def search_small_night(**fields) -> TrainedModel:
    workload, _ = workload_generate(
        model="lublin", tasks=700, seed=3, name="night", parameters={"processors": 32, "load": 0.9}
    )
    values = {"length": 60, "generations": 4, "population": 4, "batch": 4, "validations": 4, "check_every": 2}
    settings = SearchSettings(**(values | fields))
    return policy_search.policy_train(
        workload=workload, cluster=pool(32), name="night", settings=settings, seeds=[1, 2]
    )


def test_a_search_is_stored_with_its_curve_and_its_held_out_scores(client):
    model = search_small_night()
    assert engine.parse_policy("learned:night").model_version == 1
    assert [point["generation"] for point in model.parameters["curve"]] == [2, 4]
    assert len(model.parameters["searches"]) == 2
    assert model.scores["windows"] == 20
    assert model.data_range["training_tasks"] == 245
    assert set(json.loads(model.artifact)) == {"form", "weights"}
    charts = client.get("/training/charts.json").json()["charts"]
    assert f"curve-{model.pk}" in charts


def test_a_search_notes_how_far_it_is_and_its_row_goes_when_it_ends(monkeypatch):
    noted = []
    monkeypatch.setattr(policy_search, "NOTED_EVERY", 0.01)
    monkeypatch.setattr(PolicySearch, "note", lambda self, curve: noted.append((self.pk, curve)))
    model = search_small_night(generations=20)
    assert len({pk for pk, _ in noted}) == 1
    stored = [point["validation"] for point in model.parameters["curve"]]
    for _, curve in noted:
        told = [point["validation"] for point in curve if point["seed"] == model.seed]
        assert told == stored[: len(told)]
    assert not PolicySearch.objects.exists()


def test_a_search_is_stored_though_its_progress_could_not_be(monkeypatch, caplog):
    def away(*_arguments, **_options):
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(policy_search, "NOTED_EVERY", 0.01)
    monkeypatch.setattr(PolicySearch, "note", away)
    monkeypatch.setattr(PolicySearch, "delete", away)
    model = search_small_night()
    assert TrainedModel.objects.get() == model
    assert "could not be stored: the connection is closed" in caplog.text


def test_a_search_that_is_interrupted_ends_at_once_and_stores_nothing(monkeypatch):
    def interrupt(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(policy_search, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        search_small_night(generations=100_000)
    assert not PolicySearch.objects.exists()
    assert not TrainedModel.objects.exists()
    with pytest.raises(CommandError, match="nothing is stored") as caught:
        call_command("trainpolicy", "--workload", "night", "--processors", "32", "--length", "60", verbosity=0)
    assert caught.value.returncode == 130


def test_the_search_command_says_how_to_use_what_it_found():
    workload_generate(model="lublin", tasks=700, seed=3, name="night", parameters={"processors": 32, "load": 0.9})
    out = StringIO()
    few = ["--generations", "2", "--population", "4", "--batch", "2", "--searches", "1", "--length", "60"]
    call_command("trainpolicy", "--workload", "night", "--processors", "32", *few, stdout=out, verbosity=0)
    assert "learned:night-none" in out.getvalue()
    with pytest.raises(CommandError, match="choose shorter"):
        call_command("trainpolicy", "--workload", "night", "--processors", "32", "--length", "5000", verbosity=0)
    Workload.objects.update(max_processors=None)
    with pytest.raises(CommandError, match="give its processors"):
        call_command("trainpolicy", "--workload", "night", "--searches", "1", "--length", "60", verbosity=0)


def test_a_sites_own_accounting_is_searched_by_what_its_users_have_done(slurm_path):
    out = StringIO()
    few = ["--generations", "2", "--population", "4", "--batch", "2", "--searches", "1", "--length", "40"]
    call_command(
        *("trainpolicy", "--workload", str(slurm_path("S1A/sacct/sacct_X_all.psv.gz")), "--processors", "512", *few),
        *("--name", "site", "--form", "history", "--backfill", "easy(predict=last_two)"),
        stdout=out,
        verbosity=0,
    )
    assert "learned:site+easy(predict=last_two)" in out.getvalue()
    model = TrainedModel.objects.get()
    assert model.kind == "history"
    assert model.features[-4:] == ["waiting", "1 of the state", "free of the state", "queue of the state"]
    assert model.data_range["training_tasks"] == 141
    policy = engine.parse_policy("learned:site+easy(predict=last_two)")
    assert (policy.order.model_version, policy.name) == (1, "learned:site+easy(predict=last_two)")


@pytest.mark.parametrize(
    ("choice", "told", "policy"),
    [
        ("node", ["--cluster", "dgx-2", "--order", "sjf"], "sjf@learned:tasks-node"),
        ("split", ["--cluster", "workstation"], "fcfs@learned:tasks-split"),
        ("preemption", ["--processors", "16"], "learned:tasks-preemption~suspend"),
    ],
)
def test_a_choice_is_searched_stored_with_a_card_and_played(choice, told, policy):
    sized = {"model": "mixed"} if choice != "preemption" else {"model": "lublin", "parameters": {"processors": 16}}
    workload_generate(tasks=120, seed=2, name="tasks", **sized)
    out = StringIO()
    few = ["--generations", "1", "--population", "4", "--batch", "1", "--searches", "1", "--length", "10"]
    rest = ["--validations", "2", "--check-every", "1", "--objective", "jct", "--seed", "3"]
    call_command("trainpolicy", "--workload", "tasks", "--choice", choice, *told, *few, *rest, stdout=out, verbosity=0)
    assert f"--policies {policy}," in out.getvalue()
    model = TrainedModel.objects.get()
    assert (model.kind, model.seed) == (choice, 3)
    assert model.features[0] in CHOICES[choice].features
    assert engine.parse_policy(policy).model_version == 1
    card = ModelCard.of(model).as_markdown()
    assert model.scores["best_other_policy"] in card
    assert "--choice" in ModelCard.of(replace_scores(model)).missing
    both = [*told, "--processors", "8"] if choice != "preemption" else [*told, "--cluster", "dgx-2"]
    with pytest.raises(CommandError, match="not both"):
        call_command("trainpolicy", "--workload", "tasks", "--choice", choice, *both, *few, verbosity=0)
    if choice != "preemption":
        with pytest.raises(CommandError, match="name a cluster"):
            call_command("trainpolicy", "--workload", "tasks", "--choice", choice, "--processors", "8", verbosity=0)


def test_a_file_is_not_imported_for_a_cluster_on_which_nothing_can_be_chosen(tmp_path):
    trace = tmp_path / "imp.swf"
    trace.write_text("1 0 0 10 1 -1 -1 1 10 -1 1 1 1 -1 1 -1 -1 -1\n")
    asked = ["trainpolicy", "--workload", str(trace), "--choice", "node"]
    for told, sentence in (
        (["--cluster", "nosuch"], "no cluster preset"),
        (["--cluster", "workstation"], "one node"),
        ([], "A pool has one node"),
        (["--cluster", "dgx-2", "--order", "srtf"], "srtf is played"),
    ):
        with pytest.raises(CommandError, match=sentence):
            call_command(*asked, *told, verbosity=0)
    assert not Workload.objects.exists()


def test_rivals_that_cannot_be_played_are_passed_over_before_the_search(monkeypatch):
    parts = Parts.of(engine.generate("mixed", tasks=40, seed=1).workload, length=4)
    settings, cluster = SearchSettings(choice="node", length=4), load_cluster("dgx-2")
    known = settings.rivals()
    refused = {"srtf": engine.parse_policy("srtf")}
    monkeypatch.setattr(SearchSettings, "rivals", lambda _self: known | refused)
    assert policy_search._rivals(settings, parts, cluster) == known
    monkeypatch.setattr(SearchSettings, "rivals", lambda _self: refused)
    with pytest.raises(InvalidParameter, match="held against can be played; srtf: "):
        policy_search._rivals(settings, parts, cluster)


def test_the_digest_of_a_choice_moves_with_what_only_a_cluster_reads():
    tasks = engine.generate("mixed", tasks=40, seed=1).workload
    moved = replace(tasks, memory_mb=tasks.memory_mb + 1.0)
    one, other = (
        [
            policy_search.data_range(Workload(name="w"), Parts.of(found, length=4), choice)["sha256"]
            for choice in ("order", "node")
        ]
        for found in (tasks, moved)
    )
    assert (one[0] == other[0], one[1] == other[1]) == (True, False)


def replace_scores(model: TrainedModel) -> TrainedModel:
    """Return the model as if no figures by group were stored with it."""
    model.scores = {name: value for name, value in model.scores.items() if name != BY_GROUP}
    return model


def test_an_agent_without_hybrid_tasks_has_nothing_to_learn():
    workload, _ = workload_generate(model="lublin", tasks=50, seed=1, name="rigid", parameters={"processors": 16})
    with pytest.raises(NothingToSplit):
        agent_train(workload=workload, cluster=workstation())


@pytest.mark.django_db(transaction=True)
def test_a_retrainer_waits_for_enough_rows_and_fits_in_the_background():
    workload, _ = workload_generate(model="mixed", tasks=300, seed=1, name="mixed")
    run = a_run(workload)
    label(run)
    told = []
    retrainer = Retrainer(
        interval=500, window=400, algorithm="ridge", on_fitted=lambda model, number: told.append((str(model), number))
    )
    retrainer.round_finished(run)
    retrainer.wait()
    assert not TrainedModel.objects.exists()
    assert told == []
    retrainer.round_finished(run)
    retrainer.wait()
    assert TrainedModel.objects.active().get().data_range["window"] == 400
    assert told == [("hybrid_ml v1", 1)]


@pytest.mark.django_db(transaction=True)
def test_a_race_keeps_the_newest_versions_and_those_that_stored_runs_name(monkeypatch):
    monkeypatch.setattr("apps.training.retraining.VERSIONS_KEPT", 2)
    workload, _ = workload_generate(model="mixed", tasks=100, seed=1, name="mixed")
    run = a_run(workload)
    label(run)
    hybrid_train(run=run, algorithm="ridge")
    Run.objects.filter(pk=run.pk).update(configuration={"models": {"hybrid_ml": 3}})
    retrainer = Retrainer(interval=1, window=100, algorithm="ridge")
    for _ in range(5):
        retrainer.round_finished(run)
        retrainer.wait()
    kept = TrainedModel.objects.order_by("version").values_list("version", "active")
    assert list(kept) == [(1, False), (3, False), (5, False), (6, True)]
