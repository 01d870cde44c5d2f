"""The documentation is built without a warning, needs no other host, and tells people to type what is understood."""

import argparse
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from apps.studies.definition import Definition
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built documentation; unknown links and anchors are warnings, and a warning is an error.

    Not `--quiet`: warnings that are not shown are not counted.
    """
    folder = tmp_path_factory.mktemp("documentation")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Asked(HTMLParser):
    """What a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in LOADED and "canonical" not in (given.get("rel") or ""):
            self.addresses.append(given.get(LOADED[tag]) or "")


def test_a_page_is_read_without_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        asked = Asked()
        asked.feed(page.read_text())
        foreign = [one for one in asked.addresses if re.match(r"(https?:)?//", one)]
        assert not foreign, (page.name, foreign)
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.findall(r"url\(\s*[\"']?(?:https?:)?//", styles)


def test_the_reference_is_made_of_the_docstrings_and_can_be_searched(site: Path) -> None:
    page = (site / "reference.html").read_text()
    for name in ("read", "generate", "play", "compare", "study", "scoring", "deciding", "EngineError"):
        assert re.search(rf'id="scheduler_sim\.engine\.[\w.]*\.{name}"', page), name
    assert "Draw which part of the tasks has at most so large a figure" in page
    assert "reference.html" in (site / "search/search_index.json").read_text()


def test_every_notebook_has_a_page(site: Path) -> None:
    for notebook in (ROOT / "examples").glob("*.ipynb"):
        assert "sim.play(" in re.sub(r"<[^>]*>", "", (site / f"notebooks/{notebook.stem}.html").read_text())


@pytest.mark.parametrize("name", ["tutorial", "howto/paper", "howto/study"])
def test_the_code_of_a_page_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / f"docs/{name}.md").read_text(), re.DOTALL)
    assert blocks
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)


def test_every_study_that_the_documentation_shows_is_one() -> None:
    blocks = [block for page in PAGES for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)]
    studies = [yaml.safe_load(block) for block in blocks if re.search("^workloads:", block, re.MULTILINE)]
    assert len(studies) > 1
    for study in studies:
        assert Definition.from_json(study).policies


def typed() -> list[tuple[str, list[str]]]:
    """Return where the pages have people call manage.py, and with which words."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```[a-z]*\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                for part in re.split(r"&&|;|\|(?= )", line.split(" # ")[0]):
                    if " manage.py " in f" {part.strip()}".replace("$", " "):
                        words = shlex.split(re.sub(r"[\[\]()|]", " ", part.split("manage.py ", 1)[1]))
                        found.append((f"{page.relative_to(ROOT)}: {part.strip()}", words))
    return found


@pytest.mark.parametrize("name", sorted({words[0] for _, words in typed()}))
def test_every_command_that_the_documentation_shows_exists_and_knows_its_options(name: str) -> None:
    assert name in get_commands(), [where for where, words in typed() if words[0] == name]
    application = get_commands()[name]
    command = load_command_class(application, name) if isinstance(application, str) else application
    parser = command.create_parser("manage.py", name)
    known = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            known |= {option for one in action.choices.values() for option in one._option_string_actions}
    for where, words in typed():
        if words[0] == name:
            unknown = [word for word in words[1:] if word.startswith("--") and word.split("=")[0] not in known]
            assert not unknown, (where, unknown)
