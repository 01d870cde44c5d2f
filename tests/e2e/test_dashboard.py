"""The pages in a real browser, against a real server, with real runs."""

import csv
import gzip
import json
import re
from pathlib import Path

import pytest

needs_axe = pytest.mark.usefixtures("axe")
needs_charts = pytest.mark.usefixtures("charts")


@needs_charts
def test_a_run_draws_all_its_charts(visit):
    one = visit("/runs/1/")
    areas = one.page.locator("[data-chart]")
    assert areas.count() >= 5
    for number in range(areas.count()):
        assert areas.nth(number).locator("canvas").count() >= 1
        assert areas.nth(number).get_attribute("role") == "img"


@needs_charts
def test_the_gantt_zooms_by_keyboard_and_keeps_the_window_in_the_address(visit):
    one = visit("/runs/1/")
    gantt = one.page.locator("[data-gantt]")
    gantt.scroll_into_view_if_needed()
    one.page.wait_for_selector("[data-gantt][data-drawn]")
    gantt.focus()
    for _ in range(3):
        one.page.keyboard.press("+")
    one.page.wait_for_url(re.compile("from=[0-9]+&to=[0-9]+"))
    one.page.keyboard.press("0")
    one.page.wait_for_url(lambda address: "from=" not in address)


def test_the_base_policy_stands_in_the_address(visit):
    one = visit("/runs/1/")
    one.page.select_option("#base", "sjf")
    one.page.wait_for_url(re.compile("base=sjf"))
    assert one.page.locator("tr.is-base").inner_text().find("sjf") >= 0


def test_from_a_run_to_who_loses_most_and_to_the_tasks_that_do(visit):
    one = visit("/runs/1/")
    one.page.get_by_role("link", name="Who wins, who loses").click()
    one.page.select_option("#by", "length")
    one.page.wait_for_url(re.compile("by=length"))
    one.page.select_option("#policy", "sjf+easy")
    one.page.wait_for_url(re.compile(r"policy=sjf%2Beasy"))
    assert "under sjf+easy" in one.page.locator("p.lead").inner_text()
    one.page.locator("#groups tbody a").first.click()
    one.page.wait_for_url(re.compile("/groups/tasks/"))
    one.page.locator("tbody a").first.click()
    one.page.wait_for_url(re.compile("/runs/1/tasks/[0-9]+/"))


def test_advice_is_copied_as_it_stands(visit):
    one = visit("/runs/1/", permissions=["clipboard-read", "clipboard-write"])
    one.page.get_by_role("link", name="Advice").click()
    one.page.select_option("#policy", "fcfs+easy")
    one.page.wait_for_url(re.compile(r"policy=fcfs%2Beasy"))
    one.page.get_by_role("button", name="Copy", exact=True).click()
    one.page.get_by_role("button", name="Copied").wait_for()
    copied = one.page.evaluate("navigator.clipboard.readText()")
    assert copied == one.page.locator("#conf").text_content()
    assert "SchedulerParameters=bf_job_part_count_reserve=1" in copied.splitlines()


def test_a_purchase_is_searched_from_a_runs_page(visit):
    one = visit("/runs/1/", signed_in=True)
    one.page.get_by_role("link", name="What to buy").click()
    one.page.fill("#target", "p95 wait < 6 h")
    one.page.fill("#add", "processors=20")
    one.page.get_by_role("button", name="Search", exact=True).click()
    one.page.wait_for_url(re.compile("/purchases/[0-9]+/"))
    one.page.wait_for_selector("#chart-frontier", timeout=300_000)
    one.page.wait_for_selector("html[data-charts-drawn]", state="attached")
    assert "reaches p95_wait_time < 6 h" in one.page.locator("#study-progress p.lead").inner_text()
    one.page.set_viewport_size({"width": 390, "height": 844})
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_runs_are_filed_by_keyboard_alone(visit):
    one = visit("/runs/", signed_in=True)
    page, press = one.page, one.page.keyboard.press
    page.get_by_text("Columns", exact=True).focus()
    press("Enter")
    page.get_by_label("p95 wait", exact=True).focus()
    press("Space")
    page.get_by_role("button", name="Show these columns").focus()
    press("Enter")
    page.wait_for_url(re.compile("columns=p95_wait_time"))
    page.get_by_role("button", name="Keep these columns as mine").focus()
    press("Enter")
    page.get_by_text("These columns are yours").wait_for()
    one.open("/runs/")
    page.get_by_label("Sort by p95 wait").focus()
    press("Enter")
    page.wait_for_url(re.compile("sort=p95_wait_time"))
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("p95 wait")

    page.get_by_label("Choose split").focus()
    press("Space")
    page.get_by_placeholder("tag, tag").focus()
    page.keyboard.type("by hand")
    page.get_by_role("button", name="Tag", exact=True).focus()
    press("Enter")
    page.locator("a.tag", has_text="by hand").focus()
    press("Enter")
    page.wait_for_url(re.compile("tag=by%20hand"))
    assert page.locator("tbody th a").all_inner_texts() == ["split"]

    page.get_by_label("Choose split").focus()
    press("Space")
    page.get_by_role("button", name="Archive", exact=True).focus()
    press("Enter")
    page.get_by_text("Archived 1 run: out of sight, not deleted.").wait_for()
    assert page.locator("tbody th a").count() == 0
    page.get_by_role("button", name="Undo").focus()
    press("Enter")
    page.get_by_text("Restored 1 run.").wait_for()
    assert page.locator("tbody th a").all_inner_texts() == ["split"]
    page.get_by_role("button", name="Back to the usual ones").focus()
    press("Enter")
    page.get_by_label("Sort by Status").wait_for()


def test_a_clone_asks_for_the_run_again(visit):
    one = visit("/runs/2/", signed_in=True)
    one.page.get_by_role("link", name="Clone").click()
    one.page.wait_for_url(re.compile("clone=2"))
    assert one.page.input_value("#cluster") == "workstation"
    ticked = one.page.locator("input[name=policies]:checked")
    assert sorted(ticked.nth(number).input_value() for number in range(ticked.count())) == [
        "greedy",
        "oracle",
        "round_robin",
    ]


def test_the_search_leads_from_any_page_to_policies_and_jobs(visit):
    one = visit("/help/metrics/")
    one.page.keyboard.press("/")
    one.page.keyboard.type("sjf+e")
    one.page.keyboard.press("Enter")
    one.page.wait_for_url(re.compile("/search/"))
    assert one.page.locator("main a[href='/policies/sjf+easy/']").count() == 1
    one.open("/search/?q=5")
    one.page.get_by_role("link", name="Task 5").first.click()
    one.page.wait_for_url(re.compile("/runs/[12]/tasks/5/"))


def test_two_ticked_runs_are_compared(visit):
    one = visit("/runs/")
    one.page.check("input[name=runs][value='1']")
    one.page.check("input[name=runs][value='2']")
    one.page.click("text=Compare the ticked runs")
    one.page.wait_for_url(re.compile("/compare/"))
    assert "2 runs compared" in one.page.locator("h1").inner_text()


def test_downloads_hold_the_numbers_of_the_page(visit):
    one = visit("/runs/1/")
    table = one.page.request.get("/runs/1/leaderboard.csv")
    rows = list(csv.DictReader(table.text().splitlines()))
    assert {row["scheduler"] for row in rows} == {"fcfs", "fcfs+easy", "sjf", "sjf+easy"}
    assert all(int(row["finished_count"]) == 600 for row in rows)
    chart = json.loads(one.page.request.get("/runs/1/charts/completion.json").text())
    assert len(chart["series"]) == 4
    assert all(series["y"][-1] == 1 for series in chart["series"])


@needs_charts
@pytest.mark.parametrize(("kind", "begins"), [("PNG", b"\x89PNG"), ("SVG", b"<svg")])
def test_a_chart_is_saved_as_a_picture(visit, tmp_path, kind, begins):
    one = visit("/runs/1/")
    with one.page.expect_download() as download:
        one.page.locator("#chart-completion .tools button", has_text=kind).click()
    assert download.value.suggested_filename == f"main-completion-times.{kind.lower()}"
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.read_bytes().startswith(begins)


def test_colours_follow_the_system_and_the_switch(visit):
    dark, light = visit(color_scheme="dark"), visit(color_scheme="light")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    for one in (dark, light):
        one.open("/runs/1/")
    assert dark.page.evaluate(background) != light.page.evaluate(background)
    before = light.page.evaluate(background)
    light.page.click("[data-theme-switch] button")
    assert light.page.evaluate(background) == dark.page.evaluate(background)
    light.open("/policies/")
    assert light.page.evaluate(background) == dark.page.evaluate(background)
    light.page.click("[data-theme-switch] button")
    assert light.page.evaluate(background) == before


def test_the_keyboard_alone_reaches_search_help_and_a_run(visit):
    one = visit("/")
    one.page.keyboard.press("?")
    assert one.page.locator("dialog").is_visible()
    one.page.keyboard.press("Escape")
    assert not one.page.locator("dialog").is_visible()
    one.page.keyboard.press("/")
    one.page.keyboard.type("main")
    one.page.keyboard.press("Enter")
    one.page.wait_for_url(re.compile(r"/search/\?q=main"))
    for _ in range(60):
        one.page.keyboard.press("Tab")
        if one.page.evaluate("document.activeElement.getAttribute('href')") == "/runs/1/":
            break
    one.page.keyboard.press("Enter")
    one.page.wait_for_url(re.compile(r"/runs/1/$"))


def test_an_upload_becomes_a_workload_with_its_audit(visit, tmp_path):
    trace = tmp_path / "tiny.swf.gz"
    lines = "".join(f"{n} {n * 10} -1 60 4 -1 -1 4 120 -1 1 1 1 -1 1 -1 -1 -1\n" for n in range(1, 41))
    trace.write_bytes(gzip.compress(f"; MaxProcs: 16\n{lines}broken line\n".encode()))
    one = visit("/workloads/upload/", signed_in=True)
    one.page.set_input_files("#file", trace)
    one.page.click("main button.primary")
    one.page.wait_for_selector("text=40 tasks are stored as")
    one.page.click("text=Look at it")
    one.page.wait_for_url(re.compile("/workloads/[0-9]+/"))
    assert "lines that do not hold the numbers they should" in one.page.locator("main").inner_text()


def test_a_file_that_is_no_trace_is_refused_in_words(visit, tmp_path):
    (tmp_path / "letter.swf").write_text("Dear scheduler,\n")
    one = visit("/workloads/upload/", signed_in=True)
    one.page.set_input_files("#file", tmp_path / "letter.swf")
    one.page.click("main button.primary")
    one.page.wait_for_selector(".fault")
    assert "Nothing was stored" in one.page.locator(".fault").inner_text()


def test_a_run_is_started_from_its_form_and_finishes(visit):
    one = visit("/runs/new/?workload=1", signed_in=True)
    one.page.fill("#cluster", "hpc-64")
    one.page.fill("#name", "from the form")
    one.page.click("text=Start the run")
    one.page.wait_for_url(re.compile("/runs/[0-9]+/"))
    one.page.wait_for_selector("#leaderboard")
    assert one.page.locator("[data-status]").inner_text() == "finished"


def test_the_form_of_a_new_run_says_what_is_wrong(visit):
    one = visit("/runs/new/", signed_in=True)
    one.page.fill("#cluster", "hpc-none")
    with one.page.expect_navigation():
        one.page.click("text=Start the run")
    assert "There is no cluster preset" in one.page.locator(".fault").inner_text()
    one.errors.clear()  # The browser logs the status 400 itself.


def test_the_race_is_live_can_be_paused_and_ends_with_its_figures(visit, site):
    run = ("runsimulation", "--workload", "lublin", "--cluster", "hpc-64", "--policies", "fcfs,sjf+easy")
    one = visit(signed_in=True)
    process = site.launch(*run, "--name", "race", "--rate", "60")
    try:
        for _ in range(120):
            one.open("/runs/?q=race")
            if one.page.locator("main a", has_text="race").count():
                break
            one.page.wait_for_timeout(500)
        one.page.locator("tbody a", has_text="race").first.click()
        page = one.page
        page.wait_for_selector("[data-live-state][data-state=live]")
        page.wait_for_selector("[data-race] tr [data-cell=rank]:text-is('1')")
        page.wait_for_selector("#race-queue_length:has-text('Now')")
        with page.expect_download() as download:
            page.locator("[data-race-chart=queue_length] .tools button", has_text="CSV").click()
        rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
        assert {row["scheduler"] for row in rows} == {"fcfs", "sjf+easy"}
        page.click("[data-command=pause]")
        page.wait_for_selector("[data-status]:text-is('paused')")
        page.wait_for_selector("[data-command=resume]:visible")
        page.wait_for_selector("[data-live-state][data-state=live]")
        page.click("[data-command=resume]")
        page.wait_for_selector("[data-status]:text-is('running')")
        page.wait_for_selector("#leaderboard")
        assert page.locator("[data-status]").inner_text() == "finished"
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_a_finished_race_can_be_watched_again(visit):
    one = visit("/runs/1/")
    one.page.click("[data-replay]")
    one.page.wait_for_selector("#race [data-progress-words]:has-text('Replay')")
    one.page.wait_for_selector("[data-race] tr [data-cell=rank]:text-is('1')")


def test_somebody_signs_in_makes_a_token_deletes_it_and_signs_out(visit):
    one = visit()
    one.sign_in()
    one.open("/accounts/")
    one.page.get_by_label("Name").fill("a notebook")
    one.page.get_by_label("Valid for").select_option("a week")
    one.page.get_by_role("button", name="Make a token").click()
    key = one.page.locator("div.notice code").text_content()
    assert len(key) == 40
    one.page.get_by_role("button", name="Delete a notebook").click()
    one.page.get_by_text("The token a notebook is deleted.").wait_for()
    assert key not in one.page.content()
    one.page.get_by_role("main").get_by_role("button", name="Sign out").click()
    one.page.get_by_role("link", name="Sign in").wait_for()
