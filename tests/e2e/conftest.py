"""A site of its own with real runs, and the browser that looks at it."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from benchmarks.browser import FLAGS, find_chromium, free_port, site_environment, start_daphne
from benchmarks.project import ROOT
from tests.files import made_once, written
from tests.live.live_site import PATIENCE, manage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Request, Response, ViewportSize

PASSWORD = "an-orange-cat-42"
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
CHARTS = ROOT / "node_modules" / "echarts" / "dist" / "echarts.esm.min.mjs"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, so that `-m "not e2e"` leaves them out."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.e2e)


def _missing(reason: str) -> NoReturn:
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def environment_of(folder: Path) -> dict[str, str]:
    """Return what the processes of a site in this folder are told."""
    return site_environment(folder, DJANGO_SETTINGS_MODULE="scheduler_sim.settings", DJANGO_SUPERUSER_PASSWORD=PASSWORD)


def make_site(folder: Path, *commands: str) -> None:
    """Make the tables and somebody who may do everything, and run commands, in one process."""
    alice = "createsuperuser --noinput --username alice --email alice@example.org"
    manage(environment_of(folder), "migrate --verbosity 0", alice, *commands)


class Site:
    """A daphne process on the embedded default, with a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = environment_of(folder)
        self._log = (folder / "daphne.log").open("ab")

    def manage(self, *arguments: str) -> str:
        """Run a command to its end."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True)
        return done.stdout

    def launch(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command beside the server."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=self._log, stderr=self._log)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        try:
            self._daphne = start_daphne(self.port, self.environment, self._log)
        except RuntimeError as error:
            pytest.fail(f"{error} " + (self.folder / "daphne.log").read_text()[-2000:])

    def stop(self) -> None:
        """End the server."""
        self._daphne.terminate()
        self._daphne.wait(20)
        self._log.close()


@pytest.fixture
def axe() -> str:
    """Give the source of axe; without it the tests are skipped, or fail under REQUIRE_BROWSER=1."""
    if not AXE.is_file():
        _missing("axe-core is not installed (npm ci does).")
    return AXE.read_text()


@pytest.fixture
def charts() -> Path:
    """Give what draws the charts; without it the tests are skipped, or fail under REQUIRE_BROWSER=1."""
    if not CHARTS.is_file():
        _missing("The charts are not installed (npm ci does).")
    return CHARTS


@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    """Give a headless Chromium; without one the tests are skipped, or fail under REQUIRE_BROWSER=1."""
    chromium = find_chromium()
    if chromium is None:
        _missing("There is no Chromium (make browser installs it), so the pages are not looked at.")
    if find_spec("playwright") is None:
        _missing("Playwright is not installed (make test does).")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        instance = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield instance
        instance.close()


@pytest.fixture(scope="package")
def site(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give a site with two workloads and two runs that came out of the simulator."""

    def make(folder: Path) -> None:
        described = folder / "lab.yaml"
        described.write_text(
            "name: lab\ngroups:\n- {hosts: 'n[1-4]', cores: 64}\npartitions:\n- {name: main, hosts: ALL}\n"
        )
        pool, node = "fcfs,fcfs+easy,sjf,sjf+easy", "round_robin,greedy,oracle"
        make_site(
            folder,
            "generateworkload lublin --tasks 600 --seed 1 --name lublin --processors 64",
            "generateworkload mixed --tasks 200 --seed 1 --name mixed",
            f"runsimulation --workload lublin --cluster hpc-64 --policies {pool} --name main",
            f"runsimulation --workload mixed --cluster workstation --policies {node} --name split",
            f"importsite {described}",
            "trainmodel hybrid_ml --from split --algorithm ridge",
        )

    folder = tmp_path_factory.mktemp("site_of_a_browser") / "site"
    shutil.copytree(made_once(tmp_path_factory, "site", make), folder)
    one = Site(folder)
    one.start()
    yield one
    one.stop()


DESK: "ViewportSize" = {"width": 1280, "height": 720}
USUAL_MEDIA: dict[str, Any] = {
    "media": "screen",
    "color_scheme": "light",
    "reduced_motion": "no-preference",
    "forced_colors": "none",
    "contrast": "no-preference",
}
"""What a page is told it is shown on, where a test asks for nothing else."""


class Visit:
    """A page with everything it did that it should not: errors on the console, requests that leave the host."""

    def __init__(self, browser: "Browser", site: Site, **options: Any) -> None:
        self.site = site
        self.options = options
        self.context = browser.new_context(base_url=site.address, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        self.errors: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._note)
        self._own_listeners = self._listeners()

    def _listeners(self) -> Counter[str]:
        # Playwright keeps them from its callers.
        page = self.page._impl_obj
        return Counter({str(event): len(page.listeners(event)) for event in page.event_names()})

    @property
    def is_listened_to(self) -> bool:
        """Whether somebody else was still to be told of what the page does."""
        return self._listeners() != self._own_listeners

    def _hear(self, message: "ConsoleMessage") -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _note(self, request: "Request") -> None:
        own = (self.site.address, f"ws://127.0.0.1:{self.site.port}", "data:", "blob:")
        if not request.url.startswith(own):
            self.errors.append(f"request to {request.url}")

    def open(self, path: str) -> "Response":
        """Go to a page and wait for its charts."""
        response = self.page.goto(path)
        assert response is not None
        assert response.status == 200, f"{path} answered {response.status}"
        if self.page.locator("[data-chart]").count():
            self.page.wait_for_selector("html[data-charts-drawn]", state="attached")
        return response

    def sign_in(self) -> None:
        """Sign in as the administrator."""
        self.page.goto("/accounts/login/?next=/")
        self.page.fill("#id_username", "alice")
        self.page.fill("#id_password", PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("**/")

    def await_end(self, *, timeout: float = 600_000) -> None:
        """Wait on a run's page until the run came to its end and the page was loaded anew with its figures.

        The status alone says so a moment earlier; who leaves then is overtaken by the page loading itself anew.
        """
        self.page.wait_for_url(re.compile(r"/runs/\d+/$"))
        self.page.wait_for_selector("#leaderboard", timeout=timeout)


class Visits:
    """The pages of a site's tests, which one test after the other takes.

    To begin a page anew takes a process of its own, which reads all scripts for the first time: longer than most tests.
    """

    def __init__(self, browser: "Browser", site: Site) -> None:
        self._browser, self._site = browser, site
        self._idle: list[Visit] = []

    def take(self, *, cookies: Sequence[Any] = (), viewport: "ViewportSize" = DESK, **options: Any) -> Visit:
        """Return a page on which nothing was opened, and nothing is remembered but these cookies.

        Nothing is left open of one that cannot be made so.
        """
        media = {name: options.pop(name, usual) for name, usual in USUAL_MEDIA.items()}
        one = next((idle for idle in self._idle if idle.options == options), None)
        if one is None:
            one = Visit(self._browser, self._site, **options)
        else:
            self._idle.remove(one)
        try:
            one.page.emulate_media(**media)
            one.page.set_viewport_size(viewport)
            if cookies:
                one.context.add_cookies(cookies)
        except BaseException:
            one.context.close()
            raise
        return one

    def give_back(self, one: Visit) -> None:
        """Leave a page for another test, with nothing remembered; one that cannot be left so is closed.

        Not for an empty page: the browser would go on in another process.
        """
        from playwright.sync_api import Error

        if one.is_listened_to:
            one.context.close()
            return
        try:
            one.page.goto("/health")
            one.context.clear_cookies()
            session = one.context.new_cdp_session(one.page)
            session.send("Storage.clearDataForOrigin", {"origin": self._site.address, "storageTypes": "all"})
            session.detach()
        except Error:
            one.context.close()
        else:
            one.errors.clear()
            self._idle.append(one)


@pytest.fixture(scope="package")
def visits(browser: "Browser", site: Site) -> Visits:
    """Give the pages that the tests of the site share."""
    return Visits(browser, site)


@pytest.fixture(scope="package")
def administrator(browser: "Browser", site: Site) -> list[Any]:
    """Give the cookies of the administrator, who signs in once; where that fails, so does all that asks for it."""
    one = Visit(browser, site)
    with closing(one.context):
        one.sign_in()
        assert one.errors == []
        return list(one.context.cookies())


@pytest.fixture
def visit(visits: Visits, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visit]]:
    """Give a maker of visits; afterwards none of them may have shown an error.

    It takes the page to begin with, if any, whether the administrator is signed in, and what a browser is told.
    """
    made: list[Visit] = []

    def make(path: str = "", *, signed_in: bool = False, **options: Any) -> Visit:
        cookies = request.getfixturevalue("administrator") if signed_in else ()
        one = visits.take(cookies=cookies, **options)
        made.append(one)
        if path:
            one.open(path)
        return one

    yield make
    errors = [error for one in made for error in one.errors]
    for one in made:
        visits.give_back(one)
    assert errors == []


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Return a file with what squeue printed."""
    return written(
        tmp_path / "queue.txt",
        """JOBID|USER|PARTITION|STATE|REASON|SUBMIT_TIME|START_TIME|TIME_LIMIT|TIME|NODES|CPUS|NODELIST
1|ann|main|RUNNING|None|1970-01-02T03:40:00|1970-01-02T03:45:00|10:00|1:40|4|256|n[1-4]
3|bob|main|PENDING|Resources|1970-01-02T03:46:00|N/A|10:00|0:00|1|64|
4|bob|main|PENDING|Priority|1970-01-02T03:46:10|N/A|10:00|0:00|9|576|
""",
    )
