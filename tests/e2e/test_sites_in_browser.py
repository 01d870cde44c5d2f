"""A site on its way through the browser: uploaded, looked at, edited, compared and played on."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONF = """ClusterName=tiny
Include parts.conf
NodeName=n[1-4] CPUs=64 RealMemory=256000 Feature=fast
SchedulerType=sched/backfill
PaintedIn=red
"""
PARTITIONS = "PartitionName=main Nodes=n[1-4] Default=YES MaxTime=INFINITE\n"

Visits = Callable[..., Any]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name, text in (("slurm.conf", CONF), ("parts.conf", PARTITIONS)):
        (tmp_path / name).write_text(text)
    return [tmp_path / "slurm.conf", tmp_path / "parts.conf"]


@pytest.mark.slow
def test_files_are_uploaded_read_stored_edited_compared_and_played_on(visit: Visits, files: list[Path]) -> None:
    one = visit(signed_in=True)
    page = one.page
    page.goto("/sites/")
    page.get_by_role("link", name="Upload a site").click()
    page.set_input_files("#file", files)
    page.get_by_role("button", name="Read", exact=True).click()
    row = page.get_by_role("row").filter(has_text="PaintedIn=red")
    assert row.get_by_role("cell").first.inner_text() == "5"
    page.get_by_role("button", name="Store it").click()
    page.wait_for_url("**/sites/tiny/?version=1")
    assert page.get_by_text("Stored as tiny version 1.").is_visible()
    assert page.get_by_role("row").filter(has_text="PaintedIn=red").is_visible()

    page.get_by_role("link", name="Edit", exact=True).click()
    # Until the page is loaded the button does what it does without scripts, which takes a page of the server's.
    page.wait_for_url("**/sites/tiny/edit/**", wait_until="load")
    # By keyboard alone: the button after the field counts up, Enter in a field says what would change.
    page.locator("#groups-0-count").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert page.locator("#groups-0-count").input_value() == "6"
    page.locator("#groups-0-cores").focus()
    page.keyboard.press("Enter")
    changes = page.locator("#changes")
    changes.wait_for()
    assert "n[1-6]" in changes.inner_text()
    page.get_by_role("button", name="Save").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/sites/tiny/?version=2")

    page.get_by_role("link", name="Compare with version 1").click()
    assert re.search(r"Node group n\[1-4\]\s+Nodes\s+4\s+6", page.get_by_role("table").inner_text())

    page.goto("/sites/tiny/")
    page.get_by_role("link", name="Start a run").click()
    assert page.locator("#site").input_value() == "tiny@2"
    page.select_option("#workload", label=_lublin(page))
    for name in ("fcfs+easy", "sjf", "sjf+easy"):
        page.uncheck(f'input[name=policies][value="{name}"]')
    page.fill("#name", "on tiny")
    page.get_by_role("button", name="Start the run").click()
    # The first run on a site after a change of the engine compiles its kernel.
    one.await_end()
    page.goto("/sites/tiny/")
    assert page.get_by_role("link", name="on tiny").is_visible()


def _lublin(page: Any) -> str:
    options = page.locator("#workload option").all_inner_texts()
    return next(str(text) for text in options if text.startswith("lublin"))


def test_a_site_is_edited_without_scripts(visit: Visits) -> None:
    one = visit(java_script_enabled=False)
    one.sign_in()
    page = one.page
    page.goto("/sites/lab/edit/")
    page.get_by_role("button", name="One node more in group 1").click()
    assert page.locator("#groups-0-count").input_value() == "5"
    assert page.locator("#groups-0-hosts").input_value() == "n[1-5]"
    page.get_by_role("button", name="Copy group 1").click()
    assert page.locator("#groups-1-hosts").input_value() == "n[6-9],n10"
    page.get_by_role("button", name="Remove group 2").click()
    assert page.locator("#groups-1-hosts").count() == 0


def test_what_is_wrong_stands_at_its_field_where_somebody_goes_on(visit: Visits) -> None:
    one = visit(signed_in=True)
    page = one.page
    page.goto("/sites/lab/edit/")
    page.fill("#partitions-0-hosts", "n[1-9]")
    page.get_by_role("button", name="Save").click()
    fault = page.locator("#partitions-0-hosts_error")
    assert "has no node n5" in fault.inner_text()
    focused = page.evaluate("document.activeElement.id")
    assert focused == "partitions-0-hosts"
    # That the form was refused is what the browser says of it.
    one.errors.clear()
