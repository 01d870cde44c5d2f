"""A queue that is forecast in the browser, from what squeue printed to when each job should start."""

import os
from pathlib import Path

from tests.e2e.conftest import AXE
from tests.e2e.test_dashboard import needs_axe


@needs_axe
def test_a_queue_is_forecast_from_what_squeue_printed(visit, queue):
    one = visit("/forecasts/", signed_in=True)
    one.page.get_by_role("link", name="Forecast a queue").first.click()
    one.page.select_option("#site", "lab@1")
    one.page.set_input_files("#squeue", queue)
    one.page.fill("#at", "1970-01-02T03:46:40")
    one.page.fill("#replicas", "10")
    one.page.get_by_role("button", name="Forecast", exact=True).click()
    # The page says how far it is, and shows what came out by itself.
    one.page.get_by_role("heading", name="When jobs should start").wait_for(timeout=300_000)
    rows = one.page.locator("tbody tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == ["3", "4"]
    assert "can never start as things are" in rows[1]
    one.page.evaluate(AXE.read_text())
    for scheme in ("light", "dark"):
        one.page.emulate_media(color_scheme=scheme)
        report = one.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert [fault["id"] for fault in report["violations"] if fault["impact"] in ("serious", "critical")] == []
        if folder := os.environ.get("SHOTS"):
            one.page.screenshot(path=Path(folder) / f"forecast-{scheme}.png", full_page=True)
    one.page.set_viewport_size({"width": 390, "height": 844})
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 390
    if folder := os.environ.get("SHOTS"):
        one.page.screenshot(path=Path(folder) / "forecast-phone.png", full_page=True)
