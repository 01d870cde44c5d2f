"""A run's configuration as a page says it: what each choice is called, and what was chosen."""

from collections.abc import Mapping
from typing import Any

from apps.results.models import Run

GROUPS_NAMED = 4
"""Clusters of more node groups are summed up."""

LABELS = {
    "policies": "Policies",
    "seed": "Seed",
    "limit": "Tasks played",
    "estimates": "Estimates that policies are told",
    "load_factor": "Arrivals",
    "on_oversize": "Tasks that can never fit",
    "split_model": "The two sides of a split task run",
    "kill_at_estimate": "Tasks end when their estimate is used up",
    "conservative_depth": "Reservations of conservative backfilling",
    "warmup": "First arrivals not scored",
    "cooldown": "Last arrivals not scored",
    "models": "Stored models in use",
    "agent_reward": "The agent minimises",
    "agent_from_scratch": "The agent begins without its stored table",
    "keep": "Stored",
}
"""In the order of the page; docs/model.md says what each choice does."""

WORDS: Mapping[str, Mapping[Any, str]] = {
    "limit": {None: "all"},
    "estimates": {"trace": "as the workload states them", "exact": "the true run times"},
    "load_factor": {1.0: "as in the workload"},
    "on_oversize": {"fail": "refuse the run", "drop": "left out", "clamp": "cut to the cluster"},
    "split_model": {"concurrent": "at the same time", "sequential": "one after the other"},
    "conservative_depth": {None: "for every queued task"},
    "agent_reward": {None: "what the stored agent does, or time alone"},
    "keep": {"results": "every placement", "summary": "the figures only"},
}


def configuration_rows(run: Run) -> list[tuple[str, str]]:
    """Return the configuration, the cluster and the code that played it, each with its value in words."""
    rows = [(_label(key), _value(key, run.configuration[key])) for key in _keys(run.configuration)]
    rows += [("Cluster", _cluster(run.cluster)), ("Engine", run.engine_version)]
    return [*rows, ("Code", run.code_version or "not known")]


def _keys(document: Mapping[str, Any]) -> list[str]:
    return [key for key in LABELS if key in document] + [key for key in document if key not in LABELS]


def _label(key: str) -> str:
    return LABELS.get(key, key.replace("_", " ").capitalize())


def _value(key: str, value: Any) -> str:
    words = WORDS.get(key, {})
    if not isinstance(value, list | dict) and value in words:
        return words[value]
    if key == "load_factor":
        return f"{value:g} times as dense as in the workload"
    if key in ("warmup", "cooldown"):
        return f"{value:.0%}" if value else "none"
    if key == "models":
        return ", ".join(f"{name} v{version}" for name, version in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _cluster(document: Mapping[str, Any]) -> str:
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
        groups.append(f"{group['count']:,} × {group['name']} with {' and '.join(parts)}")
    return f"{document['name']}: {'; '.join(groups)}"
