"""How many cases the tests play that compare with slow simulators or draw at random."""

import os
from math import ceil

DEPTH = float(os.environ.get("TEST_DEPTH", "1"))
"""How many times as many as usual. By default every policy and every kind of case is met, each a few times."""


def cases(usual: int) -> int:
    """Return how many cases to play where this many are usual."""
    return max(1, ceil(usual * DEPTH))
