"""The bundle for a paper: it compiles, its texts are harmless, it is the same each time, and it replays."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.metrics.models import Metric
from apps.results.models import Run, Study
from apps.studies.definition import Definition
from apps.studies.paper import parts
from apps.studies.paper import study as paper_of_study
from apps.studies.paper.bundle import Table
from apps.studies.paper.methods import methods
from apps.studies.paper.parts import manifests
from apps.studies.play.execution import study_play
from apps.tasks.models import Series
from scheduler_sim.display.latex import code, tex

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_this_process")]

HOSTILE = r"50% of $x_1$ & \input{/etc/passwd} #~^ “Zoë” àáâãāăȧåőčçą 漢 <b>|{}"


def played(**changes: Any) -> Study:
    document = {
        "name": HOSTILE,
        "workloads": [{"generate": "lublin", "tasks": 80, "parameters": {"processors": 64}}],
        "load_factors": [0.8, 1.2],
        "clusters": ["hpc-64"],
        "policies": ["fcfs", "sjf+easy(order=sjf)", "wfp3+conservative"],
        "seeds": 2,
        "warmup": 0.1,
    }
    return study_play(Definition.from_json({**document, **changes})).study


def bundle(study: Study, query: str = "") -> bytes:
    answer = Client().get(f"/studies/{study.pk}/paper.zip{query}")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/zip"
    return answer.content


def files_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def has_tex() -> bool:
    if not all(map(shutil.which, ("pdflatex", "bibtex", "kpsewhich"))):
        return False
    return subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, timeout=60, check=False).returncode == 0


def compiled(files: dict[str, bytes], folder: Path) -> str:
    """Return the log of a TeX engine and of BibTeX over a bundle; without both and booktabs the test is skipped.

    It fails instead when REQUIRE_TEX=1.
    """
    if not has_tex():
        reason = "No TeX engine is installed; `make tex` installs one."
        if os.environ.get("REQUIRE_TEX") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "main"]
    for command in (latex, ["bibtex", "main"], latex, latex):
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-3000:]
    return (folder / "main.log").read_text(errors="replace")


def refuse_figures_that_do_not_fit(files: dict[str, bytes], points: float) -> None:
    """Hold every figure to its width in points, with its fonts inside and without the time of day."""
    figures = [name for name in files if name.startswith("figures/")]
    assert {name.rpartition(".")[2] for name in figures} == {"pdf", "svg"}
    for name in figures:
        if name.endswith(".svg"):
            assert b"<text" in files[name]
            assert f'width="{points:g}pt"'.encode() in files[name]
            continue
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", files[name])
        assert box is not None
        assert float(box.group(1)) == pytest.approx(points)
        assert b"/FontFile2" in files[name]
        assert b"/CreationDate" not in files[name]


def test_a_bundle_of_hostile_texts_compiles_and_every_reference_is_found(tmp_path: Path) -> None:
    files = files_of(bundle(played()))
    refuse_figures_that_do_not_fit(files, 239.76)
    log = compiled(files, tmp_path)
    assert "undefined" not in log.lower().replace("undefined control sequence", "undefined")
    assert "Missing character" not in log
    assert (tmp_path / "main.pdf").stat().st_size > 10_000
    cited = set(re.findall(r"\\bibitem\{(\w+)\}", (tmp_path / "main.bbl").read_text()))
    assert cited == set(re.findall(r"@\w+\{(\w+),", files["references.bib"].decode()))
    assert cited >= {"lublin2003", "conway1967", "lifka1995", "tang2009", "mualem2001", "student1908", "holm1979"}


def test_the_paragraph_and_the_numbers_are_what_is_stored_each_time_in_the_same_bytes() -> None:
    study = played()
    Metric.objects.totals().filter(run__study=study).update(electricity_usd=-0.5499)
    content = bundle(study)
    assert content == bundle(study)
    files = files_of(content)
    text = files["methods.tex"].decode()
    assert r"Of all arrivals, the first 10\% were played and not scored." in text
    assert "Arrivals were made 0.8 and 1.2 times as dense" in text
    assert "There are 4 finished runs, of seed 1 and 2." in text
    assert "engine " in text
    assert r"80 tasks is of the model \texttt{lublin}~\cite{lublin2003}" in text
    assert "hpc-64" in text

    rows = list(csv.DictReader(io.StringIO(files["data/runs.csv"].decode())))
    run = Run.objects.get(study=study, study_point__load_factor=1.2, seed=2)
    stored = run.metrics.totals().get(scheduler="fcfs")
    [row] = [
        row
        for row in rows
        if (row["run"], row["policy"], row["figure"]) == (str(run.pk), "fcfs", "mean_bounded_slowdown")
    ]
    assert float(row["value"]) == stored.mean_bounded_slowdown
    assert (row["load_factor"], row["seed"], row["unit"]) == ("1.2", "2", "number")
    assert len({(row["run"], row["policy"], row["figure"]) for row in rows}) == len(rows)
    assert {row["value"] for row in rows if row["figure"] == "electricity_usd"} == {"-0.5499"}


def test_two_clusters_of_one_name_are_both_told() -> None:
    one, other = played(seeds=1).runs.order_by("pk").select_related("workload", "site")
    text = methods([one, other], lambda _cite: ()).text
    assert "Simulated cluster: hpc-64" in text
    assert text.count("hpc-64: ") == 1
    other.cluster = json.loads(json.dumps(other.cluster))
    other.cluster["groups"][0]["count"] += 1000
    text = methods([one, other], lambda _cite: ()).text
    assert "Simulated clusters: hpc-64" in text
    assert text.count("hpc-64: ") == 2
    other.cluster["groups"][0] = {**one.cluster["groups"][0], "power": "another"}
    assert " (2 that differ in more than this)." in methods([one, other], lambda _cite: ()).text


def test_manifests_read_a_series_once_and_a_page_holds_so_many_bytes_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    (tmp_path / "flat.csv").write_text("time,carbon_intensity\n0,100\n3600,200\n7200,100\n")
    call_command("importseries", str(tmp_path / "flat.csv"), kind="carbon", name="flat", stdout=io.StringIO())
    study = played(seeds=1)
    for run in study.runs.all():
        run.configuration["series"] = Series.objects.get().reference
        run.save(update_fields=["configuration"])
    runs = list(study.runs.select_related("workload", "site"))
    with CaptureQueriesContext(connection) as asked:
        of_one = manifests(runs[:1], is_bounded=True)
    with django_assert_num_queries(len(asked)):
        texts = manifests(runs, is_bounded=True)
    held = [json.loads(text)["series"] for text in texts.values()]
    assert [one["name"] for series in held for one in series] == ["flat", "flat"]
    assert of_one.items() < texts.items()

    monkeypatch.setattr(parts, "MOST_SERIES_BYTES", len(held[0][0]["packed"]))
    assert manifests(runs[:1], is_bounded=True) == of_one
    assert manifests(runs, is_bounded=False) == texts
    refused = Client().get(f"/studies/{study.pk}/paper.zip")
    assert refused.status_code == 400
    assert "bytes of step series" in refused.content.decode()


def test_a_study_along_nothing_has_a_figure_for_each_cell(tmp_path: Path) -> None:
    files = files_of(bundle(played(load_factors=[1.0])))
    assert {"figures/cell-1.pdf", "figures/cell-1.svg"} <= set(files)
    compiled(files, tmp_path)


# The thread that publishes the run would wait for the end of the test's transaction.
@pytest.mark.django_db(transaction=True)
def test_a_run_is_played_again_from_its_manifest(tmp_path: Path) -> None:
    files = files_of(bundle(played(seeds=1, load_factors=[1.0])))
    [name] = [name for name in files if name.startswith("manifests/")]
    (tmp_path / "run.json").write_bytes(files[name])
    out = io.StringIO()
    call_command("runsimulation", manifest=str(tmp_path / "run.json"), name="again", stdout=out)
    assert json.loads(files[name])["checksum"] == Run.objects.get(name="again").checksum


def test_the_command_writes_what_the_page_hands_out(tmp_path: Path) -> None:
    study = played(seeds=1)
    file = tmp_path / "paper.zip"
    call_command("exportreport", study=str(study.pk), bundle=str(file), width="double", stderr=io.StringIO())
    files = files_of(bundle(study, "?width=double"))
    assert files_of(file.read_bytes()) == files
    refuse_figures_that_do_not_fit(files, 504.0)
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("exportreport", study=str(study.pk), bundle=str(tmp_path / "no-such-folder/paper.zip"))


@pytest.mark.django_db(transaction=True)
def test_runs_side_by_side_have_a_bundle_too(tmp_path: Path) -> None:
    options = {"workload": "lublin", "cluster": "hpc-256", "stdout": io.StringIO(), "verbosity": 0}
    call_command("generateworkload", "lublin", tasks=100, name="lublin", stdout=io.StringIO())
    for number in (1, 2):
        call_command("runsimulation", policies="fcfs,sjf+easy", name=f"r_{number}", seed=number, **options)
    runs = ",".join(str(run.pk) for run in Run.objects.order_by("pk"))
    answer = Client().get("/compare/paper.zip", {"runs": runs})
    files = files_of(answer.content)
    assert {"figures/completion.pdf", "figures/intervals.pdf", "figures/tasks.pdf"} <= set(files)
    assert b"differences.csv" in files["README.md"]
    assert len(list(csv.reader(io.StringIO(files["data/differences.csv"].decode())))) == 4
    call_command("exportreport", compare=runs, bundle=str(tmp_path / "x.zip"), stderr=io.StringIO())
    assert files_of((tmp_path / "x.zip").read_bytes()) == files
    compiled(files, tmp_path)
    text = files["methods.tex"].decode()
    assert "Policies are compared with" in text
    assert "intervals are of Student's t" in text
    call_command("runsimulation", policies="fcfs", name="alone", **options)
    alone = Run.objects.get(name="alone")
    text = files_of(Client().get("/compare/paper.zip", {"runs": alone.pk}).content)["methods.tex"].decode()
    assert not re.search("compared|interval", text)
    with pytest.raises(CommandError, match="--compare needs --bundle"):
        call_command("exportreport", compare=runs)


def test_what_cannot_be_handed_out_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    study = played(seeds=1)
    client = Client()
    assert "width is one of single, double." in client.get(f"/studies/{study.pk}/paper.zip?width=9").content.decode()
    assert client.get("/compare/paper.zip?runs=999").status_code == 404
    monkeypatch.setattr(paper_of_study, "MOST_PLAYS", 5)
    refused = client.get(f"/studies/{study.pk}/paper.zip")
    assert refused.status_code == 400
    assert "6 plays, more than the 5" in refused.content.decode()
    study.runs.update(status="stopped")
    assert client.get(f"/studies/{study.pk}/paper.zip").status_code == 404


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("a_b & 5% #1 $2 ~ ^", r"a\_b \& 5\% \#1 \$2 \textasciitilde{} \textasciicircum{}"),
        ("Zoë Łódź", r"Zo\"{e} \L{}\'{o}d\'{z}"),
        ("漢\x07\u202e--", "U+6F22-{}-{}"),
        ("ą", "U+0105"),
    ],
)
def test_latex_shows_a_text_as_it_is(text: str, written: str) -> None:
    assert tex(text) == written


def test_a_long_name_may_be_broken_behind_its_marks() -> None:
    assert code("sjf+easy") == r"\texttt{sjf+\allowbreak{}easy}"


def test_a_long_table_goes_on_and_says_what_it_leaves_out() -> None:
    table = Table("", ("Policy", "Mean"), [("a", [("x", "1")] * 50), ("b", [("y", "2")] * 400)])
    pages = table.pages()
    assert sum(len(rows) for page in pages for _, rows in page) == 400
    assert table.left_out == 50
    assert all(sum(len(rows) for _, rows in page) <= 40 for page in pages)
    assert [title for title, _ in pages[1]] == ["a", "b"]
