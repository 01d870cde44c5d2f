"""Whose turn it is: work that waits for a free process, fairly by user."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Waiting:
    """A job that waits.

    Attributes:
        key: its primary key; lower ones were asked for earlier.
        kind: what sort of work it is.
        user: who asked for it, None for nobody known.
    """

    key: int
    kind: str
    user: int | None


@dataclass(frozen=True)
class Busy:
    """What is under way, and who had a turn when.

    Attributes:
        users: jobs under way of each user.
        kinds: jobs under way of each kind.
        turns: the number of each user's latest start; whoever never started has none.
    """

    users: Mapping[int | None, int]
    kinds: Mapping[str, int]
    turns: Mapping[int | None, int]


def in_order(waiting: Iterable[Waiting], busy: Busy) -> list[Waiting]:
    """Return the jobs in the order in which they will start.

    Next is one of the user with the fewest jobs under way; among equals, of the one whose last turn is longest ago; of
    that user the one asked for first. So users take turns, however many jobs one of them has asked for.
    """
    users, turns = Counter(busy.users), dict(busy.turns)
    queues: dict[int | None, list[Waiting]] = {}
    for job in sorted(waiting, key=lambda job: -job.key):
        queues.setdefault(job.user, []).append(job)
    turn = max(turns.values(), default=0)
    order = []
    while queues:
        user = min(queues, key=lambda user: (users[user], turns.get(user, 0), queues[user][-1].key))
        order.append(queues[user].pop())
        if not queues[user]:
            del queues[user]
        turn += 1
        turns[user] = turn
        users[user] += 1
    return order


def first_to_start(waiting: Iterable[Waiting], busy: Busy, *, at_once: Mapping[str, int]) -> Waiting | None:
    """Return the job that starts next, passing over kinds of which as many are under way as may be at once."""
    full = {kind for kind, most in at_once.items() if busy.kinds.get(kind, 0) >= most}
    order = in_order((job for job in waiting if job.kind not in full), busy)
    return order[0] if order else None
