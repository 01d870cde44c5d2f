"""What every reported figure means, its unit and which way is better: the words beside `metrics.py`'s formulas.

The help page lists these, and each column head links to its entry.
"""

import math
from dataclasses import dataclass
from typing import Literal

from scheduler_sim.engine.formulas import SHORTEST_RUN

Quantity = Literal["seconds", "share", "count", "ratio", "per_second", "joules", "dollars", "kilograms"]


@dataclass(frozen=True)
class Figure:
    """One figure that is shown to people.

    Attributes:
        name: the stored column.
        label: a short column head.
        quantity: what kind of number it is; the stored unit is the SI one, shares are parts of 1.
        better: `lower`, `higher`, or empty where neither is better.
        definition: one or two sentences with the formula.
    """

    name: str
    label: str
    quantity: Quantity
    better: Literal["lower", "higher", ""]
    definition: str

    @property
    def possible(self) -> tuple[float, float]:
        """The least and the largest value that it can have."""
        lowest = 1.0 if self.name.endswith("bounded_slowdown") else -math.inf if self.name in _SIGNED else 0.0
        return lowest, 1.0 if self.quantity == "share" else math.inf

    @property
    def unit(self) -> str:
        """The unit in which it is stored, exported and answered."""
        return UNITS[self.quantity]


_SIGNED = ("regret", "difference", "electricity_usd", "idle_electricity_usd")
"""Figures that may lie below 0."""

UNITS: dict[Quantity, str] = {
    "seconds": "s",
    "share": "part of 1",
    "count": "number",
    "ratio": "number",
    "per_second": "1/s",
    "joules": "J",
    "dollars": "US dollars",
    "kilograms": "kg",
}

FIGURES: dict[str, Figure] = {}
"""Every figure by name, in the order of the help page."""

ENERGY_AND_COST = (
    "energy_joules",
    "idle_energy_joules",
    "cost_usd",
    "carbon_kg",
    "idle_carbon_kg",
    "electricity_usd",
    "idle_electricity_usd",
    "over_cap_time",
    "asleep_time",
    "wakes",
    "woken_starts",
    "saved_joules",
)
"""What a run drew, cost and emitted, and what it did for that, in the order in which tables show it."""


def _define(name: str, label: str, quantity: Quantity, better: Literal["lower", "higher", ""], definition: str) -> None:
    FIGURES[name] = Figure(name, label, quantity, better, definition)


def _distribution(name: str, label: str, short: str, meaning: str) -> None:
    _define(f"mean_{name}", f"Mean {short}", "seconds", "lower", f"Mean of the tasks' {label}: {meaning}")
    _define(f"min_{name}", f"Least {short}", "seconds", "lower", f"The shortest {label} of any finished task.")
    _define(f"max_{name}", f"Longest {short}", "seconds", "lower", f"The longest {label} of any finished task.")
    _define(f"p50_{name}", f"Median {short}", "seconds", "lower", f"Half of the finished tasks have a shorter {label}.")
    for percent in (95, 99):
        _define(
            f"p{percent}_{name}",
            f"p{percent} {short}",
            "seconds",
            "lower",
            f"{percent}% of the finished tasks have a shorter {label}; linear between order statistics.",
        )


_distribution("job_completion_time", "job completion time (JCT)", "JCT", "finish - arrival.")
_distribution("wait_time", "wait", "wait", "start - arrival, or start - the last parent's finish where that is later.")
_define(
    "actual_time",
    "Run time",
    "seconds",
    "lower",
    "Finish - start of one task; it depends on the speed of the node and, for a split task, on its gpu_fraction.",
)
_define(
    "bounded_slowdown",
    "Slowdown",
    "ratio",
    "lower",
    f"Of one task: max(1, JCT / max(run time, {SHORTEST_RUN:g} s)) (Feitelson, 2001).",
)
_define(
    "mean_bounded_slowdown",
    "Mean slowdown",
    "ratio",
    "lower",
    "Mean of the tasks' bounded slowdowns: how many times longer than its run time a task took, "
    f"where runs below {SHORTEST_RUN:g} s count as {SHORTEST_RUN:g} s.",
)
_define("makespan", "Makespan", "seconds", "lower", "Last finish - first arrival; of a window of time, its length.")
_define("throughput", "Throughput", "per_second", "higher", "Finished tasks / makespan.")
_define("cpu_utilisation", "CPU use", "share", "higher", "Busy core-seconds / (cores x makespan).")
_define(
    "gpu_utilisation",
    "GPU use",
    "share",
    "higher",
    "Busy GPU-seconds / (GPUs x makespan), the GPU allocation ratio over time; a task with a part of a GPU counts that "
    "part. A GPU that a sequentially split task holds during its CPU side is not busy.",
)
_define(
    "gpu_fragmentation",
    "GPU fragmentation",
    "share",
    "lower",
    "Idle GPUs that a task of the workload is expected not to be able to use / GPUs: on a node, all that is idle for a "
    "task that does not fit, else the rests of shared GPUs that are too small for it; the mean over all tasks of the "
    "workload (Weng et al., 2023). Of a window, at its end; of the whole run, the mean over the windows. No data on "
    "one node, without GPUs, and when a task spans nodes or holds whole GPUs and a part: what it leaves free on each "
    "node is then not stored.",
)
_define("mean_queue_length", "Mean queue", "ratio", "lower", "Tasks that are ready and wait, averaged over time.")
_define("max_queue_length", "Longest queue", "count", "lower", "The most tasks that were ready and waited at once.")
_define("energy_joules", "Energy", "joules", "lower", "Busy watts x busy seconds of everything that tasks held.")
_define(
    "idle_energy_joules",
    "Idle energy",
    "joules",
    "lower",
    "Idle watts x seconds of the devices that nothing held, from first arrival to last finish.",
)
_define("cost_usd", "Cost", "dollars", "lower", "Price x held time of every core and GPU, in US dollars.")
_define(
    "carbon_kg",
    "Carbon",
    "kilograms",
    "lower",
    "Energy of what tasks kept busy x the carbon intensity at that time (x PUE, where a series tells it), summed over "
    "the steps of the series; kg of CO2 equivalent. No data without a series of carbon or without watts. The signal "
    "is average or marginal, as its file says: the first shares out what is emitted, the second tells what more load "
    "would add.",
)
_define(
    "idle_carbon_kg",
    "Idle carbon",
    "kilograms",
    "lower",
    "As carbon, of the idle energy: with it the cluster's whole emission from first arrival to last finish.",
)
_define(
    "electricity_usd",
    "Electricity",
    "dollars",
    "lower",
    "Energy of what tasks kept busy x the price of electricity at that time (x PUE, where a series tells it). It is "
    "not a part of the cost, which is the price of holding devices.",
)
_define("idle_electricity_usd", "Idle electricity", "dollars", "lower", "As electricity, of the idle energy.")
_define(
    "over_cap_time",
    "Over the cap",
    "seconds",
    "lower",
    "Seconds in which the devices drew more than the series of the power cap allows; PUE is not counted. Starts keep "
    "the cap where the run holds it; what runs when it falls goes on.",
)
_define(
    "asleep_time",
    "Asleep",
    "seconds",
    "",
    "Node-seconds in which nodes slept because nothing held them for their suspend_time.",
)
_define("wakes", "Wakes", "count", "lower", "How often a node was woken for a task.")
_define(
    "woken_starts",
    "Waited for waking",
    "count",
    "lower",
    "Tasks that started when a node had been woken, and waited for that.",
)
_define(
    "saved_joules",
    "Saved by sleep",
    "joules",
    "higher",
    "What sleeping nodes drew less than if they had stayed idle, less what waking took beyond that, in the same "
    "schedule. It is taken off the idle energy.",
)
_define(
    "wins",
    "Wins",
    "count",
    "higher",
    "Tasks whose finish is the earliest of all policies of the run; policies that tie all win.",
)
_define("losses", "Losses", "count", "lower", "Finished tasks that are not wins.")
_define(
    "fairness",
    "Fairness",
    "ratio",
    "higher",
    "Jain's index over the users' mean bounded slowdown: 1 when all are served alike, 1/n when one of n has it all "
    "(Jain, 1984). No data when the workload names no users.",
)
_RHO = "finish-time fairness (rho)"
_define(
    "mean_rho",
    "Mean rho",
    "ratio",
    "lower",
    f"Mean of the tasks' {_RHO}: (finish - ready) / the time in an equal share of the cluster (Mahajan et al., Themis, "
    "2020). Below 1 a task is done sooner than that. The time in an equal share is the time alone x max(1, N x d): N "
    "is the mean number of tasks that were ready and not done while this one was, d the part of the cluster's cores or "
    "GPUs that it asks for, the larger of both; alone, it runs at the mean speed of the nodes that it may use. N is "
    "that under the policy itself, so a policy under which tasks pile up is measured against smaller shares.",
)
_define("p95_rho", "p95 rho", "ratio", "lower", f"95% of the finished tasks have a lower {_RHO}; linear between them.")
_define("max_rho", "Highest rho", "ratio", "lower", f"The {_RHO} of the finished task that was treated worst.")
_define("unfair_share", "Unfair", "share", "lower", f"Part of the finished tasks whose {_RHO} is above 1.")
_define(
    "share_fairness",
    "Share fairness",
    "ratio",
    "higher",
    "Jain's index over the users' attained shares: what the work of a user's finished tasks takes / what equal shares "
    "would have given them until they finished, both in seconds x part of the cluster. 1 when all got as much of their "
    "due, 1/n when one of n got it all (Jain, Chiu, Hawe, 1984). Where the workload names no users, tasks stand for "
    "themselves.",
)
_define(
    "least_share",
    "Worst share",
    "ratio",
    "higher",
    "The attained share of the user who got least of what equal shares would have given: 1 / the mean of the "
    "tasks' rho, weighed by their work; of a task where the workload names no users.",
)
_define(
    "attempts_mean",
    "Attempts",
    "ratio",
    "lower",
    "Spans in which a task held devices, mean of the finished tasks: 1 where no task was stopped.",
)
_define("service_time", "Service", "seconds", "", "Seconds of progress that lasted, summed over the finished tasks.")
_define(
    "lost_time",
    "Lost",
    "seconds",
    "lower",
    "Seconds in which tasks held devices without progress that lasted, summed over the finished tasks: overheads of "
    "starting again, writing checkpoints, and progress thrown away.",
)
_define(
    "suspended_time",
    "Suspended",
    "seconds",
    "lower",
    "Seconds between first start and finish in which tasks held nothing, summed over the finished tasks.",
)
_define(
    "restarts",
    "Restarts",
    "count",
    "lower",
    "Attempts after the first, summed over the finished tasks; going on elsewhere at once is no restart.",
)
_define(
    "lost_core_hours",
    "Lost core-hours",
    "ratio",
    "lower",
    "Hours x cores that tasks held without progress that lasted: starting again, writing checkpoints, progress thrown "
    "away.",
)
_define("lost_gpu_hours", "Lost GPU-hours", "ratio", "lower", "As lost core-hours, of the GPUs that tasks held.")
_define(
    "efficiency",
    "Efficiency",
    "share",
    "higher",
    "Progress that lasted / time held, both x devices: GPUs of tasks that hold some, cores of the others.",
)
_define(
    "ideal_efficiency",
    "Ideal efficiency",
    "share",
    "higher",
    "What the efficiency of a long task on one node would be if only failures stopped it: under exponential failures "
    "Daly's (2006, eq. 20), without failures interval / (interval + writing). No data without checkpoints, with "
    "growing intervals, and where nodes fail in another way.",
)
_define("timed_out_count", "Timed out", "count", "lower", "Tasks that were ended because their estimate was used up.")
_define("failed_count", "Failed", "count", "lower", "Tasks that were given up after failures of nodes.")
_define(
    "regret", "Regret", "share", "lower", "Mean JCT / the oracle's mean JCT - 1, where the oracle played the same run."
)
_define(
    "task_count", "Tasks", "count", "", "Tasks of a group that every policy of the run finished and that are scored."
)
_define("core_hours", "Core-hours", "ratio", "", "Hours x cores that the tasks of a group held.")
_define("gpu_hours", "GPU-hours", "ratio", "", "Hours x GPUs that the tasks of a group held.")
_define(
    "difference",
    "Later by",
    "seconds",
    "lower",
    "Of a group: mean of its tasks' JCT less their JCT under the base, task by task; below 0 they complete sooner. Its "
    "95% interval is that of batch means over 30 spans of the group's arrivals (Law, 2015); below 60 tasks there "
    "is none. Better and worse are said where the p-value, corrected for all groups (Holm, 1979), is below 0.05.",
)
_define("sooner_count", "Sooner", "count", "higher", "Tasks of a group that complete sooner than under the base.")
_define("later_count", "Later", "count", "lower", "Tasks of a group that complete later than under the base.")
_define("gpu_fraction", "GPU share", "share", "", "The part of a split task that is done on the GPU; 0 is CPU only.")
_define("window_start_time", "Window start", "seconds", "", "Begin of a window, on the workload's own clock.")
_define("window_end_time", "Window end", "seconds", "", "End of a window, on the workload's own clock.")
_define("arrived_count", "Arrived", "count", "", "Tasks that arrived within the window.")
_define("started_count", "Started", "count", "", "Tasks that started within the window.")
_define("finished_count", "Finished", "count", "", "Tasks that finished within the window.")
