"""How much memory the page of the time machine holds while it plays: the heap after garbage collection, over minutes.

    .venv/bin/python -m benchmarks.time_machine FOLDER [--run 1] [--minutes 3]

FOLDER holds the database `site.sqlite3` with a finished run, such as benchmarks.instants makes one. The page plays at a
day a second and begins anew at the end. Needs Chromium and the packages of requirements-dev.txt.
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import CDPSession, sync_playwright

from benchmarks.browser import FLAGS, free_port, needed_chromium, site_environment, start_daphne

METRICS = {
    "JSHeapUsedSize": "bytes of heap",
    "Nodes": "nodes",
    "JSEventListeners": "listeners",
    "Documents": "documents",
}


def look_at(inspector: CDPSession) -> dict[str, int]:
    """Collect the page's garbage and return what it holds then."""
    inspector.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in inspector.send("Performance.getMetrics")["metrics"]}
    return {name: int(found[name]) for name in METRICS}


def print_ends(rows: list[tuple[float, dict[str, int]]], minutes: float = 10.0) -> None:
    """Print the medians of what the first and the last minutes held."""
    last = rows[-1][0]
    for name, words in METRICS.items():
        first_ones = [held[name] for at, held in rows if at <= minutes]
        last_ones = [held[name] for at, held in rows if at >= last - minutes]
        medians = statistics.median(first_ones), statistics.median(last_ones)
        print(f"{words}: median of the first {minutes:g} minutes {medians[0]:,.0f}, of the last {medians[1]:,.0f}")


def main() -> int:
    """Play and print what is held."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=int, default=1)
    parser.add_argument("--policies", default="", help="one or two of the run's, by commas; default: its first")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two looks")
    parser.add_argument("--pace", default="clock 86400", help="as the page's choice of speed has it")
    options = parser.parse_args()
    chromium = needed_chromium()
    environment = site_environment(options.folder, DJANGO_SETTINGS_MODULE="scheduler_sim.settings")
    port = free_port()
    with (options.folder / "daphne.log").open("ab") as log:
        server = start_daphne(port, environment, log)
        try:
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
                page = browser.new_page(base_url=f"http://127.0.0.1:{port}")
                # An hour may see this machine stand still for a while.
                page.set_default_timeout(600_000)
                query = "&".join(f"policy={quote(name)}" for name in options.policies.split(",") if name)
                page.goto(f"/runs/{options.run}/at/0/?{query}")
                page.wait_for_selector("[data-gantt][data-marked]", timeout=120_000)
                page.select_option("[data-pace]", options.pace)
                inspector = page.context.new_cdp_session(page)
                inspector.send("Performance.enable")
                shown: set[str | None] = set()
                begun_again = 0
                print("minutes,instants seen,begun again," + ",".join(METRICS.values()), flush=True)
                rows = []
                began = time.monotonic()
                for look in range(int(options.minutes * 60 / options.every) + 1):
                    while time.monotonic() < began + look * options.every:
                        if page.locator("[data-playing=true]").count() == 0:
                            begun_again += 1
                            scrubber = page.locator("[data-scrubber]")
                            scrubber.fill(scrubber.get_attribute("min") or "0")
                            page.keyboard.press("k")
                        page.wait_for_timeout(250)
                        shown.add(page.locator("[data-shown]").get_attribute("data-shown"))
                    held, minute = look_at(inspector), (time.monotonic() - began) / 60
                    rows.append((minute, held))
                    print(",".join(map(str, (f"{minute:.1f}", len(shown), begun_again, *held.values()))), flush=True)
                print_ends(rows)
                print(f"machine's load {os.getloadavg()[0]:.1f}")
                browser.close()
        finally:
            server.terminate()
            server.wait(60)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
