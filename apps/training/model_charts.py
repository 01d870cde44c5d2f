"""Charts of learned models: how their versions score, what they look at, and how learning went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.training.models import PolicySearch, TrainedModel
from scheduler_sim.display.appearance import COLOURS
from scheduler_sim.display.charts import Axis, Chart, Series, TextTable
from scheduler_sim.display.formatting import listing


@dataclass(frozen=True)
class Headline:
    """The one score by which versions of a kind of model are compared; lower is better.

    Attributes:
        key: of the score. without: of the same score of what it is compared with, empty where none is stored.
        other: what that is.
    """

    key: str
    label: str
    without: str = ""
    other: str = "the median, always guessed"


HEADLINES = {
    "hybrid_ml": Headline("mean_regret", "Mean regret", "mean_regret_of_the_median"),
    "runtime": Headline("mae_log", "Mean absolute error of the logarithm", "mae_log_of_the_median"),
    "rl_agent": Headline(
        "mean_jct_of_last_fifth",
        "Mean JCT of the last fifth, s",
        "mean_jct_of_last_fifth_greedy",
        "the placement greedy, on the same tasks",
    ),
}

CURVES = {
    "generation": ("Generation", "Mean logarithm of the objective", ("training", "validation")),
    "tasks": ("Tasks", "Epsilon, and mean reward", ("epsilon", "reward")),
}
"""What a stored learning curve is drawn against, by the name of its steps: policy search, and agents."""


def significant(value: object) -> str:
    """Write a score with four significant digits; texts stay, and structures become lists of their parts."""
    if isinstance(value, bool) or value is None:
        return "no data" if value is None else "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    if isinstance(value, list):
        return ", ".join(map(significant, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {significant(one)}" for key, one in value.items() if one is not None)
    return str(value)


def headline(model: TrainedModel) -> tuple[str, float] | None:
    """Return what a model is judged by and the score, None where nothing fits."""
    known = HEADLINES.get(model.kind)
    key = known.key if known else next((key for key in model.scores if key.startswith("held_out_mean_")), "")
    value = model.scores.get(key)
    if not isinstance(value, int | float):
        return None
    return (known.label if known else f"Held-out {key.removeprefix('held_out_mean_')}"), value


def model_charts(models: Sequence[TrainedModel]) -> dict[str, Chart]:
    """Return the charts of the models by key: scores of all versions, and of active ones the rest."""
    active = [model for model in models if model.active]
    drawn = [*_scores(models), *map(_importance, active), *map(_curve, active)]
    return {chart.key: chart for chart in drawn if chart is not None}


def _scores(models: Sequence[TrainedModel]) -> list[Chart]:
    by_name: dict[str, list[TrainedModel]] = {}
    for model in sorted(models, key=lambda model: model.version):
        if headline(model):
            by_name.setdefault(model.name, []).append(model)
    return [_versions(name, versions) for name, versions in by_name.items() if len(versions) > 1]


def _versions(name: str, versions: Sequence[TrainedModel]) -> Chart:
    numbers = [f"v{model.version}" for model in versions]
    found = [one for one in map(headline, versions) if one]
    label, values = found[0][0], [value for _, value in found]
    series = [Series(name, numbers, values)]
    known = HEADLINES.get(versions[0].kind)
    if known and known.without and all(known.without in model.scores for model in versions):
        series.append(Series(known.other, numbers, [model.scores[known.without] for model in versions]))
    best = min(range(len(values)), key=values.__getitem__)
    return Chart(
        f"scores-{versions[0].pk}",
        "line",
        f"{label} of {name} by version",
        f"Of {len(versions)} versions, each scored on later data that it was not trained on, {numbers[best]} is best "
        f"with {significant(values[best])}; lower is better.",
        Axis("Version", "", "category"),
        Axis(label),
        series,
        TextTable(
            ("Version", *(one.name for one in series)),
            [(number, *(significant(one.y[row]) for one in series)) for row, number in enumerate(numbers)],
        ),
    )


def search_chart(search: PolicySearch) -> Chart:
    """Draw how the validation of each search goes while the searches are under way; lower is better."""
    across, up, (_, validation) = CURVES["generation"]
    looks = {seed: [point for point in search.curve if point["seed"] == seed] for seed in search.seeds}
    finding = "No search has been looked at yet."
    if search.curve:
        best = min(search.curve, key=lambda point: point[validation])
        finding = (
            f"So far seed {best['seed']} does best on the validation part, {significant(best[validation])} "
            f"after {best['generation']:,} generations."
        )
    return Chart(
        f"search-{search.pk}",
        "line",
        f"How {search.name} is being searched",
        finding,
        Axis(across),
        Axis(up, scale="free"),
        [
            Series(
                f"seed {seed}",
                [point["generation"] for point in points],
                [point[validation] for point in points],
                colour=number % COLOURS,
            )
            for number, (seed, points) in enumerate(looks.items())
            if points
        ],
        TextTable(
            ("Seed", across, "Training", "Validation"),
            [
                (
                    str(point["seed"]),
                    f"{point['generation']:,}",
                    *(significant(point[key]) for key in CURVES["generation"][2]),
                )
                for point in search.curve
            ],
        ),
    )


def _importance(model: TrainedModel) -> Chart | None:
    weights: Any = model.parameters.get("feature_importance")
    if not isinstance(weights, dict) or not any(weights.values()):
        return None
    ordered = sorted(weights.items(), key=lambda item: -abs(item[1]))
    names, values = [name for name, _ in ordered], [value for _, value in ordered]
    unused = [name for name, value in ordered if value == 0]
    finding = f"{names[0]} matters most to {model}: {values[0] / sum(values):.0%} of what its splits gain."
    if unused:
        finding += f" It does not look at {listing(unused)}."
    return Chart(
        f"importance-{model.pk}",
        "bar",
        f"What {model} looks at",
        finding,
        Axis("Feature", "", "category"),
        Axis("Part of the gain", "share"),
        [Series(str(model), names, [value / sum(values) for value in values])],
        TextTable(("Feature", "Part of the gain"), [(name, f"{value / sum(values):.1%}") for name, value in ordered]),
    )


def _curve(model: TrainedModel) -> Chart | None:
    curve = model.parameters.get("curve")
    step = next((name for name in CURVES if curve and name in curve[0]), None)
    if step is None:
        return None
    across, up, names = CURVES[step]
    curve = sorted(curve, key=lambda point: point[step])
    steps = [point[step] for point in curve]
    last = names[-1]
    first, end = significant(curve[0][last]), significant(curve[-1][last])
    finding = f"Over {steps[-1]:,} tasks the {last} goes from {first} to {end}."
    if step == "generation":
        kept = min(curve, key=lambda point: point[last])
        finding = (
            f"Of {steps[-1]:,} generations, {kept[step]:,} do best on the validation part, "
            f"{significant(kept[last])}: the score that is kept comes from as many."
        )
    return Chart(
        f"curve-{model.pk}",
        "line",
        f"How {model} learned",
        finding,
        Axis(across),
        Axis(up, scale="free" if step == "generation" else "linear"),
        [Series(name, steps, [point[name] for point in curve]) for name in names],
        TextTable(
            (across, *names), [(f"{point[step]:,}", *(significant(point[name]) for name in names)) for point in curve]
        ),
    )
