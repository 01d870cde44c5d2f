"""How quick the page of a large run is, and whether a live page keeps its memory.

    .venv/bin/python -m benchmarks.pages [--tasks 100000] [--minutes 10] [--keep DIR] [--prepare]

Makes a site of its own (the embedded default), plays a generated workload through eight policies, and prints, in rows
side by side: the server's time for the page and for its charts, by the wall clock and as processor time of the server's
process; the time to the last chart in headless Chromium (first visit and later ones); the bytes that went over the wire
with and without the charts' library; and for a live page redraws a second and the browser's memory over time. Figures
are medians of several visits. `--keep DIR --prepare` only makes the site, for a measurement on a quiet machine later.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.browser import FLAGS, free_port, needed_chromium, site_environment, start_daphne
from benchmarks.project import ROOT, described

POLICIES = "fcfs,fcfs+easy,sjf,sjf+easy,wfp3,wfp3+easy,f1,f1+easy"
VISITS = 7
MEASURED = (*FLAGS, "--enable-precise-memory-info", "--js-flags=--expose-gc")


def main() -> int:
    """Measure and print."""
    parser = described(__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="how long the live page is watched; 0 to leave it out"
    )
    parser.add_argument("--keep", type=Path, help="a folder whose site is kept and used again")
    parser.add_argument("--prepare", action="store_true", help="make the site of --keep and measure nothing")
    options = parser.parse_args()
    chromium = needed_chromium()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="pages-"))
    folder.mkdir(parents=True, exist_ok=True)
    site = Site(folder)
    try:
        site.fill(options.tasks)
        if options.prepare:
            return 0
        site.start()
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=list(MEASURED))
            measure_server(site)
            measure_browser(browser, site)
            if options.minutes:
                measure_live(browser, site, options.tasks, 60 * options.minutes)
            browser.close()
    finally:
        site.stop()
        if options.keep is None:
            shutil.rmtree(folder)
    return 0


class Site:
    """A database with one large finished run, and a server for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = site_environment(folder, RATE_LIMIT_PAGES="99999999/m", RATE_LIMIT_COSTLY="99999999/m")
        self._daphne: subprocess.Popen[bytes] | None = None
        self._log = (folder / "daphne.log").open("ab")

    def manage(self, *arguments: str) -> list[str]:
        """Return a command of the site."""
        return [sys.executable, str(ROOT / "manage.py"), *arguments]

    def call(self, *arguments: str) -> None:
        """Run a command to its end."""
        done = subprocess.run(
            self.manage(*arguments), check=False, env=self.environment, stdout=self._log, stderr=self._log
        )
        if done.returncode:
            raise SystemExit(f"manage.py {arguments[0]} failed; see {self.folder / 'daphne.log'}.")

    def fill(self, tasks: int) -> None:
        """Make the runs, unless a kept site holds them."""
        ready = self.folder / f"ready-{tasks}"
        if not ready.exists():
            self.call("migrate", "--verbosity", "0")
            cluster = ("--processors", "256", "--load", "0.7")
            self.call("generateworkload", "lublin", "--tasks", str(tasks), "--seed", "1", "--name", "large", *cluster)
            self.call("runsimulation", "--workload", "large", "--cluster", "hpc-256", "--policies", POLICIES)
            ready.touch()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        try:
            self._daphne = start_daphne(self.port, self.environment, self._log)
        except RuntimeError as error:
            raise SystemExit(str(error)) from None

    def processor_seconds(self) -> float:
        """Return the processor time that the server has used so far."""
        assert self._daphne is not None
        fields = Path(f"/proc/{self._daphne.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End the server."""
        if self._daphne is not None:
            self._daphne.terminate()
            self._daphne.wait(20)


def measure_server(site: Site) -> None:
    """Print the server's time and the bytes of the page and of its numbers, compressed."""
    for path in ("/runs/1/", "/runs/1/charts.json", "/runs/1/gantt.json", "/runs/", "/"):
        times, size = [], 0
        for visit in range(VISITS + 1):
            if visit == 1:
                used = site.processor_seconds()
            request = urllib.request.Request(site.address + path, headers={"Accept-Encoding": "gzip"})
            began = time.perf_counter()
            with urllib.request.urlopen(request) as response:
                size = len(response.read())
            times.append(time.perf_counter() - began)
        first, *later = times
        processor = (site.processor_seconds() - used) / VISITS
        print(
            f"server {path:22} first {first * 1000:7.1f} ms   median {statistics.median(later) * 1000:7.1f} ms   "
            f"processor {processor * 1000:6.1f} ms   {size / 1000:7.1f} kB compressed"
        )


def browser_processor_seconds() -> float:
    """Return the processor time that the living processes of this command's browser have used so far."""
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().rsplit(")", 1)
        except OSError:
            continue  # It has ended since.
        fields, number = rest.split(), int(stat.parent.name)
        parents[number] = int(fields[1])
        if "(chrom" in name:
            used[number] = int(fields[11]) + int(fields[12])
    return sum(ticks for number, ticks in used.items() if _descends(number, parents)) / os.sysconf("SC_CLK_TCK")


def _descends(number: int, parents: dict[int, int]) -> bool:
    while number in parents and number != os.getpid():
        number = parents[number]
    return number == os.getpid()


def measure_browser(browser: Browser, site: Site) -> None:
    """Print the time to the last chart and the bytes on the wire, with an empty cache and with a filled one."""
    first: list[float] = []
    later: list[float] = []
    processor: list[float] = []
    bytes_first = bytes_data = 0
    for _ in range(VISITS):
        context = browser.new_context(viewport={"width": 1440, "height": 960})
        page = context.new_page()
        for times in (first, later):
            used = browser_processor_seconds()
            page.goto(f"{site.address}/runs/1/")
            page.wait_for_selector("html[data-charts-drawn]", state="attached")
            times.append(page.evaluate("performance.getEntriesByName('charts-drawn')[0].startTime"))
            if times is first:
                processor.append((browser_processor_seconds() - used) * 1000)
                sizes = page.evaluate(
                    "performance.getEntriesByType('resource').map(one => [one.name, one.transferSize])"
                    ".concat(performance.getEntriesByType('navigation').map(one => ['page', one.transferSize]))"
                )
                bytes_first = sum(size for _, size in sizes)
                bytes_data = sum(size for name, size in sizes if name == "page" or ".json" in name)
        page.locator("#gantt").scroll_into_view_if_needed()
        began = time.perf_counter()
        page.wait_for_selector("[data-gantt][data-drawn]")
        gantt = time.perf_counter() - began
        context.close()
    print(
        f"browser last chart, first visit  median {statistics.median(first):7.0f} ms   best {min(first):7.0f} ms   "
        f"processor, all threads {statistics.median(processor):6.0f} ms"
    )
    print(f"browser last chart, later visits median {statistics.median(later):7.0f} ms   best {min(later):7.0f} ms")
    print(f"browser Gantt after it comes into view {gantt * 1000:7.0f} ms")
    print(f"browser page and numbers {bytes_data / 1000:7.1f} kB on the wire, everything {bytes_first / 1000:7.1f} kB")


def measure_live(browser: Browser, site: Site, tasks: int, seconds: float) -> None:
    """Print redraws a second and memory of a live page, while a slowed race of eight policies goes on."""
    rate = 0.8 * tasks / seconds
    command = ("runsimulation", "--workload", "large", "--cluster", "hpc-256", "--policies", POLICIES)
    race = subprocess.Popen(
        site.manage(*command, "--name", f"live {time.time():.0f}", "--rate", f"{rate:.3g}"),
        env=site.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        page = browser.new_page(viewport={"width": 1440, "height": 960})
        for _ in range(120):
            page.goto(f"{site.address}/runs/?status=running")
            links = page.locator("tbody th a", has_text="live")
            if links.count():
                break
            time.sleep(1)
        links.first.click()
        page.wait_for_selector("#race[data-frames]", timeout=60_000)
        began, frames, heaps = time.monotonic(), _frames(page), []
        while time.monotonic() - began < seconds:
            time.sleep(min(30, max(1, seconds / 10)))
            page.evaluate("globalThis.gc?.()")
            elapsed = time.monotonic() - began
            memory = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
            heaps.append(memory)
            print(
                f"live {elapsed:6.0f} s   {(_frames(page) - frames) / elapsed:5.2f} redraws/s   heap {memory:6.1f} MB"
            )
        half = len(heaps) // 2
        early, late = statistics.median(heaps[:half] or heaps), statistics.median(heaps[half:])
        print(f"live heap, median of the first half {early:.1f} MB, of the second {late:.1f} MB")
    finally:
        race.terminate()
        race.wait(60)


def _frames(page: Page) -> int:
    return int(page.locator("#race").get_attribute("data-frames") or 0)


if __name__ == "__main__":
    sys.exit(main())
