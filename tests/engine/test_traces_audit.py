"""An audit that says nothing of a file whose values were changed or guessed would be a lie."""

import io
import random
from typing import Any

import pytest

from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.traces import Trace, read_trace
from scheduler_sim.engine.traces.audit import EXAMPLES, REASONS, Audit

COLUMNS = ("task_id", "arrival_time", "runtime", "cpus", "gpus", "memory_mb", "duration_estimate", "compute_intensity")
ODD = (
    *("", "nan", "none", "unknown", "x", "few", "1_0", "0x1", "1,5", "-1", "-7", "-0.5", "inf", "1e400", "1e30"),
    *("02:03", "1-02:03:04", "00:10:00", "90 min", "16G", "2.5", "9007199254740993", "2024-01-01", "7.0", "TRUE"),
)


CLOCKS = {"1-02:03:04": 93_784.0, "00:10:00": 600.0}
"""Texts with one meaning, which need no word in the audit."""


def number(text: str) -> float | None:
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def duration(text: str) -> float | None:
    return CLOCKS.get(text, number(text))


def stored(trace: Trace) -> list[dict[str, Any]]:
    """Return what of each task can be compared with the file, by column; an unknown value is None."""
    tasks = trace.workload
    columns = {name: getattr(tasks, name).tolist() for name in COLUMNS}
    columns["duration_estimate"] = [
        value if known else None
        for value, known in zip(columns["duration_estimate"], tasks.estimate_known.tolist(), strict=True)
    ]
    # Zero is the workload's own word for memory that is not known.
    columns["memory_mb"] = [value or None for value in columns["memory_mb"]]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def is_silent(audit: Audit) -> bool:
    return not (audit.dropped or audit.repaired or audit.noticed)


def unsaid(row: dict[str, str], task: dict[str, Any]) -> list[str]:
    """Return the columns whose stored value is not the one that the file holds."""
    wrong = []
    for name in COLUMNS:
        given = number(row[name]) if name not in ("runtime", "duration_estimate") else duration(row[name])
        unknown = given is None or given != given
        stated = row[name].lower() not in ("", "nan", "none", "unknown")
        if task[name] != (None if unknown else given) or (stated and unknown):
            wrong.append(name)
    return wrong


def test_what_differs_from_the_file_is_in_the_audit() -> None:
    generator = random.Random(8)
    silent = 0
    for _ in range(600):
        rows = []
        for task in range(1, generator.randint(2, 5)):
            row = dict(zip(COLUMNS, map(str, (task, task - 1, 60, 2, 1, 64, 90, 0.5)), strict=True))
            if generator.random() < 0.3:
                row[generator.choice(COLUMNS)] = generator.choice(ODD)
            rows.append(row)
        quoted = [",".join(f'"{row[name]}"' for name in COLUMNS) for row in rows]
        text = ",".join(COLUMNS) + "\n" + "\n".join(quoted) + "\n"
        try:
            trace = read_trace(io.BytesIO(text.encode()), name="jobs.csv", format="csv")
        except EngineError:
            continue
        if not is_silent(trace.audit):
            continue
        silent += 1
        kept = stored(trace)
        assert len(kept) == len(rows)
        by_number = {task["task_id"]: task for task in kept}
        for row in rows:
            assert unsaid(row, by_number[int(float(row["task_id"]))]) == [], text
    assert silent > 50, "the test must see files about which there is nothing to say"


SWF_FIELDS = ["1", "0", "5", "60", "2", "-1", "64", "2", "90", "64", "1", "3", "4", "-1", "5", "-1", "-1", "-1"]


def test_what_differs_from_an_swf_line_is_in_the_audit() -> None:
    generator = random.Random(9)
    silent = 0
    for _ in range(600):
        fields = SWF_FIELDS.copy()
        if generator.random() < 0.7:
            fields[generator.choice((0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 14))] = generator.choice(
                ("-1", "-7", "x", "1_0", "nan", "inf", "0", "7", "2.5", "1e30", "5")
            )
        text = " ".join(fields)
        try:
            trace = read_trace(io.BytesIO(f"{text}\n".encode()), name="a.swf", format="swf")
        except EngineError:
            continue
        if not is_silent(trace.audit):
            continue
        silent += 1
        tasks = trace.workload
        read = [number(text) for text in fields]
        values = [value for value in read if value is not None and (value >= 0 or value == -1)]
        assert values == read, text
        assert tasks.task_id[0] == values[0]
        assert tasks.arrival_time[0] == values[1]
        assert tasks.runtime[0] == values[3]
        assert tasks.cpus[0] == (values[7] if values[7] > 0 else values[4])
        assert tasks.duration_estimate[0] == values[8]
        assert tasks.user.texts()[0] == ("" if values[11] < 0 else f"{values[11]:g}")
    assert silent > 50, "the test must see lines about which there is nothing to say"


@pytest.mark.parametrize("kind", ["drop", "repair", "notice"])
def test_a_finding_keeps_some_examples_and_its_sentence_shows_them(kind: str) -> None:
    audit = Audit()
    getattr(audit, kind)("unreadable_value", list(range(1, 30)), [f"mem 'x{row % 7}'" for row in range(29)])
    (sentence,) = audit.sentences()
    assert f"{REASONS['unreadable_value']}: mem 'x0', mem 'x1'" in sentence
    stated = {**audit.as_json()["dropped"], **audit.as_json()["repaired"], **audit.as_json()["noticed"]}
    assert len(stated["unreadable_value"]["examples"]) == EXAMPLES
    assert stated["unreadable_value"]["count"] == 29


def test_a_finding_without_a_text_is_a_fault_of_the_reader() -> None:
    with pytest.raises(RuntimeError, match="no text in REASONS"):
        Audit().notice("odd", [1])
