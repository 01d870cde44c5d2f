"""What a client asks for when it starts a run: the fields of the options, and the workload, cluster and name."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from drf_spectacular.drainage import set_override
from msgspec import inspect
from rest_framework import serializers
from rest_framework.fields import empty

from apps.live.play.cluster_changes import ClusterChanges
from apps.live.play.configuration import asked_in, configured
from apps.live.play.kinds import LARGEST
from apps.live.play.launch import run_start
from apps.live.play.options import SITE, InvalidOption, Option, renamed
from apps.live.play.playable import playable_on, refuse_tasks
from apps.live.play.race_options import RACE_ASKED, RaceOptions
from apps.live.play.races import race_start
from apps.live.play.sites import site_settled
from apps.results.errors import DomainError
from apps.results.models import Run
from apps.tasks.models import Workload
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import PRESET, PRESETS, load_cluster
from scheduler_sim.web.api import StrictSerializer

MAX_NAMES, MAX_NAME = 50, 100
"""So many policies may play one run that is started from the site, and so long may the name of each be."""


MOST_ROUND_TASKS = 100_000
"""A round of a race without end that is started from the site holds at most so many tasks."""


RACE_RATE = 20.0
"""Tasks a second of such a race, where nothing else is asked for."""


class ReadByOption(serializers.Field):
    """A field whose option reads what is sent; its kind only says to the API's schema what that may be."""

    def __init__(self, *, option: Option, **kind: Any) -> None:
        super().__init__(**kind)
        self.option = option

    def get_default(self) -> Any:
        """Return the option's default, which the schema shows as it would be sent."""
        return self.option.default

    def run_validation(self, data: Any = empty) -> Any:
        """Return the option's value.

        Raises:
            ValidationError: the option's own sentence.
        """
        if data is empty:
            return super().run_validation(data)
        try:
            return self.option.read(data)
        except InvalidOption as error:
            raise serializers.ValidationError(str(error)) from None


class WholeNumberOption(ReadByOption, serializers.IntegerField):
    """A whole number."""


class NumberOption(ReadByOption, serializers.FloatField):
    """A number."""


class SwitchOption(ReadByOption, serializers.BooleanField):
    """Yes or no."""


class ChoiceOption(ReadByOption, serializers.ChoiceField):
    """One of a few texts."""


class TextOption(ReadByOption, serializers.CharField):
    """A text."""


class PatternOption(ReadByOption, serializers.RegexField):
    """A text of a form."""


class ListOption(ReadByOption, serializers.ListField):
    """Several values."""


class NamesOption(ListOption):
    """Names, so few and so short that looking for the nearest of a misspelt one takes no time."""

    def run_validation(self, data: Any = empty) -> Any:
        """Return the option's value.

        Raises:
            ValidationError: too many names or too long ones, or the option's own sentence.
        """
        if isinstance(data, list) and (len(data) > MAX_NAMES or any(len(str(name)) > MAX_NAME for name in data)):
            raise serializers.ValidationError(
                f"{self.option.name} must be at most {MAX_NAMES} names of at most {MAX_NAME} characters."
            )
        return super().run_validation(data)


def option_field(option: Option) -> serializers.Field:
    """Return the field of the API's documents that an option makes."""
    common: dict[str, Any] = {"option": option, "help_text": option.sentence}
    if option.name != option.stored_as:
        common["source"] = option.stored_as
    if not option.is_required:
        common["default"] = option.asked_default
    if option.is_nullable:
        common["allow_null"] = True
    if option.choices:
        return ChoiceOption(choices=[(choice, option.words(choice)) for choice in option.choices], **common)
    match option.type:
        case inspect.BoolType():
            return SwitchOption(**common)
        case inspect.IntType() as kind:
            return WholeNumberOption(min_value=kind.ge, max_value=kind.le, **common)
        case inspect.FloatType() as kind:
            field = NumberOption(min_value=kind.ge, max_value=kind.le, **common)
            if kind.gt is not None:
                above = {"type": "number", "format": "double", "minimum": kind.gt, "exclusiveMinimum": True}
                set_override(field, "field", above)
            return field
        case inspect.StrType(pattern=str()) as kind:
            return PatternOption(regex=kind.pattern, max_length=kind.max_length, **common)
        case inspect.VarTupleType():
            child = serializers.CharField(max_length=MAX_NAME)
            return NamesOption(child=child, min_length=1, max_length=MAX_NAMES, **common)
        case inspect.TupleType() as kind:
            each = cast(inspect.FloatType, kind.item_types[0])
            count = len(kind.item_types)
            figure = serializers.FloatField(min_value=each.ge, max_value=each.le)
            return ListOption(child=figure, min_length=count, max_length=count, **common)
    return TextOption(**common)


class RunCreateSerializer(StrictSerializer):
    """What to play; everything but the workload has the default of `runsimulation`."""

    workload = serializers.IntegerField(
        min_value=1, max_value=LARGEST, required=False, help_text="Key of a stored workload; only without `continuous`."
    )
    cluster = serializers.JSONField(
        # By the stubs a document is never a text.
        default="auto",  # type: ignore[arg-type]
        help_text="A preset such as hpc-256, or a description as runs show theirs.",
    )
    name = serializers.CharField(max_length=200, required=False, help_text="Must be new; made up when left out.")

    options: ClassVar[tuple[Option, ...]] = (*asked_in(SITE), *RACE_ASKED)

    def get_fields(self) -> dict[str, serializers.Field]:
        """Return the fields that are written out above, and those of the other options."""
        fields: dict[str, serializers.Field] = super().get_fields()
        return fields | {option.name: option_field(option) for option in self.options}

    def to_internal_value(self, data: Any) -> Any:
        """Return the fields, each by the name that is asked for."""
        return super().to_internal_value(renamed(self.options, data) if isinstance(data, Mapping) else data)

    def validate_workload(self, value: int) -> Workload:
        """Find the workload."""
        workload = Workload.objects.filter(pk=value).first()
        if workload is None:
            raise serializers.ValidationError(f"There is no workload {value}.")
        return workload

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Build the configuration, and the cluster, which may depend on the workload."""
        subject = {key: attrs.pop(key, None) for key in ("workload", "cluster", "name")}
        race = RaceOptions(**{option.stored_as: attrs.pop(option.stored_as) for option in RACE_ASKED})
        if race.continuous:
            _refuse_beside_rounds(race, subject["workload"], attrs)
            del subject["workload"]
            # At full speed the rounds would be gone before anybody has seen them.
            attrs["rate"] = attrs.get("rate") or RACE_RATE
            subject |= {"race": race, "cluster": "workstation" if subject["cluster"] == "auto" else subject["cluster"]}
        elif subject["workload"] is None:
            raise serializers.ValidationError({"workload": "This field is required."})
        try:
            configuration, changes = configured(attrs)
        except InvalidOption as error:
            raise serializers.ValidationError({error.field: str(error)}) from None
        if configuration.site is None:
            cluster = _changed_cluster(subject["cluster"], subject.get("workload"), changes)
        elif subject["cluster"] != "auto":
            raise serializers.ValidationError({"site": "Give cluster or site, not both: a site has its own nodes."})
        else:
            try:
                configuration, site = site_settled(configuration, changes)
            except InvalidOption as error:
                raise serializers.ValidationError({error.field: str(error)}) from None
            cluster = site.cluster
        try:
            configuration = playable_on(configuration, cluster)
            if "workload" in subject:
                refuse_tasks(subject["workload"], configuration, cluster)
        except InvalidOption as error:
            raise serializers.ValidationError({error.field: str(error)}) from None
        except (DomainError, engine.EngineError) as error:
            raise serializers.ValidationError({"policies": str(error)}) from None
        return {**subject, "cluster": cluster, "configuration": configuration}

    def start(self, *, requested_by: Any) -> Run:
        """Store the run that was asked for and ask for its process.

        Raises:
            DomainError: the name is taken, or the models that it needs are not there.
        """
        start = race_start if "race" in self.validated_data else run_start
        return start(**self.validated_data, requested_by=requested_by)


def _refuse_beside_rounds(race: RaceOptions, workload: Workload | None, options: Mapping[str, Any]) -> None:
    """Refuse what has no meaning beside rounds of generated tasks.

    Raises:
        ValidationError: a workload, a site or a part of the tasks is given, or rounds are too large.
    """
    given = {"workload": workload, "limit": options.get("limit"), "site": options.get("site")}
    wrong = {name: f"{name} has no meaning with continuous." for name, value in given.items() if value is not None}
    if race.round_tasks > MOST_ROUND_TASKS:
        wrong["round_tasks"] = f"round_tasks must be at most {MOST_ROUND_TASKS:,}."
    if wrong:
        raise serializers.ValidationError(wrong)


def _changed_cluster(description: Any, workload: Workload | None, changes: ClusterChanges) -> engine.Cluster:
    """Return the cluster that is asked for, with what is changed of it.

    Raises:
        ValidationError: of the cluster, or of the change that it does not allow.
    """
    try:
        cluster = _cluster(description, workload)
    except engine.EngineError as error:
        raise serializers.ValidationError({"cluster": str(error)}) from None
    for option, change in changes.steps():
        try:
            cluster = change(cluster)
        except engine.EngineError as error:
            raise serializers.ValidationError({option: str(error)}) from None
    return cluster


def _cluster(description: Any, workload: Workload | None) -> engine.Cluster:
    """Return a preset by name or a described cluster; never a file, which would be one of the server's."""
    if not isinstance(description, str):
        cluster = engine.Cluster.from_json(description)
        if len(cluster.name) > 100:
            raise engine.InvalidCluster("The cluster's name is longer than 100 characters.")
        return cluster
    if not PRESET.fullmatch(description):
        raise engine.InvalidCluster(f"There is no cluster preset {description!r}. Presets: {', '.join(PRESETS)}.")
    return load_cluster(description, max_processors=None if workload is None else workload.max_processors)
