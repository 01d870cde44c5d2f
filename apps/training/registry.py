"""Stored models: new versions, which one is in use, and how policies find them."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from django.db import transaction

from apps.results.errors import DomainError
from apps.results.models import Run
from apps.training.managers import UnknownModel
from apps.training.models import PREFIX, TrainedModel
from scheduler_sim import engine
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.policies import Order, Placement
from scheduler_sim.engine.policies.agent import AgentSettings, RewardWeights, values_from
from scheduler_sim.engine.policies.learned import ORDER_FORMS, PLACEMENT_FORMS, learned_order, learned_placement
from scheduler_sim.engine.policies.placements.hybrid_ml import hybrid_placement
from scheduler_sim.engine.policies.placements.rl_agent import agent_placement

SCORE_KINDS = (*ORDER_FORMS, *PLACEMENT_FORMS)
HYBRID_KIND = "hybrid_ml"
RUNTIME_KIND = "runtime"
AGENT_KIND = "rl_agent"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")
_LEARNED = re.compile(rf"{PREFIX}:([A-Za-z0-9_-]+)(?=[+@~]|$)")


class InvalidModelName(DomainError):
    """A model's name that could not stand in a policy."""


def check_name(name: str) -> None:
    """Refuse a name that could not stand in a policy.

    Raises:
        InvalidModelName: anything but 1 to 60 letters, digits, - and _.
    """
    if not _NAME.fullmatch(name):
        raise InvalidModelName(f"A model's name has 1 to 60 letters, digits, - and _; {name!r} is none.")


def model_store(
    *,
    name: str,
    kind: str,
    artifact: str,
    parameters: Mapping[str, Any],
    features: Iterable[str],
    data_range: Mapping[str, Any],
    seed: int,
    scores: Mapping[str, Any],
    activate: bool = True,
) -> TrainedModel:
    """Store the next version of a model; its parent is the version that was in use.

    Raises:
        InvalidModelName: see `check_name`, or a name that stands for a model of another kind.
    """
    check_name(name)
    with transaction.atomic():
        versions = TrainedModel.objects.select_for_update().filter(name=name)
        other = versions.exclude(kind=kind).first()
        if other is not None:
            raise InvalidModelName(f"{name} is a model of the kind {other.kind}; choose another name.")
        parent = versions.active().first()
        model = TrainedModel.objects.create(
            name=name,
            kind=kind,
            version=TrainedModel.objects.next_version(name),
            artifact=artifact,
            parameters=dict(parameters),
            features=list(features),
            data_range=dict(data_range),
            seed=seed,
            scores=dict(scores),
            parent=parent,
        )
        if activate:
            model_activate(model=model)
    return model


def model_activate(*, model: TrainedModel) -> None:
    """Put this version in use, instead of whichever was."""
    with transaction.atomic():
        TrainedModel.objects.filter(name=model.name, active=True).exclude(pk=model.pk).update(active=False)
        TrainedModel.objects.filter(pk=model.pk).update(active=True)
    model.active = True


def model_roll_back(*, model: TrainedModel) -> TrainedModel:
    """Put the version in use that `model` came after, and return it.

    Raises:
        UnknownModel: it came after none.
    """
    parent = model.parent
    if parent is None:
        raise UnknownModel(f"{model} came after no other version, so there is none to go back to.")
    model_activate(model=parent)
    return parent


def models_forget(*, name: str, versions: list[int]) -> list[int]:
    """Delete those of the versions that are not in use and that no stored run names, and return the others."""
    documents = Run.objects.exclude(configuration__models__isnull=True).values_list("configuration__models", flat=True)
    active = TrainedModel.objects.active().filter(name=name).values_list("version", flat=True)
    needed = {*active, *(models.get(name) for models in documents)}
    TrainedModel.objects.filter(name=name, version__in=set(versions) - needed).delete()
    return [version for version in versions if version in needed]


def stored_part(kind: str, reference: str) -> Order | Placement:
    """Return the order or the placement, as `kind` says, behind `learned:REFERENCE`.

    Raises:
        InvalidPolicy: no such model of that kind; the sentence names those there are.
    """
    by_order = kind == "order"
    try:
        model = TrainedModel.objects.referred(reference, kinds=ORDER_FORMS if by_order else PLACEMENT_FORMS)
    except UnknownModel as error:
        raise engine.InvalidPolicy(str(error)) from None
    name, document = f"{PREFIX}:{reference}", json.loads(model.artifact)
    source = f"policy search, model {model} on this server"
    if by_order:
        return replace(learned_order(name, document, source=source), model_version=model.version)
    return replace(learned_placement(name, document, source=source), model_version=model.version)


def models_in_use(policies: Iterable[str], estimates: str, *, agent_from_scratch: bool = False) -> dict[str, int]:
    """Return the versions that the policies and estimates of a new run stand for, to be kept with the run.

    A run that is taken up again or played anew uses these and not what is active by then.

    Args:
        agent_from_scratch: leave out the agent's stored table.
    """
    names = {name for text in policies for name in _LEARNED.findall(text)}
    placements = (HYBRID_KIND,) if agent_from_scratch else (HYBRID_KIND, AGENT_KIND)
    names |= {name for name in placements if any(name in text for text in policies)}
    kind, _, model = estimates.partition(":")
    if kind == "predicted" and "." not in model:
        names.add(model)
    if not names:
        return {}
    return dict(TrainedModel.objects.active().filter(name__in=names).values_list("name", "version"))


def resolve_policy(text: str, models: Mapping[str, int], *, reward: RewardWeights | None = None) -> engine.Policy:
    """Read a policy with the model versions of a run; what these do not name is what comes with the engine.

    Args:
        reward: what an agent minimises; None for what its stored table was learned with, time alone from scratch.

    Raises:
        InvalidPolicy: as `engine.parse_policy`.
    """
    versions = {f"{PREFIX}:{name}": f"{PREFIX}:{name}.{version}" for name, version in models.items()}
    policy = engine.parse_policy(_LEARNED.sub(lambda found: versions.get(found[0], found[0]), text))
    for name in set(_LEARNED.findall(text)) & set(models):
        versioned = versions[f"{PREFIX}:{name}"]
        if policy.order.name == versioned:
            policy = replace(policy, order=replace(policy.order, name=f"{PREFIX}:{name}"))
        if policy.placement.name == versioned:
            policy = replace(policy, placement=replace(policy.placement, name=f"{PREFIX}:{name}"))
    kind = policy.placement.name
    if kind not in (HYBRID_KIND, AGENT_KIND):
        return policy
    if kind in models:
        return replace(policy, placement=_stored_placement(kind, models[kind], reward))
    if kind == AGENT_KIND and reward is not None:
        return replace(policy, placement=agent_placement(settings=AgentSettings(reward=reward)))
    return policy


def _stored_placement(kind: str, version: int, reward: RewardWeights | None) -> Placement:
    """Return the placement of a stored version, in the place of the one that comes with the engine.

    Raises:
        InvalidPolicy: the version is gone.
    """
    model = TrainedModel.objects.filter(kind=kind, name=kind, version=version).first()
    if model is None:
        raise engine.InvalidPolicy(f"Version {version} of {kind}, with which this run was begun, is no longer stored.")
    if kind == HYBRID_KIND:
        return hybrid_placement(model.artifact, model_version=version)
    settings = AgentSettings(first_epsilon=0.0, reward=reward or RewardWeights(**model.parameters["reward"]))
    return agent_placement(values=values_from(json.loads(model.artifact)), settings=settings, model_version=version)


def stored_runtime_model(reference: str, models: Mapping[str, int]) -> TrainedModel:
    """Return the stored model behind `predicted:REFERENCE` with the model versions of a run.

    Raises:
        InvalidParameter: no such model; the sentence names those there are.
    """
    if reference in models:
        reference = f"{reference}.{models[reference]}"
    try:
        return TrainedModel.objects.referred(reference, kinds=(RUNTIME_KIND,))
    except UnknownModel as error:
        raise InvalidParameter(str(error)) from None
