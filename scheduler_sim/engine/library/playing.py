"""Playing a workload through policies, side by side on all cores."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from threading import Lock

import numpy as np

from scheduler_sim.engine.clusters.oversize import fit_workload
from scheduler_sim.engine.contract import Options
from scheduler_sim.engine.crew import Crew, cores
from scheduler_sim.engine.errors import EngineError, InvalidParameter, InvalidPolicy, InvalidWorkload
from scheduler_sim.engine.library.inputs import Ground, Played, Setting, setting, whole_number
from scheduler_sim.engine.library.result import Result
from scheduler_sim.engine.measuring.cautions import impossible_starts, told_without_estimates
from scheduler_sim.engine.measuring.metrics import check_scored_part, scored_tasks
from scheduler_sim.engine.optional import optional
from scheduler_sim.engine.policies import Policy, parse_policies, split_outside
from scheduler_sim.engine.series import Signals, StepSeries
from scheduler_sim.engine.sharing import Shared
from scheduler_sim.engine.simulation import Simulation, set_up
from scheduler_sim.engine.whatif import scale_load
from scheduler_sim.engine.workloads.beginning import begin_at
from scheduler_sim.engine.workloads.estimates import replace_estimates
from scheduler_sim.engine.workloads.workload import IntArray, Workload

EVENTS_A_LOOK = 1 << 16
"""So many events are played between two looks at the progress, and at whether to stop: some hundredths of a second."""

EVENTS_A_LOOK_DECIDED = 1 << 8
"""The same where a Python class decides."""


def play(
    workload: Played,
    cluster: Ground,
    policies: str | Policy | Iterable[str | Policy],
    *,
    seed: int = 0,
    options: Options | None = None,
    signals: Signals | Mapping[str, StepSeries] | None = None,
    estimates: str = "trace",
    load: float = 1.0,
    limit: int | None = None,
    begin_time: float | None = None,
    on_oversize: str = "fail",
    warmup: float = 0.0,
    cooldown: float = 0.0,
    workers: int | None = None,
    progress: bool | Callable[[str, int], None] = False,
) -> Result:
    """Play a workload through policies and return every placement and figure.

    The same arguments give the same placements on any machine and with any number of workers.

    Args:
        workload: a `Workload`, or what `read` or `generate` returned.
        cluster: a `Cluster` or `Site`, a preset's name (`hpc-256`, `workstation`, `dgx-4`, `openb`, `auto`), or the
            path of a cluster file.
        policies: names such as `sjf+easy` (or several in one text, with commas between them), or policies.
        seed: of everything that is drawn.
        options: limits, failures, checkpoints and the like.
        signals: series of `carbon`, `price`, `pue` and `power_cap` on the workload's clock (docs/energy.md); figures
            and placements tell carbon and price of electricity by them, and orders such as `lowest_window` go by them.
        estimates: what policies are told of run times: `trace`, `exact`, `factor:F`, `uniform:F` or `tsafrir`.
        load: arrivals so many times as dense.
        limit: play only the first so many tasks.
        begin_time: the replay begins there, with what ran then on its nodes; None for the first arrival.
        on_oversize: of tasks that could never start: `fail`, `drop` or `clamp`.
        warmup, cooldown: parts of the arrivals, at the beginning and at the end, whose figures do not count.
        workers: so many policies are played at a time; None for as many as this process may use cores.
        progress: show bars (with the package tqdm); or what is called with a policy's name and how many tasks have
            finished.

    Raises:
        EngineError: one sentence on what cannot be played.
    """
    ground = setting(workload, cluster)
    chosen = _policies(policies)
    seed = whole_number("seed", seed, least=0)
    chosen_options = Options() if options is None else options
    if not isinstance(chosen_options, Options):
        raise InvalidParameter(f"options is {options!r}, not an Options, as in Options(kill_at_estimate=True).")
    read = ground.workload if limit is None else ground.workload.head(whole_number("limit", limit, least=1))
    begun = begin_at(read, begin_time)
    scaled = scale_load(begun.workload, load, since=begun.time)
    fitted, rows = _fitted(scaled, ground, on_oversize)
    if not len(fitted):
        raise InvalidWorkload("No task is left to play.")
    if not isinstance(estimates, str):
        raise InvalidParameter(f"estimates is {estimates!r}, not a text such as trace, exact or factor:2.")
    fitted = replace_estimates(fitted, estimates, np.random.default_rng([seed, len(fitted)]))
    check_scored_part(warmup, cooldown)
    by_kind = _signals(signals, fitted)
    shared = Shared()

    def prepared(policy: Policy) -> Simulation:
        return Simulation(
            fitted,
            ground.cluster,
            policy,
            seed=seed,
            options=chosen_options,
            keep_gangs=True,
            site=ground.site,
            signals=by_kind,
            shared=shared,
        )

    with Crew(_workers(workers, len(chosen))) as crew:
        made = set_up(prepared, chosen, each=crew.each)
        _play_all(made, crew, progress)
    simulations = {one.policy.name: one for one in made}
    told = told_without_estimates(fitted, chosen, ground.site)
    notes = [
        impossible_starts(scaled, fitted, rows, ground.site or ground.cluster),
        f"{len(read) - len(fitted):,} of {len(read):,} tasks are not played." if len(fitted) < len(read) else None,
        told.text if told else None,
    ]
    return Result(
        name=ground.name,
        simulations=simulations,
        notes=tuple(note for note in notes if note),
        scored=scored_tasks(simulations, warmup=warmup, cooldown=cooldown),
        workers=crew.threads,
    )


def _signals(given: Signals | Mapping[str, StepSeries] | None, workload: Workload) -> Signals | None:
    """Return the series.

    Raises:
        InvalidParameter: an unknown kind, values that it cannot have, or one without values where tasks arrive.
    """
    if given is None:
        return None
    for kind, series in () if isinstance(given, Signals) else given.items():
        if not isinstance(series, StepSeries):
            raise InvalidParameter(f"The series of {kind} is no StepSeries (scheduler_sim.engine.series).")
    found = given if isinstance(given, Signals) else Signals(given)
    first, last = float(workload.arrival_time.min()), float(workload.arrival_time.max())
    for kind, series in found.by_kind.items():
        if not series.covers(first, last):
            raise InvalidParameter(
                f"The series of {kind} has values from {series.begin:,.0f} s to {series.end:,.0f} s, and tasks arrive "
                f"from {first:,.0f} s to {last:,.0f} s: give it beyond='hold' or 'repeat', or move it."
            )
    return found


def _policies(given: str | Policy | Iterable[str | Policy]) -> list[Policy]:
    """Return the policies, each once.

    Raises:
        InvalidPolicy: none at all, what is no policy, a name that means nothing, or one given twice.
    """
    if isinstance(given, str):
        return parse_policies(given)
    given = list(given) if isinstance(given, Iterable) else [given]
    for one in given:
        if not isinstance(one, str | Policy):
            raise InvalidPolicy(f"A policy is a text such as 'sjf+easy', or a Policy, not {one!r}.")
    if several := next((one for one in given if isinstance(one, str) and len(split_outside(one, ",")) > 1), None):
        raise InvalidPolicy(
            f"{several!r} is several policies in one text; give one text, or a list of one policy each."
        )
    named = parse_policies(",".join(one.name if isinstance(one, Policy) else one for one in given))
    return [one if isinstance(one, Policy) else read for one, read in zip(given, named, strict=True)]


def _fitted(workload: Workload, ground: Setting, on_oversize: str) -> tuple[Workload, IntArray]:
    if ground.site is None:
        return fit_workload(workload, ground.cluster, on_oversize=on_oversize)
    from scheduler_sim.engine.kernels.site.never import fit_to_site

    fitted, rows, _ = fit_to_site(workload, ground.site, on_oversize=on_oversize)
    return fitted, rows


def _workers(asked: int | None, policies: int) -> int:
    return min(cores() if asked is None else whole_number("workers", asked, least=1), policies)


def _play_all(simulations: Sequence[Simulation], crew: Crew, progress: bool | Callable[[str, int], None]) -> None:
    """Play every simulation to its end."""
    with ExitStack() as stack:
        tell = progress if callable(progress) else _bars(simulations, stack) if progress else None
        turns = _Turns(simulations, in_turn=crew.threads > 1)

        def play_on(_: int) -> None:
            while not crew.failed.is_set() and (taken := turns.take()) is not None:
                _play_a_while(taken)
                if tell:
                    tell(taken.policy.name, taken.finished)
                turns.give_back(taken)

        crew.each(play_on, range(crew.threads))


def _play_a_while(simulation: Simulation) -> None:
    """Play some events.

    Raises:
        EngineError: there are none, and tasks wait.
    """
    before = (simulation.finished, simulation.clock)
    simulation.advance(max_events=EVENTS_A_LOOK if simulation.policy.order.decides is None else EVENTS_A_LOOK_DECIDED)
    if before == (simulation.finished, simulation.clock) and not simulation.done:
        waiting = len(simulation.workload) - simulation.finished
        raise EngineError(f"{simulation.policy.name} leaves {waiting:,} tasks waiting for ever.")


class _Turns:
    """Who plays next: the simulation that is behind the others, so that none is left to play alone at the end.

    Of those that hold Python's lock one at a time plays; a second thread would wait for it.

    Args:
        in_turn: play all of them in turn, and not one after the other.
    """

    def __init__(self, simulations: Sequence[Simulation], *, in_turn: bool) -> None:
        self._simulations, self._in_turn = simulations, in_turn
        self._lock = Lock()
        self._is_held = False
        self._waiting = [(0, number) for number, one in enumerate(simulations) if not one.done]

    def take(self) -> Simulation | None:
        """Return the next one, None where those that others play are all that is left."""
        with self._lock:
            free = [one for one in self._waiting if not (self._is_held and self._of(one).holds_lock)]
            if not free:
                return None
            taken = min(free)
            self._waiting.remove(taken)
            self._is_held |= self._of(taken).holds_lock
            return self._of(taken)

    def give_back(self, simulation: Simulation) -> None:
        """Let others take it, where it is not at its end."""
        with self._lock:
            if simulation.holds_lock:
                self._is_held = False
            if not simulation.done:
                number = next(number for number, one in enumerate(self._simulations) if one is simulation)
                self._waiting.append((simulation.finished if self._in_turn else 0, number))

    def _of(self, waiting: tuple[int, int]) -> Simulation:
        return self._simulations[waiting[1]]


def _bars(simulations: Sequence[Simulation], stack: ExitStack) -> Callable[[str, int], None]:
    """Return what moves a bar for each policy, in a notebook or a terminal."""
    tqdm = optional("tqdm.auto", extra="notebook").tqdm
    bars = {
        one.policy.name: stack.enter_context(tqdm(total=len(one.workload), desc=one.policy.name, unit="task"))
        for one in simulations
    }

    def tell(policy: str, finished: int) -> None:
        bars[policy].update(finished - bars[policy].n)

    return tell
