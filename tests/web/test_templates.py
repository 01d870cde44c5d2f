"""The templates as text: addresses come from their names, and a line holds one element."""

import ast
import re
from pathlib import Path

import pytest
from django.urls import NoReverseMatch, get_resolver

from tests.conftest import ROOT

TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SCRIPTS = sorted((ROOT / "static/js").rglob("*.js"))
CODE = [
    path
    for folder in ("apps", "scheduler_sim")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.stem not in ("settings", "errors") and "migrations" not in path.parts
]
"""Settings and errors tell the API's requests from others by their prefix."""

WRITTEN_OUT = re.compile(r"""["'`]/[a-z][\w/{}$.-]*["'`?#]|(?:href|action|source)="/""")
"""A text in quotes that begins with a slash: an address on this site that was not made from its name."""

BLOCKS = "address|article|dd|details|div|dl|dt|figcaption|figure|footer|form|h[1-6]|header|li|main|nav|ol|option|p|pre"
BLOCKS += "|section|select|summary|table|tbody|td|th|thead|tr|ul"
OPENING = re.compile(rf"<(?:{BLOCKS})\b")
TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_no_template_writes_an_address_out(path):
    text = TAG.sub("x", path.read_text())
    assert [line.strip() for line in text.splitlines() if WRITTEN_OUT.search(line)] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_a_line_of_a_template_opens_one_element_and_is_not_long(path):
    text = re.sub(r"<pre.*?</pre>", "<pre>", path.read_text(), flags=re.DOTALL)
    crowded = [line for line in text.splitlines() if len(OPENING.findall(line)) > 1 or len(line) > 120]
    assert crowded == []


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_no_script_writes_an_address_out(path):
    lines = (line for line in path.read_text().splitlines() if not line.lstrip().startswith("//"))
    assert [line.strip() for line in lines if WRITTEN_OUT.search(line)] == []


def beginnings(patterns=None):
    """Return the first parts of the addresses of all pages."""
    patterns = get_resolver().url_patterns if patterns is None else patterns
    nested = {part for one in patterns if not str(one.pattern) for part in beginnings(getattr(one, "url_patterns", []))}
    return {str(one.pattern).split("/")[0] for one in patterns if "/" in str(one.pattern)} | nested


def test_no_code_writes_an_address_out():
    known = beginnings()
    assert {"api", "learn", "runs", "sites"} <= known
    prefixes = re.compile(rf"/(?:{'|'.join(sorted(known))}|ws)/")
    found = [
        f"{name(path)}: {node.value}"
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and prefixes.match(node.value)
    ]
    assert found == []


def test_the_check_finds_an_address_that_is_written_out():
    assert WRITTEN_OUT.search('<a href="/runs/7/">')
    assert WRITTEN_OUT.search('<a href="/">')
    assert WRITTEN_OUT.search("fetch(`/api/v1/imports/${number}/`)")
    assert not WRITTEN_OUT.search(TAG.sub("x", """<a href="{% url 'run-list' %}?q=1">"""))


def test_every_route_named_in_a_template_exists():
    known = set(get_resolver().reverse_dict)
    for path in TEMPLATES:
        for route in re.findall(r"\{% (?:url|crumbs|chart_source|downloads) '([\w:-]+)'", path.read_text()):
            space, _, plain = route.rpartition(":")
            resolver = get_resolver()
            try:
                for part in filter(None, space.split(":")):
                    resolver = resolver.namespace_dict[part][1]
            except KeyError as error:
                raise NoReverseMatch(f"{name(path)}: {route}") from error
            assert plain in (known if not space else set(resolver.reverse_dict)), f"{name(path)}: {route}"
