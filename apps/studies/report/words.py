"""What a study says in plain words, made from its numbers alone."""

import math
from collections.abc import Sequence
from dataclasses import replace

from apps.results.fidelity import study_doubts
from apps.results.models import Study
from apps.studies.grid import Cell
from apps.studies.report.carbon_words import carbon_sentences
from apps.studies.report.figures import CellFigures, Standing
from scheduler_sim.display.formatting import change_in_words, figure_scale, listing
from scheduler_sim.engine.measuring.figures import FIGURES

ALIKE = 0.01
"""Means of two clusters that differ by less than this part are called as good as each other."""

MOST_SENTENCES = 6


def study_sentences(study: Study, cells: Sequence[CellFigures], *, figure: str, base: str) -> list[str]:
    """Return what must be known to read a study's figures, and behind it what they say."""
    return [
        *_cautions(study),
        *study_doubts(study),
        *study_in_words(cells, figure=figure, base=base),
        *carbon_sentences(study, base, place_in_words),
    ]


def study_in_words(cells: Sequence[CellFigures], *, figure: str, base: str) -> list[str]:
    """Return a few sentences: which policy is best where, what it changes, and what other hardware would do instead."""
    known = [cell for cell in cells if cell.best]
    if not known:
        return ["No run has finished, so there is nothing to compare."]
    sentences = [_overall(known), *_alike(known, figure)]
    today = [cell for cell in known if cell.cell.cluster == known[0].cell.cluster]
    # Today's load where the study has it, else one in the middle.
    typical = next((cell for cell in today if cell.cell.load_factor == 1), today[len(today) // 2])
    sentences += [text for text in (_against_base(typical, figure, base, known),) if text]
    sentences += _recorded(known, figure)
    sentences += _hardware(known, figure, base)
    return sentences[:MOST_SENTENCES]


def place_in_words(cell: Cell, among: Sequence[Cell]) -> str:
    """Return what tells a cell from the others, such as `at load 0.9 on dgx-4`."""
    parts = []
    if len({one.load_factor for one in among}) > 1:
        parts.append(f"at load factor {cell.load_factor:g}")
    if len({one.cluster for one in among}) > 1:
        parts.append(f"on {cell.cluster}")
    if len({one.workload for one in among}) > 1:
        parts.append(f"for {cell.workload}")
    if len({one.estimates for one in among}) > 1:
        parts.append(f"with {cell.estimates} estimates")
    if cell.variant and len({one.variant for one in among}) > 1:
        parts.append(f"under {cell.variant}")
    return " ".join(parts)


def _overall(cells: Sequence[CellFigures]) -> str:
    wins: dict[str, int] = {}
    for cell in cells:
        wins[cell.best] = wins.get(cell.best, 0) + 1
    order = sorted(wins, key=lambda name: (-wins[name], name))
    if len(cells) == 1:
        return f"{order[0]} is best."
    if len(order) == 1:
        return f"{order[0]} is best in all {len(cells)} cells."
    rest = listing(f"{name} in {wins[name]}" for name in order[1:4])
    return f"{order[0]} is best in {wins[order[0]]} of {len(cells)} cells, {rest}."


def _cautions(study: Study) -> list[str]:
    """Return what must be known to read the figures, each sentence once; of some workloads alone with their names."""
    every = set(study.runs.order_by().values_list("study_point__workload", flat=True).distinct())
    of_text: dict[str, set[str]] = {}
    told = study.runs.exclude(cautions=[]).order_by("pk").values_list("study_point__workload", "cautions")
    for workload, cautions in told:
        for caution in cautions:
            of_text.setdefault(caution["text"], set()).add(workload)
    return [text if names == every else f"{listing(sorted(names))}: {text}" for text, names in of_text.items()]


def _alike(cells: Sequence[CellFigures], figure: str) -> list[str]:
    """Say for which workloads every seed gave the same, so that the cells of these have no interval."""
    alike = [cell for cell in cells if cell.is_alike]
    if not alike:
        return []
    names = sorted({cell.cell.workload for cell in alike})
    some = "" if len(alike) == len(cells) else f" in {len(alike)} of {len(cells)} cells ({listing(names)})"
    return [f"All seeds give the same {_short(figure)}{some}, so that there is no interval and no difference is clear."]


def _against_base(cell: CellFigures, figure: str, base: str, known: Sequence[CellFigures]) -> str:
    best, other = cell.standings[cell.best], cell.standings.get(base)
    if other is None or best is other or not _both(best, other):
        return ""
    where = f"{_capital(_whole_place(cell.cell, known))}, " if len(known) > 1 else ""
    before, after = _pair(figure, other, best)
    text = (
        f"{where}{cell.best} {_verb(best.interval.mean, other.interval.mean)} the {_short(figure)} from "
        f"{before} under {base} to {after}"
    )
    if best.interval.mean > 0 and other.interval.mean > 0:
        text += f", {change_in_words(best.interval.mean, other.interval.mean)}"
    difference = best.difference
    if difference is None or not difference.interval.is_bounded:
        seeds = (
            "one seed" if difference is None or difference.interval.count < 2 else "the same difference for all seeds"
        )
        return f"{text}; {seeds} says nothing about chance."
    sure = "holds" if difference.is_clear else "does not hold"
    return (
        f"{text}; the difference {sure} at 95% over {difference.interval.count} seeds, corrected for "
        f"{len(cell.standings) - 1} comparisons."
    )


def _recorded(cells: Sequence[CellFigures], figure: str) -> list[str]:
    """Compare what really happened with the best simulated policy."""
    found = []
    for cell in cells:
        real = cell.standings.get("recorded")
        if real is None or cell.best in ("", "recorded") or not _both(real, cell.standings[cell.best]):
            continue
        happened, would_have = _pair(figure, real, cell.standings[cell.best])
        where = f" {_whole_place(cell.cell, cells)}" if len(cells) > 1 else ""
        found.append(
            f"What was recorded had a {_short(figure)} of {happened}{where}; {cell.best} would have had {would_have}."
        )
    return found[:1]


def _hardware(cells: Sequence[CellFigures], figure: str, base: str) -> list[str]:
    """Say what another cluster does under the base policy, and whether a better policy would do as much."""
    sentences = []
    lower = FIGURES[figure].better != "higher"
    groups: dict[Cell, list[CellFigures]] = {}
    for one in cells:
        groups.setdefault(replace(one.cell, cluster=""), []).append(one)
    for elsewhere, group in groups.items():
        today, *others = group
        where = place_in_words(elsewhere, list(groups))
        where = f"{_capital(where)}: " if where else ""
        now = today.standings.get(base)
        best = today.standings.get(today.best)
        for other in others:
            then = other.standings.get(base)
            if now is None or best is None or then is None or not _both(now, then):
                continue
            size = _size(other, today)
            size = size[0].lower() + size[1:] if where else size
            gain, policy_gain = now.interval.mean - then.interval.mean, now.interval.mean - best.interval.mean
            if not lower:
                gain, policy_gain = -gain, -policy_gain
            before, after = _pair(figure, now, then)
            text = (
                f"{where}{size} {_verb(then.interval.mean, now.interval.mean)} the {_short(figure)} under {base} from "
                f"{before} to {after}"
            )
            if gain <= 0 or today.best == base:
                sentences.append(f"{text}.")
            elif policy_gain >= gain * (1 - ALIKE):
                much = "as much" if policy_gain <= gain * (1 + ALIKE) else "more"
                sentences.append(f"{text}; {today.best} on {today.cell.cluster} does {much} without it.")
            else:
                sentences.append(f"{text}; {today.best} on {today.cell.cluster} does {policy_gain / gain:.0%} of that.")
    return sentences[:3]


def _size(other: CellFigures, today: CellFigures) -> str:
    """Return the change of hardware, such as `Adding 8 GPUs and 128 cores (dgx-5)`."""
    changes = [(other.gpus - today.gpus, "GPUs"), (other.cores - today.cores, "cores")]
    added = [f"{number:,} {what}" for number, what in changes if number > 0]
    dropped = [f"{-number:,} {what}" for number, what in changes if number < 0]
    if added and not dropped:
        return f"Adding {listing(added)} ({other.cell.cluster})"
    if dropped and not added:
        return f"Dropping {listing(dropped)} ({other.cell.cluster})"
    return f"Moving from {today.cell.cluster} to {other.cell.cluster}"


def _whole_place(cell: Cell, cells: Sequence[CellFigures]) -> str:
    """Return the load and the cluster of a cell, and whatever else tells it from the others."""
    further = place_in_words(_anywhere(cell), [_anywhere(one.cell) for one in cells])
    return f"at load factor {cell.load_factor:g} on {cell.cluster} {further}".rstrip()


def _anywhere(cell: Cell) -> Cell:
    return replace(cell, load_factor=1.0, cluster="")


def _both(one: Standing, other: Standing) -> bool:
    return not math.isnan(one.interval.mean) and not math.isnan(other.interval.mean)


def _verb(now: float, before: float) -> str:
    return "cuts" if now < before else "raises" if now > before else "keeps"


def _pair(figure: str, one: Standing, other: Standing) -> tuple[str, str]:
    """Return two means in one unit, that of the smaller."""
    means = sorted((one.interval.mean, other.interval.mean))
    scale = figure_scale(figure, means[:1])
    return scale.with_unit(one.interval.mean), scale.with_unit(other.interval.mean)


def _short(figure: str) -> str:
    label = FIGURES[figure].label
    return label[0].lower() + label[1:] if label[1:2].islower() else label


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
