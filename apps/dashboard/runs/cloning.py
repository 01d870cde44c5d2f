"""What the form of a new run holds when it begins from a run that is stored."""

import json
from typing import Any

from apps.live.play.configuration import asked_in
from apps.live.play.options import SITE
from apps.results.models import Run
from scheduler_sim import engine
from scheduler_sim.display.policy_choices import offered_policies
from scheduler_sim.engine.clusters.presets import PRESET, load_cluster


def cloned(run: Run) -> dict[str, Any]:
    """Return the fields of the form, filled so that it asks for what `run` played; its name is left to be made up."""
    stored = run.configuration | (run.configuration.get("site_changes") or {})
    fields: dict[str, Any] = {}
    for option in asked_in(SITE):
        value = stored.get(option.stored_as, option.default)
        if option.name != "policies" and value != option.default:
            fields[option.name] = option.asked(value)
    offered = offered_policies()
    fields["policies"] = [name for name in run.policies if name in offered]
    fields["others"] = ", ".join(name for name in run.policies if name not in offered)
    fields["workload"] = run.workload_id
    if run.site is not None:
        fields["site"] = run.site.reference
    else:
        fields |= _cluster_fields(run)
    return fields


def _cluster_fields(run: Run) -> dict[str, str]:
    """Return the preset that the run's cluster is, or else its description, by the field that takes it."""
    name = run.cluster["name"]
    if PRESET.fullmatch(name):
        try:
            is_preset = load_cluster(name, max_processors=run.workload.max_processors).as_json() == run.cluster
        except engine.EngineError:
            is_preset = False
        if is_preset:
            return {"cluster": str(name)}
    return {"described": json.dumps(run.cluster)}
