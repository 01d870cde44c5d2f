"""Every page in a real browser: on a phone, without scripts, in light and dark, with what it hands out."""

from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import DESK

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

PHONE: "ViewportSize" = {"width": 390, "height": 844}

PAGES = (
    "/",
    "/runs/",
    "/runs/?group=workload&columns=status,policy,p95_wait_time,who,place,tags,notes&since=2020-01-01",
    "/search/?q=sjf",
    "/search/?q=5",
    "/runs/1/",
    "/runs/2/",
    "/runs/1/at/60/?policy=sjf&policy=fcfs&task=5",
    "/runs/2/at/",
    "/runs/1/tasks/5/?at=60",
    "/runs/2/tasks/5/",
    "/runs/1/advice/",
    "/runs/1/advice/?policy=sjf",
    "/runs/1/groups/?by=hour",
    "/runs/1/what-if/",
    "/runs/2/groups/?by=size&policy=greedy",
    "/runs/1/groups/tasks/?by=size&name=2+to+8+cores&policy=sjf",
    "/compare/?runs=1",
    "/compare/?runs=1,2",
    "/workloads/",
    "/workloads/1/",
    "/workloads/2/",
    "/sites/",
    "/sites/lab/",
    "/sites/compare/?before=lab&after=lab",
    "/forecasts/",
    "/forecasts/trials/",
    "/policies/",
    "/policies/sjf+easy/",
    "/policies/hybrid_ml/",
    "/training/",
    "/help/metrics/",
)
VISITORS_PAGES = ("/accounts/login/", "/", "/runs/1/")
SIGNED_IN_PAGES = (
    "/runs/new/",
    "/studies/new/",
    "/workloads/upload/",
    "/sites/upload/",
    "/forecasts/new/",
    "/forecasts/trials/new/",
    "/runs/1/purchase/",
    "/accounts/",
    "/accounts/password/",
)


def faults(page: "Page", axe: str) -> list[str]:
    """Return the serious faults that axe finds in light or dark."""
    page.emulate_media(color_scheme="light")
    page.evaluate(axe)
    ask = "asked => axe.run(document, {resultTypes: ['violations'], ...asked}).then(report => report.violations)"
    found = page.evaluate(ask, {})
    page.emulate_media(color_scheme="dark")
    found += page.evaluate(ask, {"runOnly": ["color-contrast"]})
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    ("path", "is_known"), [*((path, True) for path in PAGES), *((path, False) for path in VISITORS_PAGES)]
)
def test_every_page_opens_without_an_error_under_the_security_policy_and_fits_a_phone(visit, request, path, is_known):
    one = visit(signed_in=is_known)
    policy = one.open(path).headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy
    assert one.page.locator("h1").count() == 1
    one.page.set_viewport_size(PHONE)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    one.page.set_viewport_size(DESK)
    # At the end: where there is no axe the rest was looked at.
    assert faults(one.page, request.getfixturevalue("axe")) == []


@pytest.mark.parametrize("path", SIGNED_IN_PAGES)
def test_the_forms_fit_a_phone(visit, request, path):
    one = visit(path, signed_in=True, viewport=PHONE)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    one.page.set_viewport_size(DESK)
    assert faults(one.page, request.getfixturevalue("axe")) == []


def test_a_word_longer_than_a_phone_is_broken(visit):
    one = visit("/", viewport=PHONE)
    for kind in ("lead", "notice", "finding"):
        one.page.evaluate(
            "kind => document.querySelector('main').insertAdjacentHTML("
            "'beforeend', `<p class=${kind}>${'x'.repeat(200)}.parquet</p>`)",
            kind,
        )
    assert one.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("path", [*PAGES, "/accounts/login/"])
def test_every_page_shows_its_numbers_without_scripts(visit, path):
    # Who has not signed in, with a phone.
    one = visit(java_script_enabled=False, viewport=PHONE)
    one.page.goto(path)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert one.page.locator("h1").count() == 1
    assert one.page.locator("main").inner_text().strip()
    assert one.page.locator("table, dl, form, pre").count() > 0


@pytest.mark.parametrize(
    "path",
    ["/runs/2/", "/runs/2/tasks/5/", "/runs/2/groups/", "/compare/?runs=1", "/training/", "/policies/hybrid_ml/"],
)
def test_csv_and_json_stand_beside_every_table_and_chart_and_hold_numbers(visit, path):
    one = visit(java_script_enabled=False)
    one.page.goto(path)
    links = one.page.locator("main .tools a").evaluate_all("links => links.map(link => [link.textContent, link.href])")
    assert len(links) >= 4
    for kind, address in links:
        answer = one.page.request.get(address)
        assert answer.status == 200, address
        assert kind.lower() in answer.headers["content-type"], address
        assert len(answer.text()) > 2
