"""What a page or the API sends to ask for a model or a policy search."""

from dataclasses import MISSING, asdict, fields
from typing import Any

from django.db import transaction
from rest_framework import serializers

from apps.results.models import Run
from apps.tasks.models import Workload
from apps.training.registry import AGENT_KIND
from apps.training.requests import KINDS, SEARCHED, InvalidTraining, ModelRequest, SearchRequest, check_preset
from scheduler_sim.accounts import audit
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import job_submit
from scheduler_sim.engine.learning.settings import BACKFILLS, SEARCHABLE, SearchSettings
from scheduler_sim.web.api import LARGEST_KEY, StrictSerializer

LARGEST = 2**31 - 1


def _default(request: type, name: str) -> Any:
    """Return what is taken where nothing is sent."""
    found = next(one.default for one in fields(request) if one.name == name)
    return serializers.empty if found is MISSING else found


def _whole(request: type, name: str, help_text: str, *, largest: int = LARGEST) -> serializers.IntegerField:
    default = _default(request, name)
    return serializers.IntegerField(
        default=default, allow_null=default is None, min_value=-largest, max_value=largest, help_text=help_text
    )


def _text(request: type, name: str, help_text: str) -> serializers.CharField:
    return serializers.CharField(default=_default(request, name), allow_blank=True, max_length=100, help_text=help_text)


@transaction.atomic
def _submit(kind: str, arguments: dict[str, Any], requested_by: Any) -> Job:
    job = job_submit(kind=kind, arguments=arguments, requested_by=requested_by)
    audit.record(audit.Action.START, kind, job, called=arguments["name"] or str(job))
    return job


class ModelRequestSerializer(StrictSerializer):
    """A model to be fitted; the sentences on what has no meaning are those of `trainmodel`."""

    kind = serializers.CharField(max_length=40, help_text=f"One of {', '.join(KINDS)}.")
    run = serializers.IntegerField(
        default=None, allow_null=True, min_value=1, max_value=LARGEST_KEY, help_text="hybrid_ml: the rows of this run."
    )
    window = _whole(ModelRequest, "window", "hybrid_ml: the newest so many rows.")
    since = serializers.DateTimeField(default=None, allow_null=True, help_text="hybrid_ml: rows stored from then on.")
    until = serializers.DateTimeField(default=None, allow_null=True, help_text="hybrid_ml: rows stored before then.")
    workload = serializers.IntegerField(
        default=None,
        allow_null=True,
        min_value=1,
        max_value=LARGEST_KEY,
        help_text="runtime and rl_agent: key of the tasks.",
    )
    cluster = _text(ModelRequest, "cluster", "rl_agent: a preset on which it plays.")
    agent_reward = _text(ModelRequest, "agent_reward", "rl_agent: weights of time, energy and cost, T,E,C.")
    algorithm = _text(ModelRequest, "algorithm", "Of hybrid_ml and runtime.")
    name = _text(ModelRequest, "name", "Made from the kind and the workload when left out.")
    seed = _whole(ModelRequest, "seed", "Of every random stream.", largest=LARGEST_KEY)
    activate = serializers.BooleanField(default=True, help_text="Put it in use.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check it as the command does."""
        for name, model in (("run", Run), ("workload", Workload)):
            if attrs[name] is not None and not model.objects.filter(pk=attrs[name]).exists():
                raise serializers.ValidationError({name: f"There is no {name} {attrs[name]}."})
        try:
            if attrs["kind"] == AGENT_KIND:
                check_preset(attrs["cluster"])
            self.asked = ModelRequest(**attrs)
        except InvalidTraining as error:
            raise serializers.ValidationError({error.field: str(error)}) from None
        return attrs

    def submit(self, *, requested_by: Any) -> Job:
        """Ask for a process that fits it."""
        return _submit("training", self.asked.as_json(), requested_by)


def _setting(name: str, told: str) -> serializers.Field:
    default = getattr(SearchSettings(), name)
    if isinstance(default, str):
        return serializers.CharField(default=default, max_length=40, help_text=told)
    if isinstance(default, float):
        return serializers.FloatField(default=default, help_text=told)
    return serializers.IntegerField(default=default, min_value=-LARGEST, max_value=LARGEST, help_text=told)


class SearchRequestSerializer(StrictSerializer):
    """A policy search; the sentences on what has no meaning are those of `trainpolicy`."""

    workload = serializers.IntegerField(min_value=1, max_value=LARGEST_KEY, help_text="Key of the tasks.")
    name = _text(SearchRequest, "name", "Made from the workload and the backfill when left out.")
    processors = _whole(SearchRequest, "processors", "Of the pool; the trace's own size when left out.")
    cluster = _text(SearchRequest, "cluster", "Instead of a pool, for choices other than order: a preset.")
    choice = _setting("choice", f"What is searched: {', '.join(SEARCHABLE)}.")
    objective = _setting("objective", "The figure to lower: bsld, jct or wait.")
    backfill = _setting("backfill", f"What the order is searched together with: {', '.join(BACKFILLS)}.")
    order = _setting("order", "Beside which a node or a split is chosen.")
    preemption = _setting("preemption", "How tasks are stopped where that is searched: suspend or requeue.")
    form = _setting("form", "linear (terms, products), mlp (one hidden layer) or history (also what users have done).")
    seed = _whole(SearchRequest, "seed", "Of the first search.", largest=LARGEST_KEY)
    searches = _whole(SearchRequest, "searches", "Each with its own seed; the best on the validation part is kept.")
    length = _setting("length", "Tasks in a sequence.")
    generations = _setting("generations", "At most so many of each search.")
    population = _setting("population", "Candidates in a generation.")
    batch = _setting("batch", "Sequences that judge a generation.")
    validations = _setting("validations", "Sequences that choose when to stop.")
    check_every = _setting("check_every", "Generations between two looks at these.")
    patience = _setting("patience", "Looks without improvement after which a search stops.")
    max_seconds = _setting("max_seconds", "Wall time after which a search stops early.")
    threads = _setting("threads", "Candidates played at the same time.")
    activate = serializers.BooleanField(default=True, help_text="Put it in use.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check it as the command does."""
        settings = {name: attrs[name] for name in SEARCHED}
        others = {name: value for name, value in attrs.items() if name not in SEARCHED}
        try:
            if attrs["cluster"]:
                check_preset(attrs["cluster"])
            self.asked = SearchRequest(**others, settings=settings)
            self.asked.played_on()
        except InvalidTraining as error:
            raise serializers.ValidationError({error.field: str(error)}) from None
        return attrs

    def submit(self, *, requested_by: Any) -> Job:
        """Ask for a process that searches."""
        return _submit("search", asdict(self.asked), requested_by)
