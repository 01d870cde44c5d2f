"""The operator's story, with no shell but the export: from slurm.conf and sacct to the lines to change.

The site's scheduler as it is configured stands beside EASY in the order of arrival and EASY with multifactor.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import Site, Visit, make_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MULTIFACTOR = "multifactor+easy"
PATIENCE = 900_000
"""Milliseconds until something counts as stuck: a busy machine may first have to compile the kernels of sites."""


@pytest.fixture(scope="module")
def empty_site(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give a site without a workload or a run."""
    folder = tmp_path_factory.mktemp("operator")
    make_site(folder)
    one = Site(folder)
    # As for runs, whose kernels nobody may have compiled yet.
    one.environment["WHAT_IF_SECONDS"] = str(PATIENCE // 1000)
    one.start()
    yield one
    one.stop()


def test_from_slurms_files_to_the_lines_to_change(
    browser: "Browser", empty_site: Site, slurm_path: Callable[[str], Path]
) -> None:
    one = Visit(browser, empty_site, permissions=["clipboard-read", "clipboard-write"])
    page = one.page
    one.sign_in()

    one.open("/sites/upload/")
    page.set_input_files("#file", slurm_path("S2/conf/slurm.conf"))
    page.fill("#name", "s2")
    page.get_by_role("button", name="Read").click()
    page.get_by_role("button", name="Store").click()
    page.wait_for_url("**/sites/s2/**")
    assert "gpu" in page.locator("main").inner_text()

    one.open("/workloads/upload/")
    page.set_input_files("#file", slurm_path("S2/sacct/sacct_X_all_epoch.tsv.gz"))
    page.fill("#name", "last month")
    page.click("main button.primary")
    page.wait_for_selector("text=tasks are stored as", timeout=PATIENCE)

    one.open("/runs/new/")
    page.select_option("#workload", "1")
    page.select_option("#site", "s2@1")
    page.select_option("#on_oversize", "drop")
    ticked = page.locator("input[name=policies]:checked")
    while ticked.count():
        ticked.first.uncheck()
    page.fill("#others", f"slurm, fcfs+easy, {MULTIFACTOR}")
    page.fill("#name", "as it is")
    page.get_by_role("button", name="Start the run").click()
    one.await_end(timeout=PATIENCE)

    assert "Replays your log within" in page.locator(".fidelity").inner_text()

    page.get_by_role("link", name="Who wins, who loses").click()
    page.select_option("#policy", MULTIFACTOR)
    page.wait_for_url(re.compile("policy=multifactor%2Beasy"))
    loser = page.locator("#groups tbody tr").first
    assert re.fullmatch(r"u[0-9]+", loser.locator("th").inner_text().strip())
    assert float(loser.locator("td").first.inner_text().replace(",", "")) > 0, "who loses most stands first"

    page.locator("nav.crumbs").get_by_role("link", name="as it is").click()
    page.get_by_role("link", name="What if").click()
    for _ in range(2):
        page.get_by_role("button", name="More: gpu", exact=True).press("Enter")
    page.get_by_role("button", name="Play it").press("Enter")
    page.wait_for_selector("#figures, [role=alert]", timeout=PATIENCE)
    assert "add_nodes=gpu%3D2" in page.url
    page.select_option("#by", "queue")
    page.wait_for_url(re.compile("by=queue"), timeout=PATIENCE)
    names, changes = (
        page.locator(f"#groups tbody tr > {cell}").all_inner_texts() for cell in ("th", "td:nth-child(2)")
    )
    gains = {name: float(change.replace(",", "")) for name, change in zip(names, changes, strict=True)}
    assert min(gains, key=lambda name: gains[name]) == "gpu", "who gains most"
    assert gains["gpu"] < 0
    page.select_option("#policy", MULTIFACTOR)
    page.wait_for_url(re.compile("policy=multifactor%2Beasy"))
    assert "Under multifactor+easy" in page.locator("p.lead").inner_text()

    page.fill("#keep-name", "with two gpu nodes more")
    page.get_by_role("button", name="Keep as run").click()
    one.await_end(timeout=PATIENCE)
    page.get_by_role("link", name="Advice").click()
    page.select_option("#policy", MULTIFACTOR)
    page.wait_for_url(re.compile("policy=multifactor%2Beasy"))
    advice = page.locator("#conf").inner_text()
    assert "PriorityType=priority/multifactor" in advice
    assert "PriorityWeightJobSize=500" in advice
    assert "NodeName=gv[05-06] " in advice
    assert "PartitionName=gpu Nodes=ga[01-04],gv[01-06]" in advice
    page.locator("[data-copy-text=conf]").press("Enter")
    page.wait_for_function("text => navigator.clipboard.readText().then(copied => copied === text)", arg=advice)
    one.context.close()
    assert one.errors == []
