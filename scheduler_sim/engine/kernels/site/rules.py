"""How a policy and a site become the numbers that the event loop plays by, and what is refused."""

from dataclasses import dataclass
from zlib import crc32

import msgspec
import numpy as np

from scheduler_sim.engine.clusters.away import drawn_failures, longest_run, refuse_hopeless
from scheduler_sim.engine.clusters.failures import FailureStream
from scheduler_sim.engine.clusters.overheads import NO_OVERHEAD
from scheduler_sim.engine.codes import CONSERVATIVE, EASY, MULTIFACTOR, SLURM, STATIC
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.kernels.site import state
from scheduler_sim.engine.policies.orders.multifactor import with_weights
from scheduler_sim.engine.policies.policy import Policy
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.sites import Partition, Qos, Site
from scheduler_sim.engine.sites.slurm_settings import OVERRIDES, overridden
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

ANY = 2**62

MAIN_TICK = 1.0035
"""Seconds between two rounds of Slurm's threads: a sleep of one second, and what a round takes (measured)."""


@dataclass(frozen=True)
class Rules:
    """How a site is played.

    Attributes:
        site: as the policy changes it.
        is_slurm: its own scheduler decides.
        settings, reals: vectors as `state` says, without what follows from the workload.
        drawn: failures of nodes by chance; None where none fails.
        first_pass, first_decay: when the backfill loop first looks and usage is first calculated, if it ever is.
    """

    site: Site
    is_slurm: bool
    settings: IntArray
    reals: FloatArray
    first_pass: float
    first_decay: float
    drawn: FailureStream | None

    @classmethod
    def of(cls, problem: Problem) -> "Rules":
        """Read the rules of a simulation.

        Raises:
            InvalidPolicy: what is not played on a site.
        """
        site, policy = site_of(problem), problem.policy
        _refuse(problem)
        is_slurm = problem.scores.kind == SLURM
        settings, reals = np.zeros(state.SETTINGS, np.int64), np.zeros(state.REALS)
        settings[state.LINEAR] = site.placement == "nodes"
        settings[state.KILLS] = problem.options.kill_at_estimate
        settings[[state.PER_USER, state.PER_PARTITION, state.PER_ASSOCIATION, state.MOST_STARTS]] = ANY
        if not is_slurm:
            settings[state.MODE], settings[state.BACKFILL] = state.EVERY_EVENT, policy.backfill.code
            settings[state.SLOPED] = problem.scores.slope is not None
            depth = problem.options.conservative_depth
            settings[state.PLAN_DEPTH] = ANY if depth is None or policy.backfill.code != CONSERVATIVE else depth
            reals[state.WINDOW] = np.inf
            if problem.scores.kind != MULTIFACTOR:
                _weigh(site, settings, reals)
                return cls(site, False, settings, reals, np.inf, _origin(problem), _drawn(problem))
            site = with_weights(site)
            _weigh(site, settings, reals)
            settings[state.BY_FACTORS] = True
            return cls(site, False, settings, reals, np.inf, _origin(problem), _drawn(problem))
        texts = {name: text for name, text in policy.order.values if name in OVERRIDES}
        site = overridden(site, {name: str(text) for name, text in texts.items()})
        return cls._of_slurm(site, policy, problem, settings, reals)

    @classmethod
    def _of_slurm(cls, site: Site, policy: Policy, problem: Problem, settings: IntArray, reals: FloatArray) -> "Rules":
        how, order = site.scheduling, policy.order
        draws = np.random.default_rng([problem.seed, crc32(b"slurm phases")])
        _weigh(site, settings, reals)
        period = site.priority.calculation_period_time
        drawn = {
            "main_phase": draws.random(),
            "backfill_phase": draws.random(),
            "decay_phase": draws.random() * period,
            "limit_phase": draws.random() * how.limit_check_interval_time,
        }
        phases = {name: value if order.value(name) is None else order.value(name) for name, value in drawn.items()}
        begin = _origin(problem)
        settings[state.MODE], settings[state.BACKFILL] = state.OWN_LOOPS, how.backfill
        settings[state.WHOLE_SECONDS] = True
        settings[state.GROUPED] = site.placement == "cores"
        settings[state.BY_FACTORS] = site.priority.kind == "multifactor"
        settings[state.MAIN_DEPTH], settings[state.PLAN_DEPTH] = how.main_depth, how.backfill_depth
        for place, most in (
            (state.PER_USER, how.backfill_depth_per_user),
            (state.PER_PARTITION, how.backfill_depth_per_partition),
            (state.PER_ASSOCIATION, how.backfill_depth_per_account),
            (state.MOST_STARTS, how.backfill_starts),
        ):
            settings[place] = ANY if most is None else most
        settings[state.YOUNGEST_FIRST] = how.preempts_youngest_first
        settings[state.KILLS_INVALID] = how.kill_invalid_dependency
        settings[state.PREEMPTION] = ("none", "qos", "partition").index(site.preemption.kind)
        told: tuple[Qos, ...] | tuple[Partition, ...] = site.qos if site.preemption.kind == "qos" else site.partitions
        settings[state.CHECKS] = settings[state.KILLS]
        if site.preemption.kind != "none":
            settings[state.SUSPENDING] = "suspend" in {site.preemption.mode, *(one.preempt_mode for one in told)}
            settings[state.CHECKS] |= any(one.grace_time for one in told)
        reals[state.CHECK_INTERVAL], reals[state.OVER_LIMIT] = how.limit_check_interval_time, how.over_limit_time
        reals[state.CHECK_PHASE] = begin + phases["limit_phase"]
        reals[state.KILL_WAIT] = how.kill_wait_time
        reals[state.TICK_PHASE], reals[state.TICK] = begin + phases["main_phase"], MAIN_TICK
        reals[state.MAIN_INTERVAL], reals[state.SUBMIT_DELAY] = how.main_interval_time, how.submission_delay_time
        reals[state.PASS_INTERVAL], reals[state.WINDOW] = how.backfill_interval_time, how.backfill_window_time
        reals[state.RESOLUTION] = max(how.backfill_resolution_time, 1.0)
        reals[state.LEAST_RESERVED] = how.backfill_least_priority_reserved or 0
        reals[state.REQUEUE_DELAY] = how.requeue_delay_time
        reals[state.EPOCH] = float(order.value("epoch"))
        first = begin + phases["backfill_phase"]
        return cls(site, True, settings, reals, first, begin + phases["decay_phase"], _drawn(problem))


def _weigh(site: Site, settings: IntArray, reals: FloatArray) -> None:
    """Write how the factors of a priority are found and weighed."""
    priority = site.priority
    settings[state.CLASSIC] = priority.fair_share == "classic"
    half_life = priority.decay_half_life_time
    reals[state.DECAY] = 1 - 0.693 / half_life if half_life else 1.0
    reals[state.DAMPING] = priority.damping
    reals[state.AGE_WEIGHT], reals[state.MAX_AGE] = priority.age_weight, max(priority.max_age_time, 1.0)
    reals[state.FAIR_WEIGHT] = priority.fair_share_weight
    reals[state.CALCULATION_PERIOD] = max(priority.calculation_period_time, 1.0)


def site_of(problem: Problem) -> Site:
    """Return the site of a problem that has one.

    Raises:
        InvalidPolicy: it has none.
    """
    if problem.site is None:
        raise InvalidPolicy(f"{problem.policy.name} is asked to play on a site, and there is none.")
    if problem.policy.replays_log:
        # What the log says started was within the limits as they were then.
        return msgspec.structs.replace(problem.site, enforces=())
    return problem.site


def _origin(problem: Problem) -> float:
    """Return the whole second from which phases count: the one before the first arrival."""
    arrivals = problem.workload.arrival_time
    return float(np.floor(arrivals[0])) - 1.0 if len(arrivals) else 0.0


def _drawn(problem: Problem) -> FailureStream | None:
    """Return the failures by chance: the very ones that the cluster without its site would have."""
    arrivals = problem.workload.arrival_time
    return drawn_failures(float(arrivals[0]), problem.cluster, problem.seed) if len(arrivals) else None


def _refuse(problem: Problem) -> None:
    """Refuse what is not played on a site, each with the sentence that says why."""
    policy, scores, options = problem.policy, problem.scores, problem.options
    name = policy.name
    if problem.late:
        raise InvalidPolicy("On a site run times are not predicted inside the run.")
    if problem.stops:
        raise InvalidPolicy(f"{name} stops running tasks, which on a site only slurm does, as it is configured.")
    if options.max_requeues or options.checkpoints is not None or options.restart_overhead != NO_OVERHEAD:
        raise InvalidPolicy("Checkpoints, costs of a restart and reruns after the estimate are not played on a site.")
    if options.max_failures is not None or options.requeue_at != "old":
        raise InvalidPolicy(
            "On a site what failed runs again as Slurm has it; max_failures and requeue_at are not played."
        )
    refuse_hopeless(
        problem.cluster,
        longest_run(problem.workload, problem.cluster),
        "On a site no task writes checkpoints: let nodes fail more rarely.",
    )
    if any(one.node is None for one in options.failures):
        raise InvalidPolicy("On a site a failure is of one node, not of a share of all.")
    if scores.kind not in (STATIC, SLURM, MULTIFACTOR):
        raise InvalidPolicy(f"{policy.order.name} chooses by a rule of its own, which is not played on a site.")
    if policy.placement.name != "first_fit":
        raise InvalidPolicy(
            f"On a site nodes are chosen by their weights and numbers, not by @{policy.placement.name}."
        )
    if policy.backfill.code == EASY and (scores.backfill is not None or policy.backfill.predicts):
        raise InvalidPolicy(f"On a site easy is without parameters: {name}.")
    for partition in site_of(problem).partitions:
        if partition.oversubscribe > 1:
            raise InvalidPolicy(
                f"Partition {partition.name} lets {partition.oversubscribe} tasks share a core and take turns "
                "(OverSubscribe, time slices of GANG), which is not played; one task a core (FORCE:1) is."
            )
