"""Forecasts, their trials and the search for a purchase with the keyboard alone."""

from tests.e2e.conftest import AXE
from tests.e2e.test_dashboard import needs_axe


def reach(page, selector, most=80):
    """Press Tab until something has the focus, and see that the focus is drawn."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            drawn = page.evaluate(
                "() => { const look = getComputedStyle(document.activeElement);"
                " return look.outlineStyle !== 'none' || look.boxShadow !== 'none'; }"
            )
            assert drawn, f"the focus on {selector} cannot be seen"
            return
    raise AssertionError(f"{selector} is not reached by {most} tabs on {page.url}")


def no_fault(page):
    page.evaluate(AXE.read_text())
    report = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [fault["id"] for fault in report["violations"] if fault["impact"] in ("serious", "critical")] == []


@needs_axe
def test_a_purchase_is_searched_by_keyboard(visit):
    one = visit(signed_in=True)
    page = one.page
    one.open("/runs/1/")
    reach(page, 'a[href="/runs/1/purchase/"]')
    page.keyboard.press("Enter")
    page.wait_for_url("**/purchase/")
    no_fault(page)
    for name, text in (("target", "p95_wait_time < 100 d"), ("add", "processors=4")):
        reach(page, f"[name={name}]")
        page.keyboard.type(text)
    reach(page, "main button[type=submit]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/purchases/*/")
    # The page follows the search, and shows by itself what came out.
    page.get_by_role("heading", name="Every change that was played").wait_for(timeout=300_000)
    assert "Nothing needs to be bought" in page.locator("main").inner_text()
    no_fault(page)
    reach(page, "a[href*='what-if']")
    assert one.errors == []


@needs_axe
def test_a_queue_is_forecast_and_a_trial_is_asked_for_by_keyboard(visit, queue):
    one = visit(signed_in=True)
    page = one.page
    # The browser hands a file chooser over while somebody waits for one; that must hold before the key is pressed.
    with page.expect_file_chooser() as chooser:
        one.open("/forecasts/")
        reach(page, 'a[href="/forecasts/new/"]')
        page.keyboard.press("Enter")
        page.wait_for_url("**/forecasts/new/")
        reach(page, "#site")
        page.keyboard.type("lab")
        reach(page, "#squeue")
        page.keyboard.press("Enter")
    chooser.value.set_files(queue)
    reach(page, "#at")
    page.keyboard.type("1970-01-02T03:46:40")
    reach(page, "#replicas")
    page.keyboard.press("Control+a")
    page.keyboard.type("10")
    reach(page, "main button[type=submit]")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="When jobs should start").wait_for(timeout=300_000)
    reach(page, 'a[href="/forecasts/trials/"]')
    page.keyboard.press("Enter")
    page.wait_for_url("**/forecasts/trials/")
    reach(page, 'a[href="/forecasts/trials/new/"]')
    page.keyboard.press("Enter")
    page.wait_for_url("**/forecasts/trials/new/")
    no_fault(page)
    for field in (
        "#site",
        "#history",
        "#squeue",
        "#squeue_start",
        "#instants",
        "#replicas",
        "main button[type=submit]",
    ):
        reach(page, field)
    assert one.errors == []
