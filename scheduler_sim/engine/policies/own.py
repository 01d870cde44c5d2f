"""Policies of one's own: a function that scores tasks, in Python or compiled, a class or a program that decides.

All are orders like the shipped ones: they are named in policies, stored and shown as any other. What they may look at
is what a scheduler knows; true run times are hidden unless they say that they are clairvoyant.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.codes import CALLED, DECIDED
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.policies.asking import asking
from scheduler_sim.engine.policies.compiled import Compiled, call_of
from scheduler_sim.engine.policies.order import ORDERS, YOUR_OWN, Order, ScoreContext, Scores
from scheduler_sim.engine.policies.origin import program_digest, source_digest
from scheduler_sim.engine.policies.policy import READY_MADE
from scheduler_sim.engine.policies.program import ANSWER_SECONDS, Program, ProgramDecider
from scheduler_sim.engine.workloads.workload import FloatArray, Labels, Workload

Start = int | tuple[int, int]
"""The row of a task that is to start, on the first node that holds it; or the row and the node's number."""


class Decider(Protocol):
    """What decides for one simulation; made anew for each, so that it may remember what it has seen."""

    def decide(self, state: Any) -> Iterable[Start] | None:
        """Return which waiting tasks start at this instant, in order.

        Args:
            state: a `kernels.decided.state.State`, the same object at every instant.

        A method `close`, where it has one, is called when the simulation is over.
        """


ScoreFunction = TypeVar("ScoreFunction", bound=Callable[[ScoreContext], Any])
ScoreOneType = TypeVar("ScoreOneType", bound=Callable[..., Any])
DeciderType = TypeVar("DeciderType", bound=Callable[[], Decider])


def scoring(
    name: str,
    *,
    clairvoyant: bool = False,
    uses_estimates: bool = True,
    looks_ahead: bool = False,
    formula: str = "by a function",
) -> Callable[[ScoreFunction], ScoreFunction]:
    """Register a function as the order `name`: it returns a score for each task, the lowest are tried first.

    Ties go to the earlier arrival. A score is settled once; one that changes with the wait is a pair of arrays `(base,
    slope)`, and the score is base - slope x wait. Registering a name of one's own again replaces the order.

    Args:
        clairvoyant: the function may look at true run times and at what carbon and prices will be.
        uses_estimates: scores depend on duration estimates. looks_ahead: a score depends on tasks that come later.
        formula: what to say of it in lists.

    Raises:
        InvalidPolicy: a name that a shipped policy has, or that cannot stand in a policy.
    """
    _check_name(name, "scoring")

    def register(function: ScoreFunction) -> ScoreFunction:
        def scores(context: ScoreContext) -> Scores:
            workload = context.workload if clairvoyant else _without_outcome(context.workload)
            shown = replace(
                context,
                workload=_read_only(workload),
                estimate=fixed_view(context.estimate),
                processors=fixed_view(context.processors),
                # What carbon and prices will be is known to nobody who does not say so.
                signals=context.signals if clairvoyant else None,
            )
            place = _first_of(context.workload)
            try:
                with asking(lambda: place):
                    found = function(shown)
            except (Exception, SystemExit) as error:
                raise InvalidPolicy(f"{name} fails at scoring {place}: {type(error).__name__}: {error}.") from error
            return _settled(name, found, context.workload)

        _register(
            Order(
                name,
                formula,
                YOUR_OWN,
                scores,
                clairvoyant=clairvoyant,
                uses_estimates=uses_estimates,
                looks_ahead=looks_ahead,
                digest=source_digest(function),
            )
        )
        return function

    return register


def compiled(
    name: str, *, clairvoyant: bool = False, formula: str = "by a compiled function"
) -> Callable[[ScoreOneType], ScoreOneType]:
    """Register a function that Numba compiles as the order `name`, called inside the event loops.

    It takes a `compiled.WaitingTask` and a `compiled.Instant` and returns a number; the lowest are tried first, ties go
    to the earlier arrival. It is asked for every task that waits, at every instant at which one might start, before
    anything starts there. It has to return the same for the same.

    A function of one argument, a `compiled.Task`, goes by the task alone: it is asked once for each, before anything
    runs, and plays as quickly as a shipped order. It returns a number, or a pair `(base, slope)`: the score is then
    base - slope x wait.

    Args:
        clairvoyant: `task.runtime` tells the true run time.
        formula: what to say of it in lists.

    Raises:
        InvalidPolicy: as `scoring`.
    """
    _check_name(name, "compiled")

    def register(function: ScoreOneType) -> ScoreOneType:
        whole = Compiled(name, function)

        def scores(context: ScoreContext) -> Scores:
            workload, estimate, processors = context.workload, context.estimate, context.processors
            called = call_of(whole, workload, estimate=estimate, processors=processors, clairvoyant=clairvoyant)
            if whole.knows_time:
                return Scores(base=np.zeros(len(workload)), kind=CALLED, called=called)
            return _settled(name, whole.of_each(called), workload)

        digest = source_digest(function)
        _register(Order(name, formula, YOUR_OWN, scores, clairvoyant=clairvoyant, digest=digest, calls=True))
        return function

    return register


def deciding(
    name: str, *, clairvoyant: bool = False, formula: str = "by a class that decides", digest: str | None = None
) -> Callable[[DeciderType], DeciderType]:
    """Register a class as the whole policy `name`: its `decide(state)` is asked at every instant of an event.

    One is made, without arguments, for each simulation. It plays in Python: any rule, thousands of tasks a second. It
    takes neither +backfill nor @placement nor ~preemption.

    Args:
        clairvoyant: `state.runtime` tells true run times.
        formula: what to say of it in lists.
        digest: by which runs can tell what decides; by default that of the class's source, empty where it is not known.

    Raises:
        InvalidPolicy: as `scoring`.
    """
    _check_name(name, "deciding")

    def register(maker: DeciderType) -> DeciderType:
        _register(
            Order(
                name,
                formula,
                YOUR_OWN,
                lambda context: Scores.by_rule(DECIDED, context),
                clairvoyant=clairvoyant,
                decides=maker,
                digest=source_digest(maker) if digest is None else digest,
            )
        )
        return maker

    return register


def program(command: str | Sequence[str], *, timeout: float = ANSWER_SECONDS) -> str:
    """Register a program of any language as a whole policy, and return the name that it gives itself.

    It is started here once, to be asked who it is, and once for each simulation, without a shell. It decides as a class
    does (`deciding`), by lines of JSON on its standard input and output, which docs/library.md describes; what it says
    on its standard error goes to the log `scheduler_sim.engine.policies.program`.

    Args:
        command: the command line, as `"python mine.py"`, or its words.
        timeout: seconds by the clock that it may take for an answer.

    Raises:
        InvalidPolicy: it does not start or does not introduce itself, or as `scoring`.
    """
    whole = Program.read(command, timeout)
    found = whole.hello()
    name = found["name"]
    formula = found.get("formula")
    _register(
        Order(
            name,
            formula if isinstance(formula, str) and formula else "by a program",
            YOUR_OWN,
            lambda context: Scores.by_rule(DECIDED, context),
            clairvoyant=found.get("clairvoyant", False),
            decides=lambda: ProgramDecider(name, whole),
            digest=program_digest(whole.command),
        )
    )
    return str(name)


def own_digests(policies: Iterable[str]) -> dict[str, str]:
    """Return from which files or programs (SHA-256) the orders of one's own in some policies come, by name."""
    text = [(re.match(r"\w*", policy), re.findall(r"\border=(\w+)", policy)) for policy in policies]
    named = {name for first, others in text for name in (first[0] if first else "", *others)}
    return {order.name: order.digest for order in ORDERS if order.source == YOUR_OWN and order.name in named}


def _without_outcome(workload: Workload) -> Workload:
    """Return the workload as nobody knows its future: without run times, and what became of the tasks in the log."""
    unknown, requests = np.full(len(workload), np.nan), workload.requests
    if requests is not None:
        requests = replace(
            requests,
            recorded_nodes=Labels.blank(len(workload)),
            cancel_time=unknown,
            fails=np.zeros(len(workload), bool),
        )
    return replace(workload, runtime=unknown, recorded_start_time=unknown, requests=requests)


def _read_only(workload: Workload) -> Workload:
    """Return the workload with views of its arrays that cannot be written: other policies play the same arrays."""
    shown: dict[str, Any] = {}
    for item in fields(workload):
        column = getattr(workload, item.name)
        if isinstance(column, Labels):
            shown[item.name] = replace(column, codes=fixed_view(column.codes))
        elif isinstance(column, np.ndarray):
            shown[item.name] = fixed_view(column)
    return replace(workload, **shown)


def fixed_view(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view of an array that cannot be written."""
    shown = array.view()
    shown.flags.writeable = False
    return shown


def _check_name(name: Any, decorator: str) -> None:
    """Refuse a decorator that is given what it decorates, or anything else than a name.

    Raises:
        InvalidPolicy: the name is no text.
    """
    if not isinstance(name, str):
        raise InvalidPolicy(f'@{decorator} is given the name of the policy, as in @{decorator}("my_policy").')


def _register(order: Order) -> None:
    if not order.name.isidentifier():
        raise InvalidPolicy(f"{order.name!r} cannot be a policy's name: letters, digits and _ can, not first a digit.")
    if order.name in READY_MADE or (order.name in ORDERS and ORDERS[order.name].source != YOUR_OWN):
        raise InvalidPolicy(f"There is a policy {order.name} already; give yours another name.")
    ORDERS.replace(order)


def _first_of(workload: Workload) -> str:
    if not len(workload):
        return "no tasks"
    first = f"task {workload.task_id[0]}, which arrives at {workload.arrival_time[0]:,.15g} s"
    return f"{len(workload):,} tasks, first {first}"


def _settled(name: str, found: Any, workload: Workload) -> Scores:
    """Return scores that are settled before anything runs: an array, or a pair of arrays with slopes."""
    if isinstance(found, tuple) and len(found) != 2:
        raise InvalidPolicy(f"{name} returns {len(found)} things, where scores, or scores and slopes, were expected.")
    base, slope = found if isinstance(found, tuple) else (found, None)
    return Scores(
        base=_checked(name, "score", base, workload),
        slope=None if slope is None else _slopes(name, slope, workload),
    )


def _checked(name: str, what: str, values: Any, workload: Workload) -> FloatArray:
    if np.iscomplexobj(values):
        raise InvalidPolicy(f"The {what}s of {name} are complex, where real numbers were expected.")
    try:
        # A copy: what the function keeps may change.
        scores = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidPolicy(f"The {what}s of {name} are not numbers.") from error
    if scores.shape != (len(workload),):
        raise InvalidPolicy(f"{name} returns {what}s of shape {scores.shape} where ({len(workload)},) was expected.")
    if len(wrong := np.flatnonzero(np.isnan(scores))):
        row = int(wrong[0])
        raise InvalidPolicy(
            f"The {what} of {name} is not a number for {len(wrong):,} of {len(scores):,} tasks, first for task "
            f"{workload.task_id[row]}, which arrives at {workload.arrival_time[row]:,.15g} s."
        )
    return scores


def _slopes(name: str, values: Any, workload: Workload) -> FloatArray:
    slopes = _checked(name, "slope", values, workload)
    if len(wrong := np.flatnonzero(~((slopes >= 0) & (slopes < np.inf)))):
        row = int(wrong[0])
        raise InvalidPolicy(
            f"The slope of {name} is {slopes[row]:g} for task {workload.task_id[row]}, not a finite number from 0 up."
        )
    return slopes
