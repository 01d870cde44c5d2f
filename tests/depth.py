"""How many cases the tests play that compare with slow simulators or draw at random."""

import os
from math import ceil, floor
from zlib import crc32

DEPTH = float(os.environ.get("TEST_DEPTH") or 1)
"""How many times as many as usual. Usually each policy and kind of case that is met is played a few times."""


def cases(usual: int, variable: str = "") -> int:
    """Return how many cases to play where this many are usual, or how many the environment's variable asks for."""
    return int(os.environ.get(variable) or max(1, ceil(usual * DEPTH)))


def apart(usual: int) -> int:
    """Return how far apart the cases to play lie in a row of them where usually they lie so far apart."""
    return max(1, floor(usual / DEPTH))


def in_turn(name: str, count: int, worlds: int) -> list[int]:
    """Return the numbers of `count` cases: other ones of so many worlds for each name, so that all are met by some."""
    worlds = max(worlds, count)
    first = crc32(name.encode())
    return [(first + place) % worlds for place in range(count)]
