"""The reading of policy texts: `order[+backfill][@placement][~preemption]`, each with parameters in brackets.

Marks and commas inside brackets belong to the parameters: `fcfs+easy(order=sjf,depth=100)` is one policy of two parts.
"""

from dataclasses import dataclass

from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.pairs import read_pairs

SHAPE = "order[+backfill][@placement][~preemption]"

MARKS = {"+": "backfill", "@": "placement", "~": "preemption"}
"""What begins the parts behind the order, in the order in which they come."""


@dataclass(frozen=True)
class Written:
    """One part as it was written: its name, and its parameters' texts by name."""

    name: str
    parameters: dict[str, str]


def split_outside(text: str, mark: str) -> list[str]:
    """Cut `text` at every `mark` that stands outside brackets.

    Raises:
        InvalidPolicy: brackets that are not closed, or closed without having been opened.
    """
    pieces, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth not in (0, 1):
            break
        if letter == mark and not depth:
            pieces.append(text[begin:place])
            begin = place + 1
    if depth:
        raise InvalidPolicy(f"The brackets of {text!r} do not match.")
    return [*pieces, text[begin:]]


def read_parts(text: str) -> dict[str, Written]:
    """Return the parts of one policy by kind: `order` always, the others where they are written.

    Raises:
        InvalidPolicy: a text that is not of the shape above.
    """
    parts = {}
    rest = text
    for mark in reversed(MARKS):
        rest, *behind = split_outside(rest, mark)
        if len(behind) > 1:
            raise _not_a_policy(text)
        if behind:
            parts[MARKS[mark]] = _read_part(behind[0], text)
    return {"order": _read_part(rest, text), **parts}


def _read_part(part: str, whole: str) -> Written:
    part = part.strip()
    name, bracket, inside = part.partition("(")
    if not name or (bracket and not part.endswith(")")) or any(mark in name for mark in MARKS):
        raise _not_a_policy(whole)
    if not bracket:
        return Written(name.strip(), {})
    shape = f"{part!r} is not a part of a policy. Write parameters as {name}(name=value,...)."
    parameters = read_pairs(
        inside[:-1],
        malformed=lambda _: InvalidPolicy(shape),
        repeated=lambda key: InvalidPolicy(f"{part!r} gives {key} more than once."),
    )
    return Written(name.strip(), parameters)


def _not_a_policy(text: str) -> InvalidPolicy:
    return InvalidPolicy(f"{text!r} is not a policy. Write {SHAPE}, for example sjf+easy.")
