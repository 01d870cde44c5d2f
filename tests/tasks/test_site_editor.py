"""The editor of sites: what its buttons do, what is refused at which field, and what saving makes."""

from typing import Any

import pytest
from django.test import Client

from apps.tasks.models import Site
from apps.tasks.sites import editor as site_editor
from apps.tasks.sites.editor import MOST_ROWS, SiteEditor
from apps.tasks.sites.services import site_store
from scheduler_sim.engine import sites
from tests.web.conftest import client_that_controls_runs, make_run

pytestmark = pytest.mark.django_db

DESCRIPTION: dict[str, Any] = {
    "name": "lab",
    "groups": [
        {"name": "thin", "hosts": "c[1-4]", "cores": 64, "features": ["skylake", "ib"], "cpu_busy_watts": 5.5},
        {"name": "gpu", "hosts": "g[1-2]", "cores": 32, "gpus": 4, "gpu_type": "a100", "memory_mb": 512000.5},
    ],
    "partitions": [
        {"name": "batch", "hosts": "c[1-4]", "is_default": True, "max_nodes": 2},
        {"name": "gpu", "hosts": "g[1-2]", "max_time": 60, "state": "drain"},
    ],
    "qos": [{"name": "high", "limits": {"user_jobs": 4}}],
    "accounts": [{"name": "root"}, {"name": "root", "user": "ann", "shares": 2}],
    "reservations": [{"name": "repair", "start_time": 0, "end_time": 10, "hosts": "g2"}],
    "priority": {"kind": "multifactor", "age_weight": 5},
}
EDIT = "/sites/lab/edit/"


@pytest.fixture
def controller() -> Client:
    return client_that_controls_runs()


@pytest.fixture
def lab() -> Site:
    return site_store(site=sites.Site.from_json(DESCRIPTION), notes=[sites.Note("slurm.conf", 3, "X=1", "unknown")])[0]


def fields(editor: SiteEditor) -> dict[str, str]:
    """Return what a browser would send of a form."""
    found = {}
    forms = (editor.sheet, editor.groups.management_form, editor.partitions.management_form)
    for form in (*forms, *editor.groups, *editor.partitions):
        for bound in form:
            value = bound.value()
            if value is not None and value is not False:
                found[bound.html_name] = "on" if value is True else str(value)
    return found


def opened(client: Client, address: str = EDIT) -> dict[str, str]:
    return fields(client.get(address).context["editor"])


def sent(client: Client, data: dict[str, str], do: str, address: str = EDIT) -> Any:
    return client.post(address, {**data, "do": do})


def test_a_form_that_is_saved_unchanged_changes_nothing(controller: Client, lab: Site) -> None:
    response = controller.post(EDIT, {**opened(controller), "do": "save"}, follow=True)
    assert "Nothing has changed since lab version 1." in response.content.decode()
    assert Site.objects.count() == 1


def test_what_is_saved_is_the_next_version_and_a_run_keeps_its_own(controller: Client, lab: Site) -> None:
    run = make_run(site=lab)
    data = opened(controller) | {"groups-1-count": "3", "partitions-1-max_time": "120", "groups-0-weight": "7"}
    response = controller.post(EDIT, {**data, "do": "save"}, follow=True)
    assert response.redirect_chain == [("/sites/lab/?version=2", 302)]
    run.refresh_from_db()
    assert run.site == lab
    lab.refresh_from_db()
    assert lab.as_site() == sites.Site.from_json(DESCRIPTION)
    stored = Site.objects.newest("lab")
    found = stored.as_site()
    assert (found.nodes[1].hosts, found.partitions[1].hosts, found.partitions[1].max_time) == ("g[1-3]", "g[1-3]", 120)
    assert (found.nodes[0].weight, found.cluster.groups[0].cpu_busy_watts) == (7, 5.5)
    assert (stored.origin, stored.notes) == ("edited from lab@1", lab.notes)


@pytest.mark.parametrize(
    ("do", "groups", "batch"),
    [
        ("more:0", ["c[1-5]", "g[1-2]"], "c[1-5]"),
        ("fewer:0", ["c[1-3]", "g[1-2]"], "c[1-3]"),
        ("again:0", ["c[1-4]", "c[5-8]", "g[1-2]"], "c[1-8]"),
        ("remove:1", ["c[1-4]"], "c[1-4]"),
        ("add", ["c[1-4]", "g[1-2]", "new1"], "c[1-4]"),
    ],
)
def test_buttons_change_node_groups_and_the_partitions_with_them(
    controller: Client, lab: Site, do: str, groups: list[str], batch: str
) -> None:
    response = sent(controller, opened(controller), do)
    assert response.status_code == 200
    data = fields(response.context["editor"])
    assert [data[f"groups-{number}-hosts"] for number in range(len(groups))] == groups
    assert data["groups-TOTAL_FORMS"] == str(len(groups))
    assert data["partitions-0-hosts"] == batch
    assert "What is changed" in response.content.decode()
    assert Site.objects.count() == 1, "nothing is stored before it is saved"
    controller.post(EDIT, {**data, "do": "save"})
    assert [nodes.hosts for nodes in Site.objects.newest("lab").as_site().nodes] == groups


def test_buttons_add_and_remove_partitions(controller: Client, lab: Site) -> None:
    data = fields(sent(controller, opened(controller), "add-partition").context["editor"])
    assert (data["partitions-2-name"], data["partitions-2-hosts"]) == ("new1", "ALL")
    data = fields(sent(controller, data, "remove-partition:0").context["editor"])
    assert [data[f"partitions-{number}-name"] for number in range(2)] == ["gpu", "new1"]
    for _ in range(2):
        data = fields(sent(controller, data, "remove-partition:0").context["editor"])
    assert data["partitions-0-name"] == "all", "a site has a partition at least"


def test_hosts_that_are_written_say_how_many_nodes_there_are(controller: Client, lab: Site) -> None:
    data = opened(controller) | {"groups-0-hosts": "c[1-6]", "groups-0-count": "", "partitions-0-hosts": "c[1-6]"}
    sent(controller, data, "save")
    assert Site.objects.newest("lab").as_site().cluster.groups[0].count == 6
    page = sent(controller, data | {"groups-0-count": "9", "groups-0-was": "c[1-4]"}, "save").content.decode()
    assert "Node group thin has 9 nodes, and its hosts c[1-6] are 6." in page


def test_a_new_group_may_be_named_and_counted_alone(controller: Client, lab: Site) -> None:
    data = fields(sent(controller, opened(controller), "add").context["editor"])
    data |= {"groups-2-name": "fat", "groups-2-hosts": "", "groups-2-count": "3", "groups-2-cores": "128"}
    sent(controller, data, "save")
    assert Site.objects.newest("lab").as_site().nodes[2].hosts == "fat[1-3]"


@pytest.mark.parametrize(
    ("changed", "field", "sentence"),
    [
        ({"groups-0-cores": "-4"}, "groups-0-cores", "cores is -4, not a whole number"),
        ({"groups-0-cores": "many"}, "groups-0-cores", "cores is 'many', not a whole number"),
        ({"groups-0-count": "0"}, "groups-0-count", "count is 0, not a whole number from 1 up"),
        ({"groups-0-count": "2.5"}, "groups-0-count", "2.5 is not a whole number"),
        ({"groups-0-hosts": "c[1-"}, "groups-0-hosts", "The brackets"),
        ({"groups-0-others": "{colour: red}"}, "groups-0-others", "unknown keys: colour"),
        ({"groups-0-others": "{colour"}, "groups-0-others", "The text is neither YAML nor JSON"),
        ({"groups-1-weight": "heavy"}, "groups-1-weight", "Expected `int`, got `str`"),
        ({"groups-1-hosts": "c[1-2]"}, "groups-1-hosts", "two nodes called c1"),
        ({"partitions-0-hosts": "c[1-9]"}, "partitions-0-hosts", "Site lab has no node c5"),
        ({"partitions-0-name": ""}, "partitions-0-name", "missing required field `name`"),
        ({"partitions-0-name": "gpu"}, "partitions-1-name", "two partitions called gpu"),
        ({"partitions-0-tier": "-1"}, "partitions-0-tier", "Expected `int` >= 0"),
        ({"partitions-0-others": "{max_nodes: few}"}, "partitions-0-others", "Expected `int | null`"),
        ({"rest": "qos:\n- {name: a, preempts: [b]}"}, "rest", "Line 2: QOS a preempts b"),
        ({"rest": "groups: []"}, "rest", "The groups stand in the rows above already"),
        ({"rest": "- a"}, "rest", "The text holds no mapping"),
        ({"rest": "colour: red"}, "rest", "Line 1: The site description has unknown keys: colour"),
        (
            {"rest": "series:\n  carbon: nl\n  coal: nl"},
            "rest",
            "Line 3: series: There is no kind of series called 'coal'",
        ),
        ({"name": ""}, "name", "This field is required"),
        ({"name": "n" * 101}, "name", "at most 100 characters"),
    ],
)
def test_what_has_no_meaning_is_said_at_its_field_and_what_was_typed_is_kept(
    controller: Client, lab: Site, changed: dict[str, str], field: str, sentence: str
) -> None:
    response = sent(controller, opened(controller) | changed, "save")
    assert response.status_code == 400
    editor = response.context["editor"]
    problems = {identity: problem for identity, _, problem in editor.problems}
    assert sentence in problems[field]
    assert f'id="{field}_error"' in response.content.decode()
    assert fields(editor).items() >= {name: text for name, text in changed.items() if text}.items()
    assert Site.objects.count() == 1


@pytest.mark.parametrize("do", ["more:0", "again:1", "remove:0", "add", "add-partition", "check", "", "nothing:x"])
def test_a_button_changes_nothing_while_something_is_wrong(controller: Client, lab: Site, do: str) -> None:
    data = opened(controller) | {"groups-0-cores": "-4"}
    response = sent(controller, data, do)
    assert response.status_code == 400
    assert fields(response.context["editor"]).items() >= data.items()


def test_the_series_of_a_site_are_edited_among_the_rest(controller: Client) -> None:
    site_store(site=sites.Site.from_json({**DESCRIPTION, "series": {"carbon": "nl-2022"}}), notes=[])
    data = opened(controller)
    assert "series:\n  carbon: nl-2022\n" in data["rest"]
    sent(controller, data | {"rest": data["rest"].replace("nl-2022", "nl-2023")}, "save")
    assert Site.objects.newest("lab").as_site().cluster.series == (("carbon", "nl-2023"),)


def test_the_last_group_cannot_be_removed(controller: Client, lab: Site) -> None:
    data = fields(sent(controller, opened(controller), "remove:1").context["editor"])
    response = sent(controller, data, "remove:0")
    assert (response.status_code, "would have no node left" in response.content.decode()) == (400, True)


def test_a_form_that_was_made_up_is_refused(controller: Client, lab: Site) -> None:
    assert controller.post(EDIT, {"do": "save"}).status_code == 400
    data = opened(controller)
    for broken in ({"groups-TOTAL_FORMS": "x"}, {"groups-TOTAL_FORMS": "100000"}, {"newest": "x"}):
        response = sent(controller, data | broken, "save")
        assert response.status_code == 400
        # Nobody makes the site draw more rows than a form can send.
        assert len(response.context["editor"].groups) <= MOST_ROWS
    assert Site.objects.count() == 1


def test_what_somebody_else_stored_meanwhile_is_not_passed_over(controller: Client, lab: Site) -> None:
    data = opened(controller) | {"groups-0-cores": "8"}
    site_store(site=sites.with_group_count(lab.as_site(), "thin", 9))
    response = sent(controller, data, "save")
    assert (response.status_code, "lab version 2 was stored meanwhile" in response.content.decode()) == (400, True)
    assert Site.objects.count() == 2


def test_an_older_version_is_edited_into_the_next(controller: Client, lab: Site) -> None:
    site_store(site=sites.with_group_count(lab.as_site(), "thin", 9))
    address = f"{EDIT}?version=1"
    controller.post(address, {**opened(controller, address), "do": "save"})
    assert Site.objects.newest("lab").as_site().cluster.groups[0].count == 4
    assert Site.objects.newest("lab").version == 3


def test_a_copy_has_a_name_of_its_own(controller: Client, lab: Site) -> None:
    address = f"{EDIT}?version=1&copy"
    data = opened(controller, address)
    assert data["name"] == "lab-copy"
    controller.post(address, {**data, "do": "save"})
    assert Site.objects.get(name="lab-copy").version == 1
    assert opened(controller, address)["name"] == "lab-copy1"
    response = sent(controller, data, "save", address)
    assert "There is a site lab-copy already; choose another name." in response.content.decode()


def test_a_site_of_more_entries_than_a_form_holds_is_edited_as_a_text(
    controller: Client, lab: Site, monkeypatch: Any
) -> None:
    monkeypatch.setattr(site_editor, "MOST_FIELDS", 20)
    page = controller.get(EDIT)
    assert "more entries than a form of rows can hold" in page.content.decode()
    data = fields(page.context["editor"])
    assert data["rest"].startswith("groups:")
    data["rest"] = data["rest"].replace("c[1-4]", "c[1-5]")
    controller.post(EDIT, {**data, "do": "save"})
    assert Site.objects.newest("lab").as_site().cluster.groups[0].count == 5


def test_the_field_that_a_button_was_about_is_where_somebody_goes_on(controller: Client, lab: Site) -> None:
    for do, field in (("more:1", "groups-1-count"), ("add", "groups-2-name"), ("again:0", "groups-1-name")):
        assert f'data-focus="{field}"' in sent(controller, opened(controller), do).content.decode()
    wrong = opened(controller) | {"groups-0-cores": "-4"}
    assert 'data-focus="groups-0-cores"' in sent(controller, wrong, "check").content.decode()
