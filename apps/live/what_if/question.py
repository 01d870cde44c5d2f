"""A what-if: a run, what is changed of it, and what is to be played to answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from django.conf import settings

from apps.live.play.cluster_changes import ClusterChanges
from apps.live.play.configuration import RunConfiguration, asked_in, blaming, configured
from apps.live.play.options import SITE, InvalidOption, Option, read_options
from apps.live.play.playable import refuse_unplayable
from apps.live.play.sites import site_settled
from apps.results.errors import DomainError
from apps.results.models import Run
from scheduler_sim import engine
from scheduler_sim.columnar.digests import json_digest

_NOT_CHANGED = ("site", "keep", "rate", "cores", "failure_list")
"""Another site is another run, what is stored and the pace change nothing of what comes out, and no address holds a
file."""

CHANGEABLE: tuple[Option, ...] = tuple(option for option in asked_in(SITE) if option.name not in _NOT_CHANGED)
"""The options of a run that a what-if may change; their specification is that of every run."""

_CLUSTER_OPTIONS = tuple(option for option in CHANGEABLE if option.stored_as in ClusterChanges.__struct_fields__)


class NotAsked(DomainError):
    """A what-if that cannot be asked: of a run that has no end, or without a change."""


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        run: a finished run, which is played again as it was.
        changes: texts by the names of the options, as an address holds them; only what differs from the run.
        configuration, cluster: of the changed run, as it would be stored.
    """

    run: Run
    changes: Mapping[str, str]
    configuration: RunConfiguration
    cluster: engine.Cluster

    @cached_property
    def before(self) -> RunConfiguration:
        """The configuration of the run as it was."""
        return RunConfiguration.from_json(self.run.configuration)

    @property
    def placements(self) -> int:
        """How many placements playing both takes."""
        return sum(
            len(one.policies) * min(one.limit or self.run.workload.task_count, self.run.workload.task_count)
            for one in (self.before, self.configuration)
        )

    @property
    def why_only_kept(self) -> str:
        """Why it is not played at once; empty where it is."""
        most = settings.WHAT_IF_PLACEMENTS
        if self.placements <= most:
            return ""
        return (
            f"Playing both takes {self.placements:,} placements, and at once at most {most:,} are played "
            "(WHAT_IF_PLACEMENTS). Keep it as a run, which is played in the background, or change the tasks played."
        )

    @cached_property
    def digest(self) -> str:
        """A digest of all that decides the answer."""
        return json_digest(
            {
                "run": self.run.pk,
                "before": self.run.configuration,
                "before_cluster": self.run.cluster,
                "after": self.configuration.as_json(),
                "after_cluster": self.cluster.as_json(),
                "engine": engine.ENGINE_VERSION,
            }
        )

    def changed_run(self) -> Run:
        """Return the changed run, unsaved, so that its configuration can be said in words."""
        return Run(
            workload=self.run.workload,
            cluster=self.cluster.as_json(),
            policies=list(self.configuration.policies),
            seed=self.configuration.seed,
            engine_version=engine.ENGINE_VERSION,
            code_version=self.run.code_version,
            configuration=self.configuration.as_json(),
        )


def question(run: Run, given: Mapping[str, Any]) -> Question:
    """Read what is changed of a run, by the names of the options; empty values change nothing.

    Nodes are added to and dropped from those that the run had, whatever it had changed itself; every other option
    takes the place of the run's.

    Raises:
        NotAsked: the run is not finished, or nothing is changed.
        InvalidOption: an option that there is not, a value that it cannot have, or what cannot be played; the option is
            blamed.
    """
    if run.status != Run.Status.FINISHED:
        raise NotAsked(f"Run {run.name} is {run.status}; what if is asked of a finished run.")
    values = read_options(CHANGEABLE, {name: value for name, value in given.items() if value not in ("", None)})
    before = RunConfiguration.from_json(run.configuration)
    stored = msgspec.structs.asdict(before)
    changed = {name: value for name, value in values.items() if stored.get(name) != value}
    if not changed:
        raise NotAsked("Nothing is changed: the run would be played again as it was.")
    # Of a closed loop only figures are kept, and no others are asked for here.
    kept = {"keep": "summary"} if changed.get("feedback", "open") != "open" else {}
    configuration, asked = configured({**stored, **kept, "rate": None, "cores": None, "site_changes": None, **changed})
    if before.site is None:
        cluster = engine.Cluster.from_json(run.cluster)
        for option, change in asked.steps():
            with blaming(option):
                cluster = change(cluster)
    else:
        had = ClusterChanges(**read_options(_CLUSTER_OPTIONS, before.site_changes or {}))
        configuration, site = site_settled(configuration, had.and_then(asked))
        cluster = site.cluster
    try:
        refuse_unplayable(configuration, cluster)
        configuration = configuration.with_models()
    except InvalidOption:
        raise
    except (DomainError, engine.EngineError) as error:
        raise InvalidOption(str(error), "policies") from error
    return Question(run, _texts(changed), configuration, cluster)


def _texts(changed: Mapping[str, Any]) -> dict[str, str]:
    """Return values as they would be asked for, in the order of the options."""
    return {
        option.name: option.spelt(changed[option.stored_as]) for option in CHANGEABLE if option.stored_as in changed
    }
