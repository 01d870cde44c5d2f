"""The components that pages are made of."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory
from django.urls import NoReverseMatch, reverse

from scheduler_sim.display.viewing import chart_source

pytestmark = pytest.mark.own_data


def rendered(source: str, address: str = "/runs/", **context: Any) -> str:
    request = RequestFactory().get(address)
    return Template("{% load components live %}" + source).render(Context({"request": request, **context}))


def addresses(html: str) -> list[str]:
    return [address.replace("&amp;", "&") for address in re.findall(r'href="([^"]*)"', html)]


def test_downloads_of_a_page_keep_its_filters_and_forget_the_page_number():
    html = rendered("{% downloads %}", "/runs/?q=a+b&status=failed&page=3&sort=-name")
    assert addresses(html) == [f"?q=a+b&status=failed&sort=-name&format={kind}" for kind in ("csv", "json")]


def test_downloads_of_one_of_several_tables_name_it():
    assert addresses(rendered('{% downloads table="audit" %}')) == [
        "?table=audit&format=csv",
        "?table=audit&format=json",
    ]


def test_downloads_by_a_route_carry_the_query_as_it_is():
    html = rendered("{% downloads 'study-cells' 7 query='base=sjf%2Beasy' %}")
    assert addresses(html) == ["/studies/7/cells.csv?base=sjf%2Beasy", "/studies/7/cells.json?base=sjf%2Beasy"]


def test_a_route_that_does_not_exist_is_an_error():
    with pytest.raises(NoReverseMatch):
        rendered("{% downloads 'run-leaderbord' 7 %}")


def test_a_table_can_be_reached_by_the_keyboard_and_has_a_name():
    html = rendered('{% table label sticky="first" kind="board" %}<tbody></tbody>{% endtable %}', label='"Race" & more')
    assert 'class="table-scroll sticky-first" tabindex="0" role="region"' in html
    assert 'aria-label="&quot;Race&quot; &amp; more"' in html
    assert '<table class="board"><tbody></tbody></table>' in html


def test_a_table_without_a_name_is_refused():
    with pytest.raises(TemplateSyntaxError, match="label"):
        rendered("{% table %}{% endtable %}")


def test_a_badge_says_that_a_run_is_interrupted_rather_than_running():
    html = rendered("{% status 'running' True run=7 %}")
    assert re.search(r'class="pill interrupted"\s+data-run-status="7"\s+>interrupted</span>', html)


def test_the_badge_of_the_page_is_marked_for_its_script():
    assert "data-status" in rendered("{% status 'paused' page=True %}")
    assert "data-" not in rendered("{% status 'paused' %}")


def test_options_are_names_or_pairs_and_one_is_chosen():
    html = rendered("{% options names chosen %}", names=["fcfs", "sjf"], chosen="sjf")
    assert re.findall(r'<option value="(\w+)"( selected)?>', html) == [("fcfs", ""), ("sjf", " selected")]
    html = rendered("{% options pairs chosen %}", pairs=[("1:fcfs", "fcfs <run 1>")], chosen="2:fcfs")
    assert '<option value="1:fcfs">fcfs &lt;run 1&gt;</option>' in html


def test_the_way_back_is_a_named_navigation():
    html = rendered("{% crumbs 'run-list' 'Runs' %}")
    assert html == '<nav class="crumbs" aria-label="Breadcrumb"><a href="/runs/">Runs</a></nav>'


def test_sockets_and_charts_have_addresses_by_name():
    assert rendered("{% socket 'live-run' 7 %} {% socket 'live-list' %}") == "/ws/runs/7/ /ws/live/"
    assert rendered("{% chart_source 'run-charts' 7 %}") == "/runs/7/charts"


@pytest.mark.parametrize(
    ("route", "arguments"),
    [
        ("run", (7,)),
        ("study", (7,)),
        ("workload", (7,)),
        ("training", ()),
        ("compare", ()),
        ("policy", ("sjf+easy",)),
    ],
)
def test_one_chart_lies_below_the_address_of_all(route, arguments):
    assert reverse(f"{route}-chart", args=[*arguments, "waits", "csv"]) == (
        f"{chart_source(f'{route}-charts', *arguments)}/waits.csv"
    )


def test_a_card_with_one_table_is_left_out_where_it_has_no_row_if_it_is_told_to():
    source = (
        '{% listing "Jobs" "Job" offered=False if_any=True %}{% for one in rows %}<tr></tr>{% endfor %}{% endlisting %}'
    )
    assert rendered(source, rows=[]) == ""
    assert "<h2>Jobs</h2>" in rendered(source, rows=[1])


def test_a_row_is_linked_by_its_route_and_called_as_it_is():
    class Row:
        pk = 7

        def __str__(self) -> str:
            return "a <run>"

    assert rendered("{% linked 'run-detail' row %}", row=Row()) == '<a href="/runs/7/">a &lt;run&gt;</a>'


def test_a_moment_is_written_to_the_minute_on_the_sites_clock(settings):
    settings.TIME_ZONE = "Europe/Berlin"
    assert rendered("{{ at|moment }}", at=datetime(2026, 7, 3, 22, 5, 59, tzinfo=UTC)) == "4 Jul 2026 00:05"
    assert rendered("{{ at|moment }}", at=None) == ""
