"""One specification of a run's options: every place that asks for one reads, refuses and stores it alike."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from msgspec import inspect
from rest_framework.test import APIClient

from apps.dashboard.runs.new_run import RunForm
from apps.live.exchange.manifest import manifest_parts, run_manifest
from apps.live.management.commands.runsimulation import Command
from apps.live.play.configuration import ASKED_OPTIONS, RUN_OPTIONS, RunConfiguration, asked_in
from apps.live.play.configuration_words import configuration_rows
from apps.live.play.options import COMMAND, SITE, STUDY, InvalidOption, Option
from apps.live.play.race_options import RACE_OPTIONS
from apps.results.models import Run
from apps.studies.definition import Definition
from apps.studies.grid import grid_runs
from apps.studies.sources import InvalidStudy
from apps.tasks.models import Workload
from apps.tasks.services import workload_generate
from scheduler_sim.engine.clusters.oversize import ON_OVERSIZE
from scheduler_sim.engine.contract import SPLIT_MODELS

pytestmark = pytest.mark.django_db

OPTIONS = {option.name: option for option in ASKED_OPTIONS}
BY_NAME = pytest.mark.parametrize("option", ASKED_OPTIONS, ids=lambda option: option.name)

GOOD = {
    "policies": "sjf,fcfs+easy",
    "estimates": "factor:2",
    "agent_reward": "1,0.5,0",
    "add_nodes": "processors=4",
    "drop_nodes": "processors=2",
    "restart_overhead": "1:7/8:30/60",
    "checkpoints": "600",
    "checkpoint_growth": "1.5",
    "failures": "processors=weibull(mean_hours=1000,shape=0.7,repair_hours=2,repair=exponential)",
    "series_zero": "begin",
    "pue_by_temperature": "10.0:1.1/25.0:1.3",
    "failure_list": "time,duration,node,share\n300.0,60.0,0,\n",
}
BAD = {
    "policies": "fcsf",
    "estimates": "guess",
    "agent_reward": "1,2",
    "add_nodes": "four",
    "drop_nodes": "=4",
    "restart_overhead": "-30",
    "checkpoints": "-1",
    "failures": "exponential(mean_hours=-1)",
    "failure_list": "time,duration,node\n1,inf,0",
    "site": "x" * 121,
    "series": "x" * 601,
    "pue_by_temperature": "10:0.9",
}
AXES = {"policies": "policies", "estimates": "estimates", "scale_load": "load_factors", "seed": "seeds"}
"""What a study calls the options that vary over its grid."""

ELSEWHERE = (
    "site",
    "begin_time",
    "feedback",
    "series",
    "series_zero",
    "series_beyond",
    "hold_cap",
    "pue_by_temperature",
    "frequency",
)
"""They need a stored site in place of a cluster, a trace that tells of starts, tasks that follow others and run once,
stored series, a cluster that states frequencies: see their own tests."""

NODES = ("add_nodes", "drop_nodes", "failures", "outages", "frequency")
"""They belong to the study's clusters."""


def good(option: Option) -> str:
    """Return a value, as a text, that the option can have and that is not its default."""
    if option.name in GOOD:
        return GOOD[option.name]
    if option.choices:
        return next(choice for choice in option.choices if choice != option.asked_default)
    if option.is_switch:
        return "true"
    return "3" if isinstance(option.type, inspect.IntType) else "0.25"


def bad(option: Option) -> str:
    """Return a value, as a text, that the option cannot have."""
    if option.name in BAD:
        return BAD[option.name]
    if isinstance(option.type, inspect.FloatType):
        return "0" if option.type.ge is None else "-0.5"
    return "-1" if isinstance(option.type, inspect.IntType) else "perhaps"


def sentence(option: Option) -> str:
    with pytest.raises(InvalidOption) as refused:
        option.read(bad(option))
    assert refused.value.field == option.name
    return str(refused.value)


@pytest.fixture
def workload() -> Workload:
    return workload_generate(model="lublin", tasks=10, seed=1, name="w", parameters={"processors": 4})[0]


@pytest.fixture
def unplayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store runs without playing them."""
    monkeypatch.setattr(Command, "_play", lambda *_arguments: None)
    monkeypatch.setattr(Command, "_print", lambda *_arguments: None)


def flags(values: dict[str, str], folder: Path) -> list[str]:
    found = []
    for name, value in values.items():
        if OPTIONS[name].about.is_file:
            file = folder / f"{name}.csv"
            file.write_text(value)
            value = str(file)
        found.append(OPTIONS[name].flag if OPTIONS[name].is_switch else f"{OPTIONS[name].flag}={value}")
    return found


def by_command(values: dict[str, str], folder: Path = Path()) -> None:
    given = ("--workload=w", "--cluster=hpc-4", *flags(values, folder))
    call_command("runsimulation", *given, stdout=StringIO(), verbosity=0)


def study(values: dict[str, str]) -> Definition:
    """Return the study of one run that has these options."""
    axes = {AXES[name]: [values[name]] for name in values if name in AXES}
    if "policies" in values:
        axes["policies"] = values["policies"].split(",")
    nodes = {name: values[name] for name in NODES if name in values}
    fixed = {name: values[name] for name in values if STUDY in OPTIONS[name].about.asked_in}
    return Definition.from_json(
        {"name": "s", "workloads": ["w"], "policies": ["fcfs"], "clusters": [{"cluster": "hpc-4", **nodes}]}
        | axes
        | fixed
    )


def is_in_studies(option: Option) -> bool:
    return STUDY in option.about.asked_in or option.name in (*AXES, *NODES)


@BY_NAME
def test_a_wrong_value_is_refused_by_the_same_sentence_everywhere(
    option: Option, workload: Workload, alice: User, api: APIClient, client: Client, tmp_path: Path
) -> None:
    wanted, value = sentence(option), bad(option)
    assert "\n" not in wanted
    told = {}
    if not option.is_switch:  # A flag or a tick says nothing wrong.
        with pytest.raises(CommandError) as refused:
            by_command({option.name: value}, tmp_path)
        told["command"] = str(refused.value)
        client.force_login(alice)
        sent = {"workload": workload.pk, "cluster": "hpc-4", "policies": ["fcfs"], option.name: value}
        page = client.post("/runs/new/", sent)
        assert page.status_code == 400
        told["form"] = " ".join(page.context["form"].errors[option.name])
    json_value: Any = value.split(",") if option.is_list else value
    answer = api.post("/api/v1/runs/", {"workload": workload.pk, "policies": ["fcfs"], option.name: json_value})
    assert answer.status_code == 400
    told["api"] = " ".join(answer.json()["errors"][option.name])
    if is_in_studies(option):
        with pytest.raises(InvalidStudy) as refused_study:
            study({option.name: value})
        told["study"] = str(refused_study.value)
    if option in RUN_OPTIONS:
        document = {**RunConfiguration(policies=("fcfs",)).as_json(), option.stored_as: json_value}
        with pytest.raises(InvalidOption) as refused_document:
            RunConfiguration.from_json(document).checked()
        told["manifest"] = str(refused_document.value)
    assert told == dict.fromkeys(told, wanted)
    assert not Run.objects.exists()


def test_a_value_of_every_option_comes_to_the_same_configuration_everywhere(
    workload: Workload, alice: User, api: APIClient, client: Client, unplayed: None, tmp_path: Path
) -> None:
    values = {option.name: good(option) for option in ASKED_OPTIONS if option.name not in ELSEWHERE}
    by_command(values, tmp_path)
    first = Run.objects.latest("pk")
    for option in RUN_OPTIONS:
        if option.name in values:
            assert first.configuration[option.stored_as] != json.loads(json.dumps(option.default, default=str))
    assert first.cluster["groups"][0]["cores"] == 6

    sent = {"workload": workload.pk, "cluster": "hpc-4"}
    client.force_login(alice)
    assert client.post("/runs/new/", {**sent, **values, "policies": values["policies"].split(",")}).status_code == 302
    lists = {option.name: values[option.name].split(",") for option in ASKED_OPTIONS if option.is_list}
    assert api.post("/api/v1/runs/", {**sent, **values, **lists}, format="json").status_code == 202
    for run in Run.objects.exclude(pk=first.pk):
        assert (run.configuration, run.cluster) == (first.configuration, first.cluster)
    assert Run.objects.count() == 3

    manifest = json.loads(json.dumps(run_manifest(first)))
    _, cluster, configuration = manifest_parts(manifest)
    assert (configuration.as_json(), cluster.as_json()) == (first.configuration, first.cluster)

    planned = next(iter(grid_runs(study(values))))
    asked = {**first.configuration}
    for option in ASKED_OPTIONS:
        if not is_in_studies(option):
            asked.pop(option.stored_as, None)
    assert planned.configuration.as_json() == asked
    assert planned.cluster_for(workload).as_json() == first.cluster


def test_a_run_without_any_option_is_stored_as_it_was_before_there_were_more() -> None:
    stored = (
        '{"policies": ["fcfs"], "seed": 0, "limit": null, "on_oversize": "fail", "estimates": "trace", '
        '"load_factor": 1.0, "split_model": "concurrent", "kill_at_estimate": false, "conservative_depth": null, '
        '"warmup": 0.0, "cooldown": 0.0, "keep": "results", "agent_reward": null, "agent_from_scratch": false, '
        '"models": {}}'
    )
    assert json.dumps(RunConfiguration(policies=("fcfs",)).as_json()) == stored
    assert RunConfiguration.from_json(json.loads(stored)) == RunConfiguration(policies=("fcfs",))


def test_a_document_of_fewer_options_is_read_and_one_of_others_is_refused() -> None:
    assert RunConfiguration.from_json({"policies": ["fcfs"], "agent_reward": [1, 0, 0]}).agent_reward == (1, 0, 0)
    with pytest.raises(InvalidOption, match=r"no option called 'sed'\. Did you mean seed\? Valid names: policies,"):
        RunConfiguration.from_json({"policies": ["fcfs"], "sed": 7})


def test_a_name_that_no_option_has_is_refused_with_those_that_there_are(
    workload: Workload, alice: User, api: APIClient, client: Client
) -> None:
    answer = api.post("/api/v1/runs/", {"workload": workload.pk, "policies": ["fcfs"], "sed": 7})
    client.force_login(alice)
    page = client.post("/runs/new/", {"workload": workload.pk, "policies": ["fcfs"], "sed": 7})
    with pytest.raises(InvalidStudy) as refused:
        Definition.from_json({"name": "s", "workloads": ["w"], "policies": "fcfs", "sed": 7})
    told = (answer.json()["errors"]["sed"][0], " ".join(page.context["form"].non_field_errors()), str(refused.value))
    for text in told:
        assert "conservative_depth" in text


def test_every_option_says_what_it_is() -> None:
    options = (*ASKED_OPTIONS, *RACE_OPTIONS)
    assert len({option.name for option in options}) == len(options)
    for option in options:
        assert option.about.label
        assert option.about.section
        assert not option.about.help.endswith(".")
        if not option.is_required:
            assert option.default is None or option.read(option.default) == option.default


def test_the_choices_of_the_options_are_the_engines() -> None:
    assert set(OPTIONS["on_oversize"].choices) == set(ON_OVERSIZE)
    assert OPTIONS["split_model"].choices == SPLIT_MODELS


def test_the_command_tells_of_every_option() -> None:
    text = Command().create_parser("manage.py", "runsimulation").format_help()
    assert [option.flag for option in (*asked_in(COMMAND), *RACE_OPTIONS) if option.flag not in text] == []


def test_the_form_shows_every_option_and_unfolds_those_that_are_given(alice: User, client: Client) -> None:
    client.force_login(alice)
    page = client.get("/runs/new/").content.decode()
    assert [option.name for option in asked_in(SITE) if f'name="{option.name}"' not in page] == []
    assert not RunForm().is_unfolded
    assert RunForm(initial={"warmup": "0.1"}).is_unfolded
    shown = [field.name for section in RunForm().advanced_sections for field in section.fields]
    assert len(shown) == len(set(shown))


def test_a_page_says_every_option_of_a_run_in_words(workload: Workload, unplayed: None, tmp_path: Path) -> None:
    by_command({option.name: good(option) for option in asked_in(COMMAND) if option.name not in ELSEWHERE}, tmp_path)
    rows = dict(configuration_rows(Run.objects.get()))
    # What a program or file of one's own stands behind is told where there is one.
    elsewhere = (*ELSEWHERE, "site_changes", "own_policies")
    assert {option.about.label for option in RUN_OPTIONS if option.name not in elsewhere} <= set(rows)
    assert rows["Pace"] == "0.25 arrivals a second"
    assert rows["First arrivals not scored"] == "25%"


def test_the_table_in_the_documentation_holds_the_options_as_they_are() -> None:
    call_command("writeoptions", check=True, stdout=StringIO())


def test_a_table_that_is_out_of_date_is_noticed_and_written_anew(settings: Any, tmp_path: Path) -> None:
    page = tmp_path / "docs" / "configuration.md"
    page.parent.mkdir()
    text = (Path(settings.BASE_DIR) / "docs" / "configuration.md").read_text()
    page.write_text(text.replace("| `seed` |", "| `sed` |"))
    settings.BASE_DIR = tmp_path
    with pytest.raises(CommandError, match="holds other options"):
        call_command("writeoptions", check=True, stdout=StringIO())
    call_command("writeoptions", stdout=StringIO())
    assert page.read_text() == text


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("seed", " 7 ", 7),
        ("limit", 5, 5),
        ("limit", None, None),
        ("warmup", 0, 0.0),
        ("on_limit", "kill", True),
        ("on_limit", "run", False),
        ("on_limit", True, True),
        ("agent_from_scratch", "1", True),
        ("agent_from_scratch", "Yes", True),
        ("agent_from_scratch", "off", False),
        ("restart_overhead", 30, "30"),
        ("restart_overhead", "1:7.0/8:30/60", "1:7/8:30/60"),
        ("checkpoints", 600.0, "600"),
        ("checkpoints", "daly", "daly"),
        ("failure_list", "share,time,duration\r\n.5,10,20\r\n", "time,duration,node,share\n10.0,20.0,,0.5\n"),
        ("agent_reward", ["1", 0, 0.5], (1.0, 0.0, 0.5)),
        ("policies", ["fcfs", "sjf+conservative(depth=5)"], ("fcfs", "sjf+conservative(depth=5)")),
    ],
)
def test_a_value_may_be_text_or_number(name: str, given: Any, value: Any) -> None:
    assert OPTIONS[name].read(given) == value


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("seed", True),
        ("seed", 1.5),
        ("seed", None),
        ("seed", ""),
        ("limit", "1_0"),
        ("warmup", "nan"),
        ("scale_load", "inf"),
        ("scale_load", float("nan")),
        ("on_limit", "perhaps"),
        ("on_limit", 2),
        ("agent_from_scratch", "perhaps"),
        ("agent_from_scratch", 2),
        ("restart_overhead", "nan"),
        ("restart_overhead", "inf"),
        ("restart_overhead", "8:30/1:7/60"),
        ("restart_overhead", "1:-7/60"),
        ("checkpoints", 0),
        ("checkpoints", "inf"),
        ("checkpoint_write", "inf"),
        ("checkpoint_read", -1),
        ("max_failures", 0),
        ("failures", "exponential()"),
        ("failures", "exponential(mean_hours=nan)"),
        ("failures", "exponential(mean_hours=1,repair_hours=-1)"),
        ("failures", "weibull(mean_hours=1,shape=0)"),
        ("failures", "normal(mean_hours=1)"),
        ("failures", "exponential(mean_hours=1),exponential(mean_hours=2)"),
        ("failure_list", "time,duration,node,share\n1,2,0,0.5"),
        ("failure_list", "time,duration,node\n"),
        ("failure_list", "when,node\n1,0"),
        ("failure_list", "time,duration,share\n1,2,1.5"),
        ("estimates", "uniform:0.5"),
        ("agent_reward", [0, 0, 0]),
        ("agent_reward", ["nan", 1, 1]),
        ("policies", []),
        ("policies", 7),
        ("keep", ["results"]),
    ],
)
def test_a_value_of_another_kind_is_refused(name: str, given: Any) -> None:
    with pytest.raises(InvalidOption):
        OPTIONS[name].read(given)


def test_a_long_wrong_value_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidOption) as refused:
        OPTIONS["seed"].read("9" * 100_000)
    assert len(str(refused.value)) < 300
