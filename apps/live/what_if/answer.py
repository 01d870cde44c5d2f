"""Playing a what-if: the run as it was and as it is changed, side by side, and what is kept of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from apps.live.play.configuration import RunConfiguration
from apps.live.play.electricity import series_caution
from apps.live.play.players import Player, make_players
from apps.live.play.preparation import Prepared, prepare_tasks
from apps.live.what_if.question import Question
from apps.metrics.models import GroupMetric, Metric
from apps.metrics.services import metrics_compute
from apps.tasks.stored_tasks import load_tasks
from scheduler_sim import engine
from scheduler_sim.columnar.objects import columns_as_objects
from scheduler_sim.engine.measuring.groups import group_changes
from scheduler_sim.engine.measuring.metrics import scored_tasks
from scheduler_sim.engine.workloads.workload import BoolArray

EVENTS_AT_ONCE = 100_000
"""So many events are played before a stop, or the end of the time there is, is looked at."""


@dataclass(frozen=True)
class _Side:
    """One of the two runs, played to its end without storing anything."""

    prepared: Prepared
    configuration: RunConfiguration
    players: Mapping[str, Player]

    @classmethod
    def play(cls, prepared: Prepared, configuration: RunConfiguration) -> "_Side":
        players = make_players(prepared, configuration)
        for player in players:
            while not player.simulation.done:
                player.simulation.advance(max_events=EVENTS_AT_ONCE)
        return cls(prepared, configuration, {player.scheduler: player for player in players})

    @property
    def simulations(self) -> dict[str, engine.Simulation]:
        return {name: player.simulation for name, player in self.players.items()}

    @property
    def scored_part(self) -> dict[str, float]:
        return {"warmup": self.configuration.warmup, "cooldown": self.configuration.cooldown}

    @cached_property
    def scored(self) -> BoolArray | None:
        return scored_tasks(self.simulations, **self.scored_part)

    def totals(self) -> dict[str, dict[str, Any]]:
        """Return the figures of each policy, those that a run stores."""
        configuration = self.configuration
        figures = metrics_compute(
            simulations=self.simulations, warmup=configuration.warmup, cooldown=configuration.cooldown
        )
        return {name: _documents(Metric, name, columns)[0] for name, columns in figures.totals.items()}


def answer(asked: Question) -> dict[str, Any]:
    """Play a what-if and return the figures of both sides, policy by policy.

    Returns:
        `before` and `after`: by policy, the figures of the whole run as `Metric` names them. `pairs`: for each policy
        of the changed run, `policy` and `against`, that of the run as it was which it is compared with, and `before`
        and `after`, the figures of the groups of tasks that both finished as `GroupMetric` names them. `cautions`: of
        the changed run.

    Raises:
        EngineError, DomainError: it cannot be played.
    """
    run = asked.run
    limits = {one.limit for one in (asked.before, asked.configuration)}
    loaded = {limit: load_tasks(workload_id=run.workload_id, limit=limit) for limit in limits}

    def side(configuration: RunConfiguration, cluster: engine.Cluster) -> _Side:
        tasks = loaded[configuration.limit]
        prepared = prepare_tasks(stored=run.workload, tasks=tasks, cluster=cluster, configuration=configuration)
        return _Side.play(prepared, configuration)

    before = side(asked.before, engine.Cluster.from_json(run.cluster))
    after = side(asked.configuration, asked.cluster)
    return {
        "before": before.totals(),
        "after": after.totals(),
        "pairs": [
            {"policy": name, "against": against, **_groups(before, after, name, against)}
            for name, against in pairs(list(before.players), list(after.players))
        ],
        "cautions": [*after.prepared.cautions, *([unused] if (unused := series_caution(after.simulations)) else [])],
    }


def pairs(before: list[str], after: list[str]) -> list[tuple[str, str]]:
    """Return, for each policy of the changed run, that of the run as it was with which it is compared.

    It is the same one; where there is none, that at the same place if both lists are as long, or else the first.
    """
    same_places = before if len(before) == len(after) else [before[0]] * len(after)
    return [(name, name if name in before else other) for name, other in zip(after, same_places, strict=True)]


def _groups(before: _Side, after: _Side, name: str, against: str) -> dict[str, Any]:
    figures = group_changes(
        before.players[against].simulation,
        after.players[name].simulation,
        scored_before=before.scored,
        scored_after=after.scored,
    )
    return {
        side: _documents(GroupMetric, scheduler, vars(columns)) if len(columns.name) else []
        for side, scheduler, columns in zip(("before", "after"), (against, name), figures, strict=True)
    }


def _documents(
    model: type[Metric] | type[GroupMetric], scheduler: str, columns: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return columns as documents by the names of the model's fields, without the run and what only whole runs need."""
    left_out = {"id", "run", "is_total", "details"}
    names = [field.name for field in model._meta.concrete_fields if field.name not in left_out]
    flag = {"is_total": True} if model is Metric else {}
    rows = columns_as_objects(model, {"run_id": 0, "scheduler": scheduler, **flag, **columns})
    return [{name: getattr(row, name) for name in names} for row in rows]
