"""Passes that plan: Slurm's backfill loop, and EASY and conservative backfilling at every event."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.bounds import earliest_begin, free_for, skip_to
from scheduler_sim.engine.kernels.site.former import (
    begin_turn,
    begin_turns,
    end_turns,
    follows,
    former_bound,
    note_promise,
)
from scheduler_sim.engine.kernels.site.limits import over_amount, over_array, over_count
from scheduler_sim.engine.kernels.site.match import choose, enough, mark_chosen
from scheduler_sim.engine.kernels.site.passes import (
    FIRST,
    LIMITED,
    STARTED,
    covered_until,
    fits_now,
    shut,
    try_start,
    whole,
)
from scheduler_sim.engine.kernels.site.plan import begin_plan, collides, keep_promises, promise, slot_of
from scheduler_sim.engine.kernels.site.preempt import (
    all_yield,
    could_displace,
    forget_under,
    list_under,
    list_victims,
    mode_of,
)
from scheduler_sim.engine.kernels.site.priority import LEAD
from scheduler_sim.engine.kernels.site.queue import tidy
from scheduler_sim.engine.kernels.site.reasons import NO_REASON
from scheduler_sim.engine.kernels.site.state import (
    CHOSEN,
    HORIZON,
    LEAST_RESERVED,
    LOGGED,
    MODE,
    MOST_STARTS,
    NO_MODE,
    NOBODY,
    OWN_LOOPS,
    PASS,
    PASSES,
    PER_ASSOCIATION,
    PER_PARTITION,
    PER_USER,
    PLAN_DEPTH,
    PREEMPTION,
    PROMISED,
    QUEUE,
    RESOLUTION,
    SAVED,
    TRIED,
    VICTIMS,
    WAITING,
    WINDOW,
    WORDS,
    State,
)
from scheduler_sim.engine.kernels.site.will_run import will_run

GIVEN_UP, BEGUN_NOW, PLANNED = range(3)
"""What came of a task that was planned."""

NO_BOUND = 2**62
"""A number of tasks that bounds nothing."""

PLANNED_BY = -2
"""Less the number of a pass: of an ask by whose bound that pass has planned."""

MOST_OF_ARRAY = 20
"""Plans of one array in one pass (Slurm's bf_max_job_array_resv)."""


@inner_kernel
def plan_pass(s: State, now: float, keeping: int) -> None:
    """Plan every task in the order of the queue on named nodes, and start those whose time is now.

    Each keeps its place before those behind it; with `keeping` FIRST only the first of those whose partitions share
    nodes.
    """
    words = s.settings[WORDS]
    s.counts[PASSES] += 1
    instant = whole(s, now)
    s.clock[HORIZON] = _rounded(s, instant + s.reals[WINDOW])
    begin_plan(s, _rounded(s, instant))
    last = _last_to_start(s, _last_within_depth(s), -1, instant)
    if last < 0:
        return
    s.counts[PASS] += 1
    for w in range(words):
        s.kept_words[w] = 0
    tried = starts = 0
    counts_tries, is_followed = _bounds_tries(s), follows(s)
    if is_followed:
        begin_turns(s)
    parts = len(s.part_seen)
    i = -1
    while i < last:
        i += 1
        entry = s.queue_entries[i]
        row = s.entry_task[entry]
        t = s.site_tasks[row]
        if tried >= s.settings[PLAN_DEPTH]:
            break
        if t.state != WAITING or t.preempting == s.counts[PASS]:
            continue
        if is_followed:
            begin_turn(s, entry)
        part = s.kinds[s.entry_kind[entry]].part
        place = t.array * parts + part
        if t.array > 0:
            if s.array_rejected[place] == s.counts[PASS] or _plans_of(s, t.array) >= MOST_OF_ARRAY:
                continue
            s.array_rejected[place] = s.counts[PASS]
        reason = over_array(s, row)
        if reason == NO_REASON:
            reason = over_count(s, entry)
        if reason != NO_REASON:
            t.reason = reason
            continue
        if counts_tries and _has_enough(s, entry):
            continue
        tried += 1
        s.counts[TRIED] += 1
        # To divide takes longer than to compare.
        only_now = s.reals[LEAST_RESERVED] > 0.0 and s.entry_key[entry] % LEAD < s.reals[LEAST_RESERVED]
        if keeping == FIRST:
            for w in range(words):
                only_now = only_now or (s.kept_words[w] & s.part_masks[part * words + w]) != 0
        elif s.settings[MODE] != OWN_LOOPS:
            only_now = t.planned == s.counts[PASS]
        outcome = _plan(s, entry, now, only_now)
        if outcome != GIVEN_UP and t.array > 0:
            s.array_rejected[place] = 0
        if outcome == BEGUN_NOW:
            starts += 1
            if starts >= s.settings[MOST_STARTS]:
                break
        if outcome == PLANNED:
            t.planned = s.counts[PASS]
            if t.array > 0:
                s.array_planned[t.array] = (s.counts[PASS] << 8) + _plans_of(s, t.array) + 1
            if keeping == FIRST:
                for w in range(words):
                    s.kept_words[w] |= s.part_masks[part * words + w]
        if outcome != GIVEN_UP:
            last = _last_to_start(s, last, i, instant)
    if is_followed:
        end_turns(s)
    if starts > 0:
        tidy(s)


@inner_kernel
def _bounds_tries(s: State) -> bool:
    """Tell whether a pass tries so many tasks at most of a user, a partition or an association."""
    least = min(s.settings[PER_USER], s.settings[PER_PARTITION], s.settings[PER_ASSOCIATION])
    return bool(least < NO_BOUND)


@inner_kernel
def _last_within_depth(s: State) -> int:
    """Return a place in the queue behind which a pass tries nothing, as it has tried so many for certain before."""
    tried, place, queued, depth = 0, 0, s.counts[QUEUE], s.settings[PLAN_DEPTH]
    if queued <= depth or _bounds_tries(s):
        return int(queued - 1)
    while place < queued and tried < depth:
        entry = s.queue_entries[place]
        tried += s.entry_alone[entry] != 0 and s.site_tasks[s.entry_task[entry]].state == WAITING
        place += 1
    return int(place - 1)


@inner_kernel
def _last_to_start(s: State, last: int, done: int, instant: float) -> int:
    """Return the last place from `done` + 1 to `last` of an entry that may yet start in this pass, `done` for none.

    It needs nodes that offer it something now and are promised to nobody as long as it may run. What is planned behind
    the last one has no effect: plans are made anew by every pass.
    """
    while last > done:
        entry = s.queue_entries[last]
        row, kind = s.entry_task[entry], s.entry_kind[entry]
        if s.site_tasks[row].state == WAITING:
            if could_displace(s, row):
                return last
            is_known_not_to = s.kind_failed[kind] == s.part_version[s.kinds[kind].part]
            if not is_known_not_to and free_for(s, kind, instant + s.entry_limit[entry]) and fits_now(s, kind):
                return last
        last -= 1
    return last


@inner_kernel
def _rounded(s: State, time: float) -> float:
    resolution = s.reals[RESOLUTION]
    return float(np.floor(time / resolution) * resolution) if resolution > 0.0 else time


@inner_kernel
def _plans_of(s: State, array: int) -> int:
    """Return how many tasks of an array this pass has planned."""
    seen = s.array_planned[array]
    return int(seen & 255) if seen >> 8 == s.counts[PASS] else 0


@inner_kernel
def _has_enough(s: State, entry: int) -> bool:
    """Count a task towards what a pass tries of its partition, association and user; tell whether that is too many."""
    t = s.site_tasks[s.entry_task[entry]]
    part, association = s.kinds[s.entry_kind[entry]].part, t.association + 1
    base = s.counts[PASS] << 32
    user = t.user if t.user >= 0 else len(s.user_seen) - 1
    s.user_seen[user] = max(s.user_seen[user], base)
    s.part_tried[part] = max(s.part_tried[part], base)
    s.association_seen[association] = max(s.association_seen[association], base)
    if (
        s.user_seen[user] - base >= s.settings[PER_USER]
        or s.part_tried[part] - base >= s.settings[PER_PARTITION]
        or s.association_seen[association] - base >= s.settings[PER_ASSOCIATION]
    ):
        return True
    s.user_seen[user] += 1
    s.part_tried[part] += 1
    s.association_seen[association] += 1
    return False


@inner_kernel
def _first_edge(s: State, begin: float) -> float:
    """Return when the first reservation from an instant on ends, in whole steps of the plan, and a second."""
    edge = np.inf
    for r in range(len(s.shut_until)):
        if s.shut_until[r] >= begin:
            edge = min(edge, s.shut_until[r])
    resolution = s.reals[RESOLUTION]
    if resolution > 0.0 and edge < np.inf:
        edge = np.ceil(np.floor(edge) / resolution) * resolution + 1.0
    return edge


@inner_kernel
def _bound(s: State, entry: int, instant: float, latest: float) -> float:
    """Return an instant before which no plan of an entry begins in this pass, infinity where it is after `latest`.

    An earlier one of this pass holds still. After a plan by it a later one is likely, and looked for from it on; mostly
    it is no later than the plan of the pass before.
    """
    ask = s.entry_ask[entry]
    if s.ask_bounded[ask] == s.counts[PASS]:
        return float(s.ask_bound[ask])
    bound, likely = instant, s.entry_planned[entry]
    if s.ask_bounded[ask] == PLANNED_BY - s.counts[PASS]:
        bound = s.ask_bound[ask]
    as_before = former_bound(s, entry, instant)
    if as_before > -np.inf:
        bound = max(bound, as_before)
    elif bound < likely < latest:
        by_likely = earliest_begin(s, entry, bound, likely)
        bound = earliest_begin(s, entry, likely, latest) if by_likely == np.inf else by_likely
    else:
        bound = earliest_begin(s, entry, bound, latest)
    s.ask_bounded[ask], s.ask_bound[ask] = s.counts[PASS], bound
    return float(bound)


@inner_kernel
def _plan(s: State, entry: int, now: float, only_now: bool) -> int:
    """Start an entry now, or promise it the nodes on which it can start first beside what is promised already."""
    words = s.settings[WORDS]
    row, kind, limit = s.entry_task[entry], s.entry_kind[entry], s.entry_limit[entry]
    part, least = s.kinds[kind].part, s.kinds[kind].least
    own = s.site_tasks[row].reservation
    instant, horizon = whole(s, now), s.clock[HORIZON]
    resolution = s.reals[RESOLUTION]
    latest = instant + s.reals[WINDOW]
    is_bounded = not only_now and s.settings[PREEMPTION] == NOBODY and len(s.shut_from) == 0
    if is_bounded and s.ask_hopeless[s.entry_ask[entry]] == s.counts[PASS]:
        return GIVEN_UP
    # What was given up before is given up again as long as neither the plan nor a node has changed.
    version = s.counts[PROMISED] + s.counts[LOGGED]
    if is_bounded and s.ask_given_up[s.entry_ask[entry]] == version:
        return GIVEN_UP
    bound, later = -np.inf, instant
    if is_bounded:
        bound = _bound(s, entry, instant, latest)
        if bound > latest:
            s.ask_hopeless[s.entry_ask[entry]] = s.counts[PASS]
            return GIVEN_UP
    while True:
        if is_bounded and later < bound:
            later = skip_to(s, part, later, limit, bound, slot_of(s, later))
        begin = covered_until(s, entry, later, limit)
        later = np.inf
        avail, usable, members, own_words = s.avail_words, s.usable_words, s.part_masks, part * words
        for w in range(words):
            avail[w] = usable[w] = members[own_words + w]
        met = -1
        if len(s.shut_from) > 0:
            met = shut(s, entry, begin, begin + limit)
            for w in range(words):
                usable[w] = avail[w]
        if own >= 0 and begin < s.shut_from[own]:
            later = s.shut_from[own]
        later = keep_promises(s, begin, max(begin, instant) + limit, later, horizon)
        if met >= 0:
            over = _first_edge(s, begin)
            if over < horizon and over < later and over > begin:
                later = over
        at = np.inf
        if enough(s.avail_words, words, least):
            at = _ask(s, entry, now, latest if later == np.inf else later, only_now)
        if at == np.inf:
            if later == np.inf or only_now:
                if is_bounded:
                    s.ask_given_up[s.entry_ask[entry]] = version
                return GIVEN_UP
            continue
        at = max(at, begin)
        if at > later:
            continue
        mark_chosen(s)
        if at <= instant:
            _save_chosen(s)
            outcome = try_start(s, entry, now)
            if outcome == STARTED:
                _keep_whole_nodes(s, row, horizon)
                return BEGUN_NOW
            if outcome == LIMITED:
                return GIVEN_UP
            # It waits for others to give way, on the nodes that were found before.
            _restore_chosen(s)
            mark_chosen(s)
            later = np.inf
        elif only_now:
            return GIVEN_UP
        if at > latest:
            return GIVEN_UP
        first, last = _rounded(s, at), _rounded(s, at + limit)
        if at > instant and collides(s, first, last, horizon):
            later = at
            if at <= begin:
                later = keep_promises(s, at, at, np.inf, horizon)
                if later == np.inf:
                    return GIVEN_UP
            continue
        reason = over_amount(s, entry, True)
        if reason != NO_REASON:
            s.site_tasks[row].reason = reason
            return GIVEN_UP
        end = max(last, first + resolution)
        promise(s, first, end, horizon)
        if follows(s) and first < horizon:
            note_promise(s, entry, first, end, bound)
        s.ask_bounded[s.entry_ask[entry]] = PLANNED_BY - s.counts[PASS]
        s.entry_planned[entry] = at
        return PLANNED


@inner_kernel
def _save_chosen(s: State) -> None:
    for i in range(s.counts[CHOSEN]):
        s.saved_nodes[i], s.saved_units[i] = s.chosen_nodes[i], s.chosen_units[i]
    s.counts[SAVED] = s.counts[CHOSEN]


@inner_kernel
def _restore_chosen(s: State) -> None:
    for i in range(s.counts[SAVED]):
        s.chosen_nodes[i], s.chosen_units[i] = s.saved_nodes[i], s.saved_units[i]
    s.counts[CHOSEN] = s.counts[SAVED]


@inner_kernel
def _ask(s: State, entry: int, now: float, until: float, only_now: bool) -> float:
    """Return when an entry could start on `avail_words` without any plans, infinity for never or after `until`.

    Where all that must give way did, it starts now.
    """
    words = s.settings[WORDS]
    kind = s.entry_kind[entry]
    avail, mask, suit = s.avail_words, s.mask_words, s.suit_words
    kinds, suits, own = s.kind_masks, s.suit_masks, kind * words
    for w in range(words):
        mask[w] = avail[w] & kinds[own + w]
    for w in range(words):
        suit[w] = avail[w] & suits[own + w]
    if s.settings[PREEMPTION]:
        # Nobody gives way to what fits beside all that runs, and it lies elsewhere then.
        if choose(s, kind, -np.inf, -1, False):
            return whole(s, now)
        list_victims(s, s.entry_task[entry], now)
        all_yield(s, 1)
        list_under(s, kind, s.entry_task[entry])
    at = will_run(s, kind, whole(s, now), until, only_now)
    if s.settings[PREEMPTION]:
        forget_under(s)
        all_yield(s, 0)
        s.counts[VICTIMS] = 0
    return at


@inner_kernel
def _keep_whole_nodes(s: State, row: int, horizon: float) -> None:
    """Take the nodes of a task that has just started out of the plan if it has them for itself and gives no way."""
    t = s.site_tasks[row]
    if s.settings[MODE] != OWN_LOOPS or not s.kinds[s.entry_kind[t.entry]].whole or mode_of(s, row) != NO_MODE:
        return
    mark_chosen(s)
    begin = s.slot_times[0]
    promise(s, begin, max(_rounded(s, t.expected), begin + s.reals[RESOLUTION]), horizon)
