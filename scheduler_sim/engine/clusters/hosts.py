"""Names of nodes as Slurm writes them: `n[001-128,200],login1,rack[1-2]node[01-16]`."""

import re
from collections.abc import Iterable
from itertools import groupby, product

from scheduler_sim.engine.errors import InvalidCluster

LARGEST_NODES = 1_000_000
"""Beyond this a description is taken for a slip of the pen."""

_PIECE = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_LAST_NUMBER = re.compile(r"(.*?)([0-9]*)$", re.DOTALL)


def expand_hosts(text: str, *, most: int = LARGEST_NODES) -> list[str]:
    """Return the names that a host list stands for, in its order; none for an empty text.

    Args:
        text: names separated by commas; each bracket holds numbers and ranges, whose width in digits is kept.
        most: names; a short text may stand for very many.

    Raises:
        InvalidCluster: brackets that do not match, a range that is none or runs backwards, or more than `most` names.
    """
    names: list[str] = []
    for word in _words(text):
        parts = []
        for brackets, plain in _PIECE.findall(word):
            parts.append([plain] if plain else _numbers(brackets, text, most))
        count = 1
        for part in parts:
            count *= len(part)
        if len(names) + count > most:
            raise InvalidCluster(f"The host list {_shown(text)} stands for more than {most:,} nodes.")
        names.extend("".join(chosen) for chosen in product(*parts))
    return names


def most_named(nodes: int) -> int:
    """Return how many names a host list may stand for among so many nodes: each several times, as those of sets do."""
    return 100 * (nodes + 10)


def fold_hosts(names: Iterable[str]) -> str:
    """Return the shortest usual host list of names, in their order: runs of numbers of one prefix become ranges."""
    words = []
    for (prefix, width), group in groupby(map(split_host, names), key=lambda split: split[:2]):
        numbers = [number for *_, number in group]
        if width == 0:
            words.extend([prefix] * len(numbers))
            continue
        ranges = [f"{first:0{width}}" + (f"-{last:0{width}}" if last > first else "") for first, last in _runs(numbers)]
        single = len(ranges) == 1 and "-" not in ranges[0]
        words.append(f"{prefix}{ranges[0]}" if single else f"{prefix}[{','.join(ranges)}]")
    return ",".join(words)


def _words(text: str) -> list[str]:
    """Split at the commas outside of brackets."""
    words, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if depth not in (0, 1):
            break
        if letter == "," and depth == 0:
            words.append(text[begin:place])
            begin = place + 1
    if depth != 0:
        raise InvalidCluster(f"The brackets of the host list {_shown(text)} do not match.")
    words.append(text[begin:])
    return [word.strip() for word in words if word.strip()]


def _numbers(brackets: str, text: str, most: int) -> list[str]:
    numbers: list[str] = []
    for piece in brackets.split(","):
        found = _RANGE.fullmatch(piece.strip())
        if found is None:
            raise InvalidCluster(f"The host list {_shown(text)} holds {piece.strip()!r}, which is no range of numbers.")
        first, last = found[1], found[2] or found[1]
        if int(last) < int(first):
            raise InvalidCluster(f"The host list {_shown(text)} holds the range {first}-{last}, which runs backwards.")
        if len(numbers) + int(last) - int(first) >= most:
            raise InvalidCluster(f"The host list {_shown(text)} stands for more than {most:,} nodes.")
        numbers.extend(f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1))
    return numbers


def split_host(name: str) -> tuple[str, int, int]:
    """Return the prefix, how many digits follow it, and their number."""
    found = _LAST_NUMBER.fullmatch(name)
    digits = found[2] if found else ""
    return name[: len(name) - len(digits)], len(digits), int(digits or 0)


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
