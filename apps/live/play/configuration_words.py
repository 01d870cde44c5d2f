"""A run's configuration as a page says it: what each choice is called, and what was chosen."""

from collections.abc import Mapping
from typing import Any

from apps.live.play.configuration import RUN_OPTIONS
from apps.results.models import Run
from scheduler_sim.display.formatting import duration
from scheduler_sim.engine.units import SECONDS_PER_HOUR

GROUPS_NAMED = 4
"""Clusters of more node groups are summed up."""


def configuration_rows(run: Run) -> list[tuple[str, str]]:
    """Return the configuration, the cluster and the code that played it, each with its value in words."""
    document = run.configuration
    rows = [
        (option.about.label, option.words(document[option.stored_as]))
        for option in RUN_OPTIONS
        if option.stored_as in document
    ]
    known = {option.stored_as for option in RUN_OPTIONS}
    rows += [(key.replace("_", " ").capitalize(), str(document[key])) for key in document if key not in known]
    rows += [("Cluster", cluster_in_words(run.cluster)), ("Engine", run.engine_version)]
    return [*rows, ("Code", run.code_version or "not known")]


def not_scored(run: Run) -> str:
    """Return which arrivals are played and left out of the figures, `the first 10% and the last 5%`; empty for none."""
    parts = [("first", run.configuration.get("warmup")), ("last", run.configuration.get("cooldown"))]
    return " and ".join(f"the {which} {part:.0%}" for which, part in parts if part)


def cluster_in_words(document: Mapping[str, Any]) -> str:
    """Return a stored cluster's name and its node groups, or what they come to where they are many."""
    every = document["groups"]
    if len(every) > GROUPS_NAMED:
        cores, gpus = (sum(one["count"] * one.get(key, 0) for one in every) for key in ("cores", "gpus"))
        nodes = sum(one["count"] for one in every)
        return f"{document['name']}: {nodes:,} nodes in {len(every)} groups, {cores:,} cores and {gpus:,} GPUs"
    groups = []
    for group in every:
        parts = [f"{group['cores']:,} cores"]
        if group.get("gpus"):
            kind = f" ({group['gpu_type']})" if group.get("gpu_type") else ""
            parts.append(f"{group['gpus']} GPUs{kind}")
        groups.append(
            f"{group['count']:,} × {group['name']} with {' and '.join(parts)}{_step(group)}{_failures(group)}"
        )
    return f"{document['name']}: {'; '.join(groups)}"


def _step(group: Mapping[str, Any]) -> str:
    steps = group.get("frequencies")
    return f", at step {group['frequency']} of {len(steps)} frequencies" if steps else ""


def _failures(group: Mapping[str, Any]) -> str:
    model = group.get("failures")
    if model is None:
        return ""
    mean, repair = (duration(SECONDS_PER_HOUR * model[name]) for name in ("mean_hours", "repair_hours"))
    kind = "" if model.get("distribution", "exponential") == "exponential" else f" (Weibull, shape {model['shape']:g})"
    return f", each failing after {mean} on average{kind} and away for {repair}"
