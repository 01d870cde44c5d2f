"""What is cited for policies, models and traces: nothing is without a source, and no source is without a use."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.generators import FITTED, GENERATORS
from scheduler_sim.engine.policies import READY_MADE
from scheduler_sim.engine.policies.backfill import BACKFILLS
from scheduler_sim.engine.policies.order import ORDERS
from scheduler_sim.engine.policies.order import YOUR_OWN as OWN
from scheduler_sim.engine.policies.placement import PLACEMENTS
from scheduler_sim.engine.policies.preemption import PREEMPTIONS
from scheduler_sim.engine.references import entries, references, sources, sources_of_log, sources_of_policy
from scheduler_sim.engine.traces import FORMATS

REGISTRIES: dict[str, Any] = {
    "orders": ORDERS,
    "backfills": BACKFILLS,
    "placements": PLACEMENTS,
    "preemptions": PREEMPTIONS,
    "models": GENERATORS | FITTED,
}


def built_in(kind: str) -> set[str]:
    """Return the registered names without those that another test's policies may have left."""
    registry = REGISTRIES[kind]
    if kind == "models":
        return set(registry)
    return {part.name for part in registry if kind != "orders" or part.source != OWN}


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_registered_part_has_a_source(kind: str) -> None:
    assert set(sources()[kind]) == built_in(kind)
    without = {name for name, keys in sources()[kind].items() if not keys}
    assert without <= {"none"}


@pytest.mark.parametrize("kind", ["orders", "placements", "backfills"])
def test_the_year_that_a_part_names_is_that_of_its_source(kind: str) -> None:
    for part in REGISTRIES[kind]:
        if part.name not in sources()[kind]:
            continue
        of_parameters = [keys for name, keys in sources()["parameters"].items() if name.startswith(f"{part.name}(")]
        cited = "\n".join(entries()[key] for key in every_key([sources()[kind][part.name], *of_parameters]))
        years = set(re.findall(r"\b(?:19|20)\d\d\b", part.source))
        assert years <= set(re.findall(r"year = \{(\d{4})\}", cited)), part.name


def every_key(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
        return
    for value in found.values() if isinstance(found, dict) else found:
        yield from every_key(value)


def test_every_entry_is_cited_for_something_and_nothing_else_is() -> None:
    assert set(every_key(sources())) == set(entries())


def test_every_entry_is_whole() -> None:
    for key, text in entries().items():
        assert text.count("{") == text.count("}"), key
        assert text.endswith("\n}"), key
        assert text.isascii(), key
        needed = ["author", "title"] + ([] if key == "schedulersim" else ["year"])
        assert all(f"  {field} = {{" in text for field in needed), key


def test_formats_are_those_that_can_be_read() -> None:
    assert set(sources()["formats"]) <= set(FORMATS)


def test_a_policy_cites_its_parts() -> None:
    assert sources_of_policy("sjf+easy") == ["conway1967", "lifka1995"]
    assert sources_of_policy("fcfs+easy(order=sjf)") == ["conway1967", "lifka1995", "tsafrir2007"]
    assert sources_of_policy("wfp3+conservative@fgd") == ["tang2009", "mualem2001", "weng2023"]
    assert sources_of_policy("hybrid_ml") == ["conway1967", "graham1966", "ke2017"]
    assert sources_of_policy("learned:night.3+easy") == ["hansen2001", "lifka1995"]
    assert sources_of_policy("fcfs~suspend") == ["conway1967", "schedulersim"]
    assert sources_of_policy("somebodys_own") == []
    assert all(map(sources_of_policy, READY_MADE))


def test_a_log_cites_its_archive() -> None:
    nasa = sources_of_log("swf", "NASA-iPSC-1993-3.1-cln.swf.gz", {})
    assert nasa == ["chapin1999", "feitelson1995", "feitelson2014"]
    told = {"Information": "http://www.cs.huji.ac.il/labs/parallel/workload/"}
    assert sources_of_log("swf", "renamed.swf", told) == ["chapin1999", "feitelson2014"]
    assert sources_of_log("openb", "pods.csv", {}) == ["weng2023"]
    assert sources_of_log("sacct", "ours.txt", told) == []


def test_a_file_of_references_holds_each_once() -> None:
    text = references(["lifka1995", "conway1967", "lifka1995"])
    assert re.findall(r"@\w+\{(\w+),", text) == ["conway1967", "lifka1995"]
    with pytest.raises(InvalidParameter, match="reference"):
        references(["nobody1900"])
