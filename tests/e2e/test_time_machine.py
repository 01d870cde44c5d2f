"""The time machine with the keyboard alone: through a run, two policies beside each other, and one task followed."""

import re

from tests.e2e.test_dashboard import needs_axe, needs_charts
from tests.e2e.test_keyboard import no_fault, reach

pytestmark = [needs_charts, needs_axe]


def shown(page, other_than=""):
    """Wait until another instant is shown and drawn, and return it as the page writes it into its address."""
    page.wait_for_selector(f'[data-shown]:not([data-shown="{other_than}"])')
    return page.locator("[data-shown]").get_attribute("data-shown")


def in_address(page):
    return page.evaluate("location.pathname").split("/at/")[1].rstrip("/")


def test_a_run_is_stepped_played_and_paused_and_a_task_followed_by_keyboard(visit):
    one = visit()
    page = one.page
    one.open("/runs/1/")
    reach(page, 'a[href="/runs/1/at/"]')
    page.keyboard.press("Enter")
    begin = shown(page)
    assert in_address(page) == begin
    page.wait_for_selector("[data-gantt][data-marked]")
    no_fault(page)

    page.keyboard.press("l")
    after = shown(page, begin)
    assert float(after) > float(begin)
    assert in_address(page) == after
    page.keyboard.press("l")
    later = shown(page, after)
    assert float(later) > float(after)
    page.keyboard.press("j")
    assert shown(page, later) == after

    page.keyboard.press("]")
    assert page.locator("[data-pace]").input_value() == "events 8"
    page.keyboard.press("k")
    seen = after
    for _ in range(5):
        now = shown(page, seen)
        assert float(now) > float(seen)
        seen = now
    page.keyboard.press("k")
    page.wait_for_selector('[data-playing="false"]')
    assert in_address(page) == shown(page)

    # Whoever dictates or misses keys can do without those of one letter, and the browser remembers it.
    reach(page, "[data-letters]")
    page.keyboard.press("Space")
    page.keyboard.press("]")
    assert page.locator("[data-pace]").input_value() == "events 8"
    page.reload()
    page.wait_for_selector("[data-letters]:visible")
    page.wait_for_selector("[data-gantt][data-marked]")
    assert not page.locator("[data-letters]").is_checked()
    reach(page, "[data-letters]")
    page.keyboard.press("Space")
    page.wait_for_selector("[data-letters]:checked")
    # Some browsers keep the speed over a reload, others don't.
    before = page.locator("[data-pace]").input_value()
    page.keyboard.press("]")
    assert page.locator("[data-pace]").input_value() != before

    reach(page, "#at-beside")
    page.keyboard.type("fcfs+e")
    page.wait_for_url("**policy=fcfs%2Beasy**")
    shown(page)
    page.wait_for_selector("[data-panel] [data-gantt][data-marked] >> nth=1")
    assert page.locator("[data-panel]").count() == 2
    instant = in_address(page)

    reach(page, "#at-task")
    page.keyboard.type("300")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Task 300, from arrival to start").wait_for()
    assert in_address(page) == instant
    assert re.search(r"From arrival to start: \d+ decisions?\.", page.locator("#followed").inner_text())
    shown(page)
    no_fault(page)
    reach(page, "[data-list=queue] a, [data-list=running] a")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/tasks/\d+/"))
    reach(page, "main p > a[href*='/at/']")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"/at/{instant}/.*task=300"))
    shown(page)


def test_the_page_works_without_scripts_and_the_gantt_chart_leads_to_an_instant(visit):
    plain = visit("/runs/1/at/60/?policy=fcfs&policy=sjf", java_script_enabled=False)
    assert plain.page.locator("[data-play]").is_hidden()
    plain.page.get_by_role("link", name="Next event").click()
    assert float(in_address(plain.page)) > 60
    plain.page.select_option("#at-beside", "")
    plain.page.get_by_role("button", name="Show").click()
    assert plain.page.locator("[data-panel]").count() == 1
    one = visit("/runs/1/")
    one.page.locator("#gantt").scroll_into_view_if_needed()
    one.page.wait_for_selector("#gantt [data-drawn]")
    one.page.locator("[data-gantt-at]").click()
    assert float(in_address(one.page)) > 0
    shown(one.page)
