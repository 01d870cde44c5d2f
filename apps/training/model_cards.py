"""Cards of stored models (Mitchell et al., FAT* 2019): what each learned from, how it does and where it loses."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from apps.training.model_charts import significant
from apps.training.models import BY_GROUP, TrainedModel
from apps.training.registry import AGENT_KIND, HYBRID_KIND, RUNTIME_KIND, SCORE_KINDS
from apps.training.requests import SEARCHED
from scheduler_sim.engine.clusters.presets import PRESET
from scheduler_sim.engine.learning.settings import SearchSettings


@dataclass(frozen=True)
class GroupFigure:
    """How one group of held-out tasks fares.

    Attributes:
        kind, name: which tasks. tasks: how many, one that is in several windows counted in each.
        learned, other: the mean figure with the model and with what it is held against; lower is better.
    """

    kind: str
    name: str
    tasks: int
    learned: float
    other: float

    @property
    def loses(self) -> bool:
        """Whether the group fares worse with the model."""
        return self.learned > self.other


@dataclass(frozen=True)
class ModelCard:
    """What there is to know of a model before it is used.

    Attributes:
        model: name and version. kind, features, seed: as stored.
        use: what it is made for. learned_from: what it was fitted to, in words: (what, value).
        figures: on later data, (name, value). judged: on what data that is.
        figure, against: of the groups. groups: of the held-out tasks.
        loses: sentences on where something else does better. limits: sentences on what the figures do not say.
        missing: how to get figures by group where none are stored, else empty.
    """

    model: str
    kind: str
    use: str
    learned_from: list[tuple[str, str]]
    features: list[str]
    seed: int
    judged: str
    figures: list[tuple[str, str]]
    figure: str
    against: str
    groups: list[GroupFigure]
    loses: list[str]
    limits: list[str]
    missing: str

    @classmethod
    def of(cls, model: TrainedModel) -> "ModelCard":
        """Write the card from what is stored with a model."""
        scores = dict(model.scores)
        told = scores.pop(BY_GROUP, None) or {}
        kind = _kind(model)
        groups = [GroupFigure(**one) for one in told.get("groups", ())]
        figure, against = told.get("figure", "").replace("_", " "), told.get("against", "")
        return cls(
            model=str(model),
            kind=model.kind,
            use=_CHOICES.get(model.kind) or _USE.get(kind, "Not said."),
            learned_from=[
                (_words(key), significant(value)) for key, value in model.data_range.items() if value is not None
            ],
            features=list(model.features),
            seed=model.seed,
            judged=_JUDGED.get(kind, "Not said."),
            figures=[(_words(key), significant(value)) for key, value in scores.items()],
            figure=figure,
            against=against,
            groups=groups,
            loses=[*_overall(scores, kind), *_groups_that_lose(groups, figure, against)],
            limits=[*_LIMITS.get(kind, ()), _ONE_WORKLOAD, *([] if kind == HYBRID_KIND else [_USERS])],
            missing="" if groups else _missing(model, kind),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the card as a document."""
        return {
            **asdict(self),
            "learned_from": dict(self.learned_from),
            "figures": dict(self.figures),
            "groups": [{**asdict(one), "loses": one.loses} for one in self.groups],
        }

    def as_markdown(self) -> str:
        """Return the card as a Markdown page."""
        parts = [
            f"# Model card: {self.model}",
            f"Kind `{self.kind}`, seed {self.seed}. {self.use}",
            "## Learned from",
            *_table(("what", "value"), self.learned_from),
            f"Features: {', '.join(self.features) or 'not said'}.",
            "## On later data",
            self.judged,
            *_table(("figure", "value"), self.figures),
            "## By group",
        ]
        if self.groups:
            rows = [
                (one.kind, one.name, f"{one.tasks:,}", significant(one.learned), significant(one.other))
                for one in self.groups
            ]
            parts += [
                f"{self.figure.capitalize()} of held-out tasks; lower is better.",
                *_table(("by", "group", "tasks", "with the model", f"with {self.against}"), rows),
            ]
        else:
            parts.append(self.missing)
        parts += ["## Where it loses", *_list(self.loses or [_NOWHERE]), "## Limits", *_list(self.limits)]
        return "\n\n".join(parts) + "\n"


_NOWHERE = "Nowhere among what is stored."

_USE = {
    "score": "The order of a queue on one pool of processors, with the backfilling it was searched with.",
    HYBRID_KIND: "The GPU fraction of tasks that may be split between cores and a GPU.",
    RUNTIME_KIND: "Run times told to policies in place of users' estimates, as predictions inside a run.",
    AGENT_KIND: "The GPU fraction of tasks that may be split, by a table that is looked up while a run goes on.",
}

_CHOICES = {
    "node": "The node of each task, beside the order and the backfilling of its search.",
    "split": "The node and the GPU fraction of each task, beside the order and the backfilling of its search.",
    "preemption": "Which tasks run and which are stopped, with the ~preemption and the backfilling of its search.",
}

_JUDGED = {
    "score": "Windows of the later half of the workload, which the search did not see, each begun on an idle machine.",
    HYBRID_KIND: "The newest fifth of the rows, which it was not fitted to, on free devices.",
    RUNTIME_KIND: "The last fifth of the workload, which it was not fitted to; the past as the log holds it.",
    AGENT_KIND: "The last fifth of the very tasks that it learned on, when it explores no more: not held out.",
}

_LIMITS = {
    "score": (
        "Windows overlap where the later half does not hold as many side by side: they are no independent samples.",
        "A score that lowers the mean slowdown does so at the price of some tasks; look at the groups by run time.",
    ),
    HYBRID_KIND: ("Rows say what is best on free devices, not where tasks wait for them; they name no users.",),
    RUNTIME_KIND: (
        "In a run a predictor knows only what has finished there; the errors above are with the log's own past.",
        "Nearer predictions do not make a better schedule: too short ones break reservations.",
    ),
    AGENT_KIND: ("The figures are in-sample.", "The table fits the cluster that it was learned on."),
}

_LIMITS["choice"] = (
    *_LIMITS["score"],
    "It was searched on one cluster; on another, what is free there means something else.",
)
_JUDGED["choice"] = _JUDGED["score"].replace("machine", "cluster")

_ONE_WORKLOAD = "One workload was learned from; on another site's tasks it is to be judged anew before it is used."
_USERS = "Users are grouped by how many tasks they submitted; nothing is known of who they are, and none is named."


def _missing(model: TrainedModel, kind: str) -> str:
    told = "No figures by group are stored with this version: it was trained before they were kept, or elsewhere."
    if kind not in _AGAIN:
        return told
    command, arguments = _AGAIN[kind]
    words = [word for name, value in arguments(model) if value is not None for word in (f"--{name}", str(value))]
    line = f"{told} Training it again stores a version with them: {shlex.join(['manage.py', *command, *words])}"
    cluster = _cluster(model)
    return line if _CLUSTER_FILE not in words else f"{line} (FILE describes the cluster {cluster})"


Arguments = list[tuple[str, Any]]


def _hybrid_arguments(model: TrainedModel) -> Arguments:
    seen = model.data_range
    rows = [("from", seen.get("run")), *((name, seen.get(name)) for name in ("window", "since", "until"))]
    return [*rows, ("algorithm", model.parameters.get("algorithm")), ("name", model.name), ("seed", model.seed)]


def _runtime_arguments(model: TrainedModel) -> Arguments:
    return [
        ("workload", _workload(model)),
        ("algorithm", model.parameters.get("algorithm")),
        ("name", model.name),
        ("seed", model.seed),
    ]


def _agent_arguments(model: TrainedModel) -> Arguments:
    reward = model.parameters.get("reward")
    weights = reward and ",".join(f"{reward[name]:g}" for name in ("time", "energy", "cost"))
    return [
        ("workload", _workload(model)),
        ("cluster", _said(_cluster(model))),
        ("agent-reward", weights),
        ("seed", model.seed),
    ]


def _score_arguments(model: TrainedModel) -> Arguments:
    known, usual = model.parameters, asdict(SearchSettings())
    changed = {name: known[name] for name in SEARCHED if name in known and known[name] != usual[name]}
    seeds = [one["seed"] for one in known.get("searches", ())] or [model.seed]
    return [
        ("workload", _workload(model)),
        ("name", model.name),
        ("processors", known.get("processors")),
        ("cluster", _said(_cluster(model))),
        *((name.replace("_", "-"), value) for name, value in changed.items()),
        ("seed", min(seeds)),
        ("searches", len(seeds)),
    ]


_CLUSTER_FILE = "FILE"


def _cluster(model: TrainedModel) -> str | None:
    """Return the name of the cluster on which it was trained, None for a pool."""
    found = model.data_range.get("cluster") or model.parameters.get("cluster")
    return None if found is None else str(found)


def _said(cluster: str | None) -> str | None:
    """Return how a command is told of a cluster: of one out of a file only the name is stored."""
    return cluster if cluster is None or PRESET.fullmatch(cluster) else _CLUSTER_FILE


def _workload(model: TrainedModel) -> str:
    return str(model.data_range.get("workload", "WORKLOAD"))


_AGAIN: Mapping[str, tuple[list[str], Callable[[TrainedModel], Arguments]]] = {
    HYBRID_KIND: (["trainmodel", HYBRID_KIND], _hybrid_arguments),
    RUNTIME_KIND: (["trainmodel", RUNTIME_KIND], _runtime_arguments),
    AGENT_KIND: (["trainmodel", AGENT_KIND], _agent_arguments),
    "score": (["trainpolicy"], _score_arguments),
    "choice": (["trainpolicy"], _score_arguments),
}
"""By kind: the command that trains such a model, and what to ask it for so that it makes the same, None for nothing."""


def _kind(model: TrainedModel) -> str:
    """Return under what a model stands in the tables here."""
    if model.kind in _CHOICES:
        return "choice"
    return "score" if model.kind in SCORE_KINDS else model.kind


def _words(key: str) -> str:
    return key.replace("_", " ")


def _overall(scores: dict[str, Any], kind: str) -> list[str]:
    """Return where a model as a whole does worse than what it is held against."""
    pairs = {
        HYBRID_KIND: (("mean_regret", "mean_regret_of_the_median", "always guessing the median"),),
        RUNTIME_KIND: (
            ("mae_log", "mae_log_of_the_median", "always guessing the median, by logarithms"),
            ("mae", "mae_of_the_median", "always guessing the median, by seconds"),
            ("mae", "mae_of_the_estimates", "the stated estimates, by seconds"),
        ),
        AGENT_KIND: (("mean_jct_of_last_fifth", "mean_jct_of_last_fifth_greedy", "greedy"),),
    }
    found = [
        f"All held-out tasks: {significant(scores[own])}, with {told} {significant(scores[other])}."
        for own, other, told in pairs.get(kind, ())
        if scores.get(own) is not None and scores.get(other) is not None and scores[own] > scores[other]
    ]
    own = next((value for key, value in scores.items() if key.startswith("held_out_mean_")), None)
    better = {name: value for name, value in (scores.get("others") or {}).items() if own is not None and value < own}
    return found + [
        f"All held-out tasks: {significant(own)}, with {name} {significant(value)}."
        for name, value in sorted(better.items(), key=lambda item: item[1])
    ]


def _groups_that_lose(groups: list[GroupFigure], figure: str, against: str) -> list[str]:
    return [
        f"{one.kind.capitalize()}, {one.name}: {figure} {significant(one.learned)}, with {against} "
        f"{significant(one.other)} ({one.tasks:,} tasks)."
        for one in groups
        if one.loses
    ]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return ["Nothing is stored."]
    lines = [head, tuple("---" for _ in head), *rows]
    return ["\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _list(sentences: list[str]) -> list[str]:
    return ["\n".join(f"- {one}" for one in sentences)]
