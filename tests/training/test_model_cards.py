"""Cards of stored models: figures by group, where a model loses, and how they are shown."""

import html
import json
import re
import shlex
from dataclasses import asdict
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command, load_command_class
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.tasks.services import workload_generate
from apps.training.agents import agent_train
from apps.training.fitting import hybrid_train, runtime_train
from apps.training.model_cards import ModelCard
from apps.training.models import BY_GROUP, TrainedModel, TrainingData
from apps.training.policy_search import policy_train
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import pool, workstation
from scheduler_sim.engine.learning.by_group import by_group, groups_of, quarters
from scheduler_sim.engine.learning.settings import SearchSettings

GROUPS = {
    "figure": "mae_log",
    "against": "the estimates that are stated",
    "groups": [
        {"kind": "users", "name": "users 1 to 3 by activity", "tasks": 900, "learned": 0.5, "other": 1.0},
        {"kind": "run time", "name": "above 60 s", "tasks": 1200, "learned": 2.0, "other": 1.5},
    ],
}
ROW = (
    *("size", "compute_intensity", "memory_mb", "memory_per_size", "compute_to_memory"),
    *("optimal_gpu_fraction", "optimal_time"),
)


def stored(**fields: Any) -> TrainedModel:
    """Store a model of run times."""
    known: dict[str, Any] = {
        "name": "night",
        "kind": "runtime",
        "version": 2,
        "artifact": "tree",
        "features": ["processors", "hour"],
        "data_range": {"workload": "kth", "rows": 100, "sha256": "ab|cd"},
        "scores": {"mae_log": 1.25, "mae_log_of_the_median": 1.0, BY_GROUP: GROUPS},
        "active": True,
    }
    return TrainedModel.objects.create(**known | fields)


def tasks(users: list[str]) -> engine.Workload:
    """Return a task for each user, longer ones later."""
    count = len(users)
    return engine.Workload.from_columns(
        arrival_time=np.arange(count, dtype=float),
        runtime=np.arange(count, dtype=float),
        cpus=np.ones(count),
        user=users,
    )


def names(workload: engine.Workload, kind: str) -> dict[str, int]:
    """Return how many tasks each group of a kind has."""
    return {group.name: int(group.rows.sum()) for group in groups_of(workload) if group.kind == kind}


def test_users_are_grouped_by_how_many_tasks_they_submitted_and_not_named() -> None:
    users = ["ann"] * 4 + ["bob"] * 9 + ["cyd"] + ["dan"] * 2 + ["eve"] * 3
    assert names(tasks(users), "users") == {
        "users 1 to 2 by activity": 13,
        "user 3 by activity": 3,
        "user 4 by activity": 2,
        "user 5 by activity": 1,
    }


@pytest.mark.parametrize("users", [["ann"] * 6, [""] * 6, ["", "", "", "ann", "ann", "ann"]])
def test_one_user_or_none_makes_no_groups(users: list[str]) -> None:
    assert names(tasks(users), "users") == {}


def test_tasks_are_grouped_by_quartiles_and_equal_values_stay_together() -> None:
    assert names(tasks(["a"] * 8), "run time") == {
        "up to 1 s": 2,
        "above 1 to 3 s": 2,
        "above 3 to 5 s": 2,
        "above 5 s": 2,
    }
    assert quarters("size", np.ones(5), "") == []
    assert [group.name for group in quarters("size", np.array([1.0, 1, 1, 1, 7]), "MB")] == ["up to 1 MB", "above 1 MB"]


def test_groups_whose_bounds_are_alike_in_six_digits_have_names_of_their_own() -> None:
    found = [group.name for group in quarters("run time", 1e7 + np.arange(8.0), "s")]
    assert found == [
        "up to 10,000,001 s",
        "above 10,000,001 to 10,000,003 s",
        "above 10,000,003 to 10,000,005 s",
        "above 10,000,005 s",
    ]


def test_tasks_without_a_figure_do_not_count() -> None:
    groups = quarters("size", np.array([1.0, 1.0, 5.0, 5.0]), "")
    found = by_group(groups, np.array([1.0, 3.0, np.nan, 2.0]), np.array([2.0, 2.0, 1.0, np.nan]))
    assert found == [{"kind": "size", "name": "up to 1", "tasks": 2, "learned": 2.0, "other": 2.0}]


@pytest.mark.django_db
def test_a_card_says_where_a_model_loses() -> None:
    card = ModelCard.of(stored())
    assert card.loses == [
        "All held-out tasks: 1.25, with always guessing the median, by logarithms 1.",
        "Run time, above 60 s: mae log 2, with the estimates that are stated 1.5 (1,200 tasks).",
    ]
    assert [group.loses for group in card.groups] == [False, True]
    assert card.missing == ""


@pytest.mark.django_db
def test_a_card_speaks_of_users_only_where_they_are_told_apart() -> None:
    told = [
        "Users are grouped" in ModelCard.of(stored(kind=kind, name=kind)).as_markdown()
        for kind in ("runtime", "hybrid_ml")
    ]
    assert told == [True, False]


@pytest.mark.django_db
def test_a_card_of_an_old_model_says_how_to_make_one_with_groups() -> None:
    card = ModelCard.of(stored(scores={"mae_log": 1.0}))
    assert "manage.py trainmodel runtime --workload kth --name night --seed 0" in card.missing
    assert card.missing in card.as_markdown()
    assert "Nowhere among what is stored." in card.as_markdown()


def asked_again(**fields: Any) -> tuple[str, dict[str, Any]]:
    """Return the command that a card of a model without groups names, and what its own parser reads from it."""
    missing = ModelCard.of(stored(scores={}, **fields)).missing
    command = shlex.split(missing.partition("with them: ")[2].partition(" (FILE describes the cluster mine)")[0])
    assert command[0] == "manage.py"
    parser = load_command_class("apps.training", command[1]).create_parser("manage.py", command[1])
    return command[1], vars(parser.parse_args(command[2:]))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "command", "wanted"),
    [
        (
            {"data_range": {"workload": "kth log"}, "parameters": {"algorithm": "ridge"}, "seed": 3},
            "trainmodel",
            {"kind": "runtime", "workload": "kth log", "algorithm": "ridge", "name": "night", "seed": 3},
        ),
        (
            {"kind": "hybrid_ml", "data_range": {"run": 7, "window": 500, "since": "2026-05-01T00:00:00+00:00"}},
            "trainmodel",
            {"kind": "hybrid_ml", "run": "7", "window": 500, "until": None, "name": "night"},
        ),
        (
            {
                "kind": "rl_agent",
                "name": "rl_agent",
                "data_range": {"workload": "mixed", "cluster": "dgx-4"},
                "parameters": {"reward": {"time": 1.0, "energy": 0.5, "cost": 0.0}},
            },
            "trainmodel",
            {"kind": "rl_agent", "workload": "mixed", "cluster": "dgx-4", "agent_reward": "1,0.5,0"},
        ),
        (
            {
                "kind": "mlp",
                "seed": 5,
                "parameters": asdict(SearchSettings(form="mlp", backfill="easy", objective="wait", length=40))
                | {"processors": 64, "searches": [{"seed": 5}, {"seed": 4}]},
            },
            "trainpolicy",
            {
                "workload": "kth",
                "form": "mlp",
                "backfill": "easy",
                "objective": "wait",
                "length": 40,
                "processors": 64,
                "seed": 4,
                "searches": 2,
                "generations": SearchSettings().generations,
            },
        ),
        (
            {
                "kind": "node",
                "parameters": asdict(SearchSettings(choice="node", order="sjf"))
                | {"processors": None, "cluster": "mine", "searches": [{"seed": 1}]},
            },
            "trainpolicy",
            {"choice": "node", "order": "sjf", "cluster": "FILE", "processors": None, "seed": 1},
        ),
    ],
)
def test_what_trains_a_model_again_asks_for_what_it_was_trained_with(
    fields: dict[str, Any], command: str, wanted: dict[str, Any]
) -> None:
    found, read = asked_again(**fields)
    assert (found, {name: read[name] for name in wanted}) == (command, wanted)


@pytest.mark.django_db
def test_a_card_of_a_searched_score_names_the_orders_that_are_better() -> None:
    scores = {"held_out_mean_bsld": 20.0, "others": {"fcfs": 90.0, "f4": 17.0, "f1": 19.0}}
    card = ModelCard.of(stored(kind="linear", scores=scores))
    assert card.loses == ["All held-out tasks: 20, with f4 17.", "All held-out tasks: 20, with f1 19."]


@pytest.mark.django_db
def test_every_kind_of_training_stores_figures_by_group() -> None:
    jobs, _ = workload_generate(model="lublin", tasks=400, seed=1, name="jobs", parameters={"processors": 64})
    mixed, _ = workload_generate(model="mixed", tasks=300, seed=1, name="mixed")
    settings = SearchSettings(length=40, generations=1, population=4, batch=2, validations=3, check_every=1)
    models = [
        runtime_train(workload=jobs, name="times", algorithm="ridge"),
        agent_train(workload=mixed, cluster=workstation()),
        policy_train(workload=jobs, cluster=pool(64), name="order", settings=settings, seeds=[0]),
    ]
    random = np.random.default_rng(1)
    TrainingData.objects.bulk_create(
        TrainingData(**dict(zip(ROW, row, strict=True))) for row in random.uniform(0, 1, (300, len(ROW))).tolist()
    )
    models.append(hybrid_train(algorithm="ridge"))
    for model in models:
        told = model.scores[BY_GROUP]
        assert told["figure"]
        assert told["against"]
        kinds = {"size", "compute intensity", "memory"} if model.kind == "hybrid_ml" else {"run time"}
        assert {group["kind"] for group in told["groups"]} >= kinds
        assert all(group["tasks"] > 0 for group in told["groups"])
        assert ModelCard.of(model).missing == ""
        json.dumps(model.scores, allow_nan=False)
    figure = models[1].scores["mean_jct_of_last_fifth"]
    parts = [group for group in models[1].scores[BY_GROUP]["groups"] if group["kind"] == "run time"]
    total = sum(group["tasks"] for group in parts)
    assert total == 60
    assert sum(group["learned"] * group["tasks"] for group in parts) / total == pytest.approx(figure)


@pytest.mark.django_db
def test_the_command_prints_the_card_of_the_version_in_use_or_of_another() -> None:
    stored()
    stored(version=1, active=False, scores={})
    for reference, title in (("night", "night v2"), ("night.1", "night v1")):
        out = StringIO()
        call_command("modelcard", reference, stdout=out)
        assert out.getvalue().startswith(f"# Model card: {title}\n")
    out = StringIO()
    call_command("modelcard", "night", "--json", stdout=out)
    assert json.loads(out.getvalue())["groups"][1]["loses"] is True
    with pytest.raises(CommandError, match="no active model called 'day'"):
        call_command("modelcard", "day")


@pytest.mark.django_db
def test_page_download_and_api_show_the_card(client: Client) -> None:
    model = stored()
    page = client.get(f"/training/models/{model.pk}/").content.decode()
    assert "users 1 to 3 by activity" in page
    assert "Where it loses" in page
    assert f"/training/models/{model.pk}/card.md" in page
    rows = client.get(f"/training/models/{model.pk}/?table=groups&format=json").json()
    assert [row["tasks"] for row in rows] == [900, 1200]
    # Each card offers its own table, and one without a table offers none.
    offered = dict.fromkeys(re.findall(r'href="(\?[^"]*format=csv[^"]*)"', page))
    tables = [client.get(f"/training/models/{model.pk}/{html.unescape(one)}") for one in offered]
    assert [one["Content-Type"].split(";")[0] for one in tables] == ["text/csv"] * 3
    assert "workload,kth" in tables[0].content.decode()
    assert "mae log,1.25" in tables[1].content.decode()
    answer = client.get(f"/training/models/{model.pk}/card.md")
    assert answer["Content-Type"] == "text/markdown; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="model-{model.pk}.md"'
    assert "ab\\|cd" in answer.content.decode()
    document = client.get(f"/api/v1/models/{model.pk}/card/").json()
    assert document["learned_from"]["workload"] == "kth"
    assert document["figures"]["mae log"] == "1.25"
    assert f"/training/models/{model.pk}/" in client.get("/training/").content.decode()
    assert "by group" not in client.get("/training/").content.decode()
    child = stored(version=3, active=False, parent=model)
    for address in ("/training/", f"/training/models/{child.pk}/"):
        with CaptureQueriesContext(connection) as asked:
            assert client.get(address).status_code == 200
        assert not [one["sql"] for one in asked if '"artifact"' in one["sql"]]
    for address in ("/training/models/999/", "/training/models/999/card.md", "/api/v1/models/999/card/"):
        assert client.get(address).status_code == 404
