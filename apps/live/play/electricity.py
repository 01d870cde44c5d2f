"""The series of a run's electricity: put on the clock of its workload, and what must be known of them."""

from collections.abc import Mapping, Sequence

import msgspec

from apps.live.play.cautions import Caution
from apps.live.play.configuration import RunConfiguration, blaming
from apps.live.play.options import InvalidOption
from apps.metrics.services import unweighed
from apps.tasks.models import Series, Workload
from apps.tasks.series_services import series_named
from scheduler_sim import engine
from scheduler_sim.engine.clock import microseconds
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.policies.orders.carbon import knows_carbon_to_come
from scheduler_sim.engine.series import PueCurve, Signals, StepSeries

_BESIDE = ("series_zero", "series_beyond", "hold_cap", "pue_by_temperature")


def settled_on(configuration: RunConfiguration, cluster: engine.Cluster) -> RunConfiguration:
    """Return the configuration with the series that its cluster names, of the kinds of which the run names none.

    A PUE that the run names, as a series or by the temperature, stands for all that the cluster says of it.

    Raises:
        InvalidOption: a series that is not stored, or not of its kind.
    """
    theirs = dict(cluster.series)
    if not theirs:
        return configuration
    with blaming("series"):
        ours = {one.kind for one in series_named(configuration.series)}
        if ours & set(_OF_PUE):
            theirs = {kind: name for kind, name in theirs.items() if kind not in _OF_PUE}
        theirs = {kind: name for kind, name in theirs.items() if kind not in ours}
        for kind, name in theirs.items():
            (one,) = series_named(name)
            if one.kind != kind:
                raise InvalidParameter(f"The cluster's series of {kind}, {one}, is one of {one.kind}.")
    curve = configuration.pue_by_temperature
    if "temperature" in theirs and not curve and cluster.pue_by_temperature is not None:
        curve = cluster.pue_by_temperature.as_text()
    named = ",".join(filter(None, (configuration.series, *theirs.values())))
    return msgspec.structs.replace(configuration, series=named, pue_by_temperature=curve)


_OF_PUE = ("pue", "temperature")


def refuse_series(configuration: RunConfiguration) -> list[Series]:
    """Return the series that a run names.

    Raises:
        InvalidOption: one that is not stored, or an option that has no meaning with them.
    """
    with blaming("series"):
        named = series_named(configuration.series)
    blank = {one.name: one.default for one in msgspec.structs.fields(RunConfiguration)}
    for name in _BESIDE:
        if not named and getattr(configuration, name) != blank[name]:
            raise InvalidOption(f"{name} has no meaning without series.", name)
    kinds = {one.kind: one for one in named}
    if "temperature" in kinds and "pue" in kinds:
        raise InvalidOption(f"{kinds['temperature']} and {kinds['pue']} both tell the PUE; name one of them.", "series")
    if "temperature" in kinds and not configuration.pue_by_temperature:
        raise InvalidOption(
            f"Series {kinds['temperature']} is one of temperature: say what the PUE is by it, as 10:1.1/25:1.3.",
            "pue_by_temperature",
        )
    if configuration.pue_by_temperature and named and "temperature" not in kinds:
        raise InvalidOption("pue_by_temperature has no meaning without a series of temperature.", "pue_by_temperature")
    return named


def played_signals(
    configuration: RunConfiguration, stored: Workload, tasks: engine.Workload
) -> tuple[Signals | None, Caution | None]:
    """Return the series that a run names on its workload's clock, None where it names none, and what to say of them.

    Args:
        tasks: those that are played.

    Raises:
        InvalidOption: a series that is not stored, that nothing lays on the workload's clock, or that does not cover
            its arrivals where it is neither held nor repeated.
    """
    held = [policy.name for policy in configuration.parsed_policies() if policy.order.goes_by]
    named = refuse_series(configuration)
    if not named:
        return None, _unheld(held)
    steps = {kind: one for _, kind, one in series_on_clock(configuration, stored)}
    if configuration.hold_cap and "power_cap" not in steps:
        raise InvalidOption("hold_cap needs a series of a power cap among those that the run names.", "hold_cap")
    first, last = float(tasks.arrival_time.min()), float(tasks.arrival_time.max())
    with blaming("series_beyond"):
        for one in named:
            if not steps[one.kind].covers(first, last):
                raise InvalidParameter(_too_short(one, steps[one.kind], first, last))
            # One that would repeat too often while tasks arrive is refused before anything is played; for one that
            # does so only because the run takes longer see `series_caution`.
            steps[one.kind].cuts(first, last)
    signal = next((one.signal for one in named if one.kind == "carbon"), "")
    return Signals(steps, signal), _caution(named) or _unheld(held)


def series_on_clock(configuration: RunConfiguration, stored: Workload) -> list[tuple[str, str, StepSeries]]:
    """Return the name, the kind and the steps on the workload's clock of each series that a run names.

    Behind them comes the PUE where the run tells it by a temperature.

    Raises:
        InvalidOption: a series that is not stored, or that nothing lays on the workload's clock.
    """
    with blaming("series"):
        named = series_named(configuration.series)
    with blaming("series_zero"):
        found = [(one.name, one.kind, _on_clock(one, configuration, stored)) for one in named]
    curve = PueCurve.read(configuration.pue_by_temperature) if configuration.pue_by_temperature else None
    by_temperature = [
        (f"by {name}", "pue", curve.of(steps)) for name, kind, steps in found if kind == "temperature" and curve
    ]
    return found + by_temperature


def _on_clock(one: Series, configuration: RunConfiguration, stored: Workload) -> StepSeries:
    """Return a series on the workload's clock."""
    steps = one.as_steps(configuration.series_beyond)
    zero = configuration.series_zero
    if zero == "begin":
        return steps.moved(-steps.begin)
    if not one.is_dated:
        if zero:
            raise InvalidParameter(f"Series {one} tells no dates: its times are those of the workload, or begin there.")
        return steps
    found = microseconds(zero) if zero else None
    if found is not None:
        return steps.moved(-found[0] / 1e6)
    told = stored.audit.get("headers", {}).get("UnixStartTime", "")
    try:
        return steps.moved(-float(told))
    except ValueError:
        raise InvalidParameter(
            f"Series {one} tells dates, and workload {stored.name} does not tell when its clock begins; say so, as "
            "2022-01-01T00:00:00, or begin for the beginning of each series."
        ) from None


def _too_short(one: Series, steps: StepSeries, first: float, last: float) -> str:
    return (
        f"Series {one} has values from {steps.begin:,.0f} s to {steps.end:,.0f} s on the workload's clock, and tasks "
        f"arrive from {first:,.0f} s to {last:,.0f} s: hold its ends, repeat it, or say when the clock begins."
    )


def series_caution(simulations: Mapping[str, engine.Simulation]) -> Caution | None:
    """Return what to say where the series of a run could not be laid over it once it was played."""
    reason = unweighed(simulations)
    if not reason:
        return None
    text = f"The figures of carbon and price of electricity are left out. {reason}"
    return Caution(kind="series_unused", policies=[], text=text)


def _unheld(policies: list[str]) -> Caution | None:
    """Say that policies which hold tasks back for cleaner electricity have nothing to go by."""
    if not policies:
        return None
    text = f"The run names no series of carbon, by which {', '.join(policies)} would hold tasks back: they do not."
    return Caution(kind="no_carbon", policies=policies, text=text)


def forecast_caution(signals: Signals | None, policies: Sequence[engine.Policy]) -> Caution | None:
    """Return what to say where policies know the carbon intensity to come as it will be, None where none does."""
    if signals is None or signals.get("carbon") is None:
        return None
    names = [policy.name for policy in policies if knows_carbon_to_come(policy.order)]
    if not names:
        return None
    text = (
        f"Perfect forecasts are assumed: under {', '.join(names)} the carbon intensity to come is known as it will be. "
        "What they save is more than real forecasts allow; noise draws their errors."
    )
    return Caution(kind="perfect_forecast", policies=names, text=text)


def _caution(named: list[Series]) -> Caution | None:
    """Say which carbon intensity the figures are by: average and marginal ones answer different questions."""
    carbon = next((one for one in named if one.kind == "carbon"), None)
    if carbon is None:
        return None
    meaning = {
        "average": "the average mix: figures share out what was emitted, and do not tell what a change would save.",
        "marginal": "the marginal plants: differences tell what a change saves, and totals are nobody's share.",
        "": "unknown, average or marginal: its file does not say, and the two answer different questions.",
    }[carbon.signal]
    return Caution(kind="carbon_signal", policies=[], text=f"Carbon is by series {carbon}, whose signal is {meaning}")
