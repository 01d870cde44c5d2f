"""The users of the benchmark of the web tier."""

import socket
import time
from collections import defaultdict

from benchmarks.web_tier import use


def test_a_user_counts_what_fails_and_goes_on():
    with socket.socket() as nobody:
        # Bound, and not listening: every connection is refused.
        nobody.bind(("127.0.0.1", 0))
        took: dict[str, list[float]] = defaultdict(list)
        wrong: list[str] = []
        use(nobody.getsockname()[1], 0.0, 1, time.monotonic() + 0.02, took, wrong)
    assert len(wrong) == sum(map(len, took.values())) > 1
    assert all(one.endswith("ConnectionRefusedError") for one in wrong)
