"""Users take turns, and nobody waits for ever."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from scheduler_sim.background.queue import Busy, Waiting, first_to_start, in_order

NOBODY = Busy(users={}, kinds={}, turns={})


def jobs(*users: int | None) -> list[Waiting]:
    return [Waiting(key, "run", user) for key, user in enumerate(users, start=1)]


def keys(waiting: list[Waiting]) -> list[int]:
    return [job.key for job in waiting]


def next_of(waiting: list[Waiting], busy: Busy, at_once: dict[str, int] | None = None) -> Waiting:
    job = first_to_start(waiting, busy, at_once=at_once or {})
    assert job is not None
    return job


def test_what_one_user_asked_for_starts_in_that_order() -> None:
    assert keys(in_order(jobs(1, 1, 1), NOBODY)) == [1, 2, 3]


def test_somebody_who_asks_for_one_does_not_wait_for_somebody_who_asked_for_many() -> None:
    assert keys(in_order(jobs(1, 1, 1, 1, 2), NOBODY)) == [1, 5, 2, 3, 4]


def test_a_turn_that_was_had_counts_when_only_one_may_run() -> None:
    after_the_first = Busy(users={}, kinds={}, turns={1: 1})
    assert next_of(jobs(1, 1, 2), after_the_first).user == 2


def test_whoever_has_least_under_way_is_next() -> None:
    busy = Busy(users={1: 2, 2: 1}, kinds={}, turns={1: 2, 2: 3})
    assert next_of(jobs(1, 2), busy).user == 2


def test_a_kind_of_which_enough_is_under_way_lets_others_pass() -> None:
    waiting = [Waiting(1, "import", 1), Waiting(2, "run", 1)]
    busy = Busy(users={1: 2}, kinds={"import": 2}, turns={1: 1})
    assert next_of(waiting, busy, {"import": 2}).key == 2
    assert first_to_start(waiting[:1], busy, at_once={"import": 2}) is None


@given(
    st.lists(st.sampled_from([None, 1, 2, 3]), max_size=30),
    st.dictionaries(st.sampled_from([1, 2, 3]), st.integers(1, 9)),
)
def test_every_job_has_one_place_and_no_user_is_two_turns_ahead(
    users: list[int | None], turns: dict[int | None, int]
) -> None:
    order = in_order(jobs(*users), Busy(users={}, kinds={}, turns=turns))
    assert sorted(keys(order)) == list(range(1, len(users) + 1))
    left = Counter(users)
    had: Counter[int | None] = Counter()
    for job in order:
        # Nobody who still waits has had fewer turns than the one who is next.
        assert all(had[job.user] <= had[user] for user, count in left.items() if count)
        had[job.user] += 1
        left[job.user] -= 1


@given(st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=12))
def test_one_process_serves_in_the_order_that_was_told(users: list[int]) -> None:
    waiting = jobs(*users)
    told = keys(in_order(waiting, NOBODY))
    turns: dict[int | None, int] = {}
    served = []
    while waiting:
        job = next_of(waiting, Busy(users={}, kinds={}, turns=turns))
        waiting.remove(job)
        served.append(job.key)
        turns[job.user] = len(served)
    assert served == told
