"""Take the screenshots of the documentation from a running site with real runs.

    .venv/bin/python -m benchmarks.screenshots http://127.0.0.1:8000 --run 1 [--split-run 2] [--to docs/screenshots]

`make run` and `make serve` make such a site. Needs Chromium and the packages of requirements-dev.txt.
"""

import sys
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, ViewportSize, sync_playwright

from benchmarks.browser import FLAGS, needed_chromium
from benchmarks.project import described

DESK, PHONE = ViewportSize(width=1440, height=960), ViewportSize(width=390, height=844)


def main() -> int:
    """Take every picture and print where it lies."""
    parser = described(__doc__)
    parser.add_argument("address")
    parser.add_argument("--run", type=int, default=1, help="a finished run of rigid tasks")
    parser.add_argument("--split-run", type=int, help="a finished run of tasks split between CPU and GPU")
    parser.add_argument("--to", type=Path, default=Path("docs/screenshots"))
    options = parser.parse_args()
    chromium = needed_chromium()
    options.to.mkdir(parents=True, exist_ok=True)
    run = options.run
    pictures: list[tuple[str, str, ViewportSize, Literal["light", "dark"], str | None]] = [
        ("start", "/", DESK, "light", None),
        ("run", f"/runs/{run}/", DESK, "light", None),
        ("run-dark", f"/runs/{run}/", DESK, "dark", None),
        ("run-charts", f"/runs/{run}/", DESK, "light", "#chart-completion"),
        ("gantt", f"/runs/{options.split_run or run}/", DESK, "light", "#gantt"),
        ("compare", f"/compare/?runs={run}", DESK, "light", None),
        ("groups", f"/runs/{run}/groups/", DESK, "light", None),
        ("workload", "/workloads/1/", DESK, "light", None),
        ("policies", "/policies/", DESK, "dark", None),
        ("task", f"/runs/{options.split_run or run}/tasks/10/", DESK, "light", None),
        ("training", "/training/", DESK, "light", None),
        ("run-phone", f"/runs/{run}/", PHONE, "light", None),
    ]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for name, path, size, scheme, part in pictures:
            page = browser.new_page(base_url=options.address, viewport=size, color_scheme=scheme)
            take(page, path, part, options.to / f"{name}.png")
            page.close()
        browser.close()
    return 0


def take(page: Page, path: str, part: str | None, to: Path) -> None:
    """Open a page, wait for its charts, bring `part` to the top, and take what the window shows."""
    page.goto(path)
    if page.locator("[data-chart]").count():
        page.wait_for_selector("html[data-charts-drawn]", state="attached")
    if part is not None:
        page.evaluate("part => document.querySelector(part).scrollIntoView({behavior: 'instant'})", part)
        if part == "#gantt":
            page.wait_for_selector("[data-gantt][data-drawn]")
            page.locator("[data-go=closer]").click()
            page.locator("[data-go=closer]").click()
            page.wait_for_selector("[data-gantt][data-drawn=tasks]")
            page.evaluate("part => document.querySelector(part).scrollIntoView({behavior: 'instant'})", part)
    page.wait_for_timeout(300)
    page.screenshot(path=to)
    print(to)


if __name__ == "__main__":
    sys.exit(main())
