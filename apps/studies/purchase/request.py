"""What is asked of a search for a purchase, one line an option, and what it plays."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

import msgspec

from apps.live.play.configuration import RunConfiguration, blaming
from apps.live.play.kinds import read_policies
from apps.live.play.options import About, options_of, read_options
from apps.live.play.preparation import prepare
from apps.live.play.sites import played_site
from apps.results.models import Run
from scheduler_sim import engine
from scheduler_sim.engine.answers.purchase import Growth, PurchaseSearch, check_grid, parse_growths
from scheduler_sim.engine.answers.purchase_plays import PurchaseProblem, grown, yearly_price
from scheduler_sim.engine.answers.targets import FORM, Target, parse_targets
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.measuring.metrics import measured
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.whatif import parse_changes, split_groups

SECTION = "what to buy"

PRICED, STATED, COUNTED = "as given", "USD a year", "nodes"
"""What a price is: given with the nodes, made of what the cluster states of holding its devices, or 1 a node."""


def _read_targets(text: str) -> str:
    return "; ".join(map(str, parse_targets(text)))


def _read_additions(text: str) -> str:
    parse_changes(",".join(part.partition("@")[0] for part in split_groups(text)))
    return text


class PurchaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted, and what may be changed for it; all else is as the run has it."""

    targets: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=500)],
        About(
            "Targets",
            f"what is wanted of waits, several with ; between them: {FORM}",
            SECTION,
            metavar="FIGURE<BOUND",
            check=_read_targets,
            asked_as="target",
        ),
    ]
    growths: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=500)],
        About(
            "Nodes that may be added",
            "groups, of a site also partitions, each with how many nodes at most and the price of one; without prices "
            "those that the cluster states of its devices for a year, or 1 a node",
            SECTION,
            metavar="GROUP=MOST[@PRICE]",
            check=_read_additions,
            asked_as="add",
            rule="GROUP=MOST[@PRICE], several with commas between them",
        ),
    ]
    policies: Annotated[
        tuple[str, ...],
        About(
            "Policies",
            "policies to try, the one that is configured first; by default the run's",
            SECTION,
            metavar="P,...",
            check=read_policies,
            words={(): "the run's"},
        ),
    ] = ()
    seeds: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=100)],
        About("Seeds", "so many seeds, from the run's on, the same for every change; figures are their means", SECTION),
    ] = 1
    most_plays: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=5_000)],
        About("Plays", "after so many changes played the search ends", SECTION),
    ] = 60
    exhaustive: Annotated[
        bool,
        About(
            "Exhaustive",
            "play every change cheaper than the answer instead of counting on waits that do not rise with nodes",
            SECTION,
        ),
    ] = False

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Read what was given by the names that are asked for; what is None or empty is not given.

        Raises:
            InvalidOption: a name that no option has, a value that it cannot have, or one that is lacking.
        """
        told = {name: value for name, value in given.items() if value not in (None, "")}
        lacking = {option.name: None for option in PURCHASE_OPTIONS if option.is_required and option.name not in told}
        return cls(**read_options(PURCHASE_OPTIONS, told | lacking))

    def as_json(self) -> dict[str, Any]:
        """Return the document that `read` takes back."""
        values = msgspec.structs.asdict(self)
        return {
            option.name: ",".join(value) if isinstance(value := values[option.stored_as], tuple) else value
            for option in PURCHASE_OPTIONS
            if values[option.stored_as] != ()
        }


PURCHASE_OPTIONS = options_of(PurchaseRequest)


class Ground(msgspec.Struct, frozen=True):
    """What a run is played on, and what may be added to it.

    Attributes:
        ground: the cluster or site as the run had it.
        price_unit: what prices are.
    """

    configuration: RunConfiguration
    ground: engine.Cluster | Site
    growths: tuple[Growth, ...]
    targets: tuple[Target, ...]
    price_unit: str

    def search(self, request: PurchaseRequest) -> PurchaseSearch:
        """Return a search that has not begun.

        Raises:
            InvalidOption: more changes than a search chooses from.
        """
        with blaming("add"):
            return PurchaseSearch(
                policies=len(self.configuration.policies),
                growths=self.growths,
                bounds=[target.bound for target in self.targets],
                most_plays=request.most_plays,
                is_exhaustive=request.exhaustive,
            )


def ground_of(run: Run, request: PurchaseRequest) -> Ground:
    """Return what a search changes, without reading a task.

    Raises:
        InvalidOption: a group that is not there, prices for some groups alone, or policies that cannot be played.
    """
    configuration = RunConfiguration.from_json({"policies": run.policies, **run.configuration})
    policies = request.policies or tuple(run.policies)
    configuration = msgspec.structs.replace(configuration, policies=policies)
    with blaming("policies"):
        configuration = configuration.with_models()
        configuration.parsed_policies()
    ground = played_site(configuration) or engine.Cluster.from_json(run.cluster)
    growths, unit = _growths(ground, request.growths)
    return Ground(configuration, ground, growths, parse_targets(request.targets), unit)


def growing(run: Run) -> list[tuple[str, int]]:
    """Return what a run's ground can have more of, and how much of it there is: nodes, of a pool processors."""
    cluster = engine.Cluster.from_json(run.cluster)
    groups = [(group.name, group.cores if cluster.is_pool else group.count) for group in cluster.groups]
    if run.site is None:
        return groups
    site = run.site.as_site()
    return [*groups, *((part.name, len(site.numbers(part.hosts))) for part in site.partitions)]


def purchase_problem(run: Run, request: PurchaseRequest) -> PurchaseProblem:
    """Read the run's tasks and return what every change is played with.

    Raises:
        EngineError, DomainError: as `ground_of` and `prepare`, or a target that is of no task.
    """
    found = ground_of(run, request)
    configuration = found.configuration
    cluster = found.ground.cluster if isinstance(found.ground, Site) else found.ground
    prepared = prepare(workload=run.workload, cluster=cluster, configuration=configuration)
    warmup, cooldown = configuration.warmup, configuration.cooldown
    scored = measured(prepared.workload, warmup=warmup, cooldown=cooldown) if warmup or cooldown else None
    return PurchaseProblem(
        workload=prepared.workload,
        ground=prepared.site or prepared.cluster,
        policies=configuration.parsed_policies(),
        growths=found.growths,
        targets=found.targets,
        seeds=range(configuration.seed, configuration.seed + request.seeds),
        options=configuration.engine_options(prepared.cluster),
        scored=scored,
        predictor=prepared.predictor,
        signals=prepared.signals,
    )


def _growths(ground: engine.Cluster | Site, text: str) -> tuple[tuple[Growth, ...], str]:
    """Return what may be added and what its prices are."""
    with blaming("add"):
        parts = split_groups(text)
        priced = ["@" in part for part in parts]
        if any(priced) and not all(priced):
            raise InvalidParameter("Give a price for every group or for none.")
        names = [part.partition("@")[0].rpartition("=")[0].strip() for part in parts]
        # Also finds out what is not there.
        stated = {name: yearly_price(ground, name) for name in names}
        is_stated = all(price > 0 for price in stated.values())
        growths = parse_growths(text, stated if is_stated else dict.fromkeys(names, 1.0))
        # Before so many nodes are made.
        check_grid(1, growths)
        grown(ground, growths, [growth.most for growth in growths])
    return growths, PRICED if any(priced) else STATED if is_stated else COUNTED
