"""Which nodes a task may use, by the features it asks for."""

import re
from collections.abc import Callable, Collection
from operator import and_, or_

from scheduler_sim.engine.errors import InvalidWorkload

_NAME = re.compile(r"[A-Za-z0-9_.:=-]+")


def satisfies(features: Collection[str], expression: str) -> bool:
    """Tell whether a node with `features` satisfies an expression of names with `&` (or a comma), `|` and brackets.

    `&` binds closer than `|`.

    Raises:
        InvalidWorkload: an expression of another form, as one that counts nodes.
    """
    names = set(features)
    text = re.sub(r"\s", "", expression)
    python = re.sub(r"[\[]", "(", text).replace("]", ")").replace(",", "&")
    tokens = re.findall(r"[A-Za-z0-9_.:=-]+|[&|()]|.", python)
    place = 0

    def peek() -> str:
        return tokens[place] if place < len(tokens) else ""

    def chain(sign: str, part: Callable[[], bool], join: Callable[[bool, bool], bool]) -> bool:
        nonlocal place
        found = part()
        while peek() == sign:
            place += 1
            found = join(found, part())
        return found

    def either() -> bool:
        return chain("|", lambda: chain("&", one, and_), or_)

    def one() -> bool:
        nonlocal place
        word = peek()
        place += 1
        if word == "(":
            found = either()
            place += 1
            if tokens[place - 1 : place] == [")"]:
                return found
        elif _NAME.fullmatch(word):
            return word in names
        raise InvalidWorkload(f"The features {expression!r} are no expression of names with &, | and brackets.")

    found = either()
    if place < len(tokens):
        raise InvalidWorkload(f"The features {expression!r} are no expression of names with &, | and brackets.")
    return found
