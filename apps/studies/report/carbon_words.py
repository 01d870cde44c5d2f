"""What a study says of carbon against wait: how much a policy saves beside the base, and what it costs in waiting."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from apps.results.models import Study
from apps.studies.grid import Cell
from apps.studies.report.figures import in_order, study_values
from scheduler_sim.display.formatting import duration
from scheduler_sim.engine.numerics.statistics import Interval, mean_interval

MOST_CELLS = 3

SAVED, WAITED = "carbon_kg", "mean_wait_time"


def carbon_sentences(study: Study, base: str, place: Callable[[Cell, Sequence[Cell]], str]) -> list[str]:
    """Return a sentence a cell, of its policy with the least carbon; none where no run has a series of carbon.

    Args:
        place: says what tells a cell from others.
    """
    if not _names_series(study.definition):
        return []
    values = study_values(study, (SAVED, WAITED))
    cells = in_order(values[SAVED], study)
    sentences = []
    for cell in cells:
        text = _sentence(values[SAVED][cell], values[WAITED][cell], base)
        if text:
            where = place(cell, cells)
            sentences.append(f"{where[:1].upper()}{where[1:]}: {text}" if where else text)
    return sentences[:MOST_CELLS]


def _names_series(definition: Mapping[str, Any]) -> bool:
    """Tell whether a study, or a variant of it, names a series."""
    variants = definition.get("variants") or []
    parts = [definition, *(variants if isinstance(variants, list) else [variants])]
    return any(part.get("series") for part in parts if isinstance(part, Mapping))


def _sentence(carbon: Mapping[str, Mapping[int, float]], wait: Mapping[str, Mapping[int, float]], base: str) -> str:
    """Compare the policy that emits least with the base on the seeds that both were played with."""
    means = {name: math.fsum(seeds.values()) / len(seeds) for name, seeds in carbon.items() if seeds}
    known = {name: mean for name, mean in means.items() if not math.isnan(mean)}
    if not known.get(base):
        return ""
    best = min(known, key=known.__getitem__)
    if best == base:
        return f"No policy emits less carbon than {base}." if len(known) > 1 else ""
    seeds = sorted(set(carbon[best]) & set(carbon[base]))
    saved = _interval([1 - carbon[best][seed] / carbon[base][seed] for seed in seeds if carbon[base][seed]])
    waited = _interval([wait[best][seed] - wait[base][seed] for seed in seeds])
    if math.isnan(saved.mean) or math.isnan(waited.mean):
        return ""
    costs = waited.mean >= 0
    sure = saved.is_bounded
    part = f" ({saved.low:.1%} to {saved.high:.1%})" if sure else ""
    ends = sorted(end if costs else -end for end in (waited.low, waited.high))
    time = f" ({_signed(ends[0])} to {_signed(ends[1])})" if sure else ""
    alike = "one seed says" if len(seeds) < 2 else "equal values for all seeds say"
    chance = f"95% intervals over {len(seeds)} seeds" if sure else f"{alike} nothing about chance"
    return (
        f"{best} saves {saved.mean:.1%} of the carbon of tasks under {base}{part} and {'costs' if costs else 'spares'} "
        f"{duration(abs(waited.mean))} of mean wait{time}; {chance}."
    )


def _interval(values: Sequence[float]) -> Interval:
    return mean_interval([value for value in values if not math.isnan(value)])


def _signed(seconds: float) -> str:
    return f"-{duration(-seconds)}" if seconds < 0 else duration(seconds)
