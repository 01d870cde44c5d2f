"""The workload model of Lublin and Feitelson for rigid jobs of a parallel machine.

Source: U. Lublin and D. G. Feitelson, "The workload on parallel supercomputers: modeling the
characteristics of rigid jobs", J. Parallel and Distributed Computing 63(11), 2003, pages 1105-1122. The
defaults are the constants of the authors' program for jobs that are not told apart as batch or interactive.

The generator draws, in this order, each for all jobs before the next: interarrival times (and those
redrawn because they are too long), the kind of size (serial, power of two, other), the stage of the
two-stage uniform, the place within the stage, the component of the hyper-gamma and its value (and those
redrawn). Results are whole seconds, so that the last bits of a mathematical library cannot show.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.generators.draws import scale_to_span, through_cycle
from scheduler_sim.engine.generators.registry import Generator, Parameters, parameter, part, register
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

BUCKETS = 48
SECONDS_IN_BUCKET = 1800.0

CYCLE_START = 11
"""The half hour at which the day of the arrival cycle begins; later ones wrap around midnight."""

_MEDIUM_BELOW_HIGH = 2.5
"""The authors set the changing point of the sizes 2.5 (1.5 for small machines) below log2 of the machine."""

_MEDIUM_BELOW_HIGH_SMALL = 1.5


@dataclass(frozen=True)
class LublinParameters(Parameters):
    """Parameters under the names of the paper's appendix; logarithms of sizes are to base 2, of times natural."""

    processors: int = parameter(256, "processors of the machine", kind=int, low=1, high=2**24)
    load: float | None = parameter(
        None, "offered load on `processors` to reach by scaling the interarrival times", low=1e-6, high=1000
    )
    serial_probability: float = part(0.244, "share of jobs on one processor")
    power_of_two_probability: float = part(0.576, "share of jobs on a power of two")
    size_low: float = parameter(0.8, "log2 of the smallest parallel job", low=0, high=24)
    size_medium: float | None = parameter(
        None, "log2 of the size where the distribution bends; log2(processors) - 2.5 unless given", low=0, high=24
    )
    size_probability: float = part(0.86, "share of parallel jobs below the bend")
    a1: float = parameter(4.2, "shape of the short run times' gamma", low=1e-3, high=1e4)
    b1: float = parameter(0.94, "scale of the short run times' gamma", low=1e-6, high=100)
    a2: float = parameter(312.0, "shape of the long run times' gamma", low=1e-3, high=1e4)
    b2: float = parameter(0.03, "scale of the long run times' gamma", low=1e-6, high=100)
    pa: float = parameter(-0.0054, "slope over the size of the share of short run times", low=-1, high=1)
    pb: float = parameter(0.78, "share of short run times at size 0", low=-10, high=10)
    log_runtime_limit: float = parameter(12.0, "largest logarithm of a run time (e^12 s is two days)", low=1, high=30)
    a_arrival: float = parameter(10.2303, "shape of the rush hours' interarrival gamma", low=1e-3, high=1e4)
    b_arrival: float = parameter(0.4871, "scale of the rush hours' interarrival gamma", low=1e-6, high=100)
    arrival_ratio: float = parameter(1.0225, "rush hours to all hours: a factor on a_arrival", low=1e-3, high=100)
    log_arrival_limit: float = parameter(13.0, "largest logarithm of an interarrival time", low=1, high=30)
    a_cycle: float = parameter(8.1737, "shape of the daily cycle's gamma, in half hours", low=1e-3, high=1e4)
    b_cycle: float = parameter(3.9631, "scale of the daily cycle's gamma, in half hours", low=1e-6, high=100)


def generate(tasks: int, parameters: LublinParameters, generator: np.random.Generator) -> Workload:
    """Draw rigid jobs of 1 to `processors` cores, with run times as estimates.

    Raises:
        InvalidParameter: probabilities that sum to more than 1, limits that the gammas almost never stay
            under, or a load that cannot be reached because all jobs arrive at once.
    """
    if parameters.serial_probability + parameters.power_of_two_probability > 1:
        raise InvalidParameter("serial_probability and power_of_two_probability must not sum to more than 1.")
    gaps = _interarrival_times(tasks, parameters, generator)
    sizes = _sizes(tasks, parameters, generator)
    runtimes = _runtimes(sizes, parameters, generator)
    points = np.cumsum(gaps)
    scale = 1.0
    if parameters.load is not None:
        work = float(np.sum(runtimes * sizes))
        span = work / (parameters.load * parameters.processors)
        scale = scale_to_span(points, span, partial(arrival_times, parameters=parameters), parameters.load)
    arrivals = np.floor(arrival_times(points * scale, parameters))
    return Workload.from_columns(arrival_time=arrivals, runtime=runtimes, cpus=sizes)


def daily_weights(parameters: LublinParameters) -> FloatArray:
    """Return the relative arrival rate of each half hour of the day from midnight, mean 1; shape (48,)."""
    # Here rather than above: it takes a third of a second to import, and only this model needs it.
    from scipy import special

    places = np.arange(CYCLE_START, CYCLE_START + BUCKETS)
    upper = special.gammainc(parameters.a_cycle, (places + 0.5) / parameters.b_cycle)
    lower = special.gammainc(parameters.a_cycle, (places - 0.5) / parameters.b_cycle)
    weights = np.empty(BUCKETS)
    weights[(places - 1) % BUCKETS] = upper - lower
    if weights.sum() <= 0:
        raise InvalidParameter("a_cycle and b_cycle put no arrival into the day.")
    weights *= BUCKETS / weights.sum()
    return weights


def arrival_times(points: FloatArray, parameters: LublinParameters) -> FloatArray:
    """Turn cumulated rush-hour seconds into instants, through the daily cycle, from midnight.

    A half hour of weight w lets w times 1,800 points pass.
    """
    return through_cycle(points, daily_weights(parameters), SECONDS_IN_BUCKET)


def _interarrival_times(tasks: int, parameters: LublinParameters, generator: np.random.Generator) -> FloatArray:
    shape = parameters.a_arrival * parameters.arrival_ratio

    def draw(count: int) -> FloatArray:
        return generator.gamma(shape, parameters.b_arrival, count)

    logarithms = draw(tasks)
    over = np.flatnonzero(logarithms > parameters.log_arrival_limit)
    for _ in range(1000):
        if not len(over):
            return np.exp(logarithms)
        logarithms[over] = draw(len(over))
        over = over[logarithms[over] > parameters.log_arrival_limit]
    raise InvalidParameter("a_arrival and b_arrival hardly ever stay under log_arrival_limit.")


def _sizes(tasks: int, parameters: LublinParameters, generator: np.random.Generator) -> FloatArray:
    high = math.log2(parameters.processors)
    low = min(parameters.size_low, high)
    medium = parameters.size_medium
    if medium is None:
        medium = high - _MEDIUM_BELOW_HIGH
        if medium <= low:
            medium = high - _MEDIUM_BELOW_HIGH_SMALL
    medium = min(max(medium, low), high)
    kind = generator.random(tasks)
    below = generator.random(tasks) <= parameters.size_probability
    within = generator.random(tasks)
    logarithms = np.where(below, low + within * (medium - low), medium + within * (high - medium))
    power_of_two = kind <= parameters.serial_probability + parameters.power_of_two_probability
    logarithms = np.where(power_of_two, np.floor(logarithms + 0.5), logarithms)
    sizes = np.floor(np.exp2(logarithms) + 0.5)
    # A machine that is no power of two could be exceeded by rounding up.
    sizes = np.where(sizes > parameters.processors, parameters.processors, sizes)
    return np.where(kind <= parameters.serial_probability, 1.0, sizes)


def _runtimes(sizes: FloatArray, parameters: LublinParameters, generator: np.random.Generator) -> FloatArray:
    share = np.clip(parameters.pa * sizes + parameters.pb, 0.0, 1.0)

    def draw(rows: FloatArray) -> FloatArray:
        short = generator.random(len(rows)) <= rows
        shapes = np.where(short, parameters.a1, parameters.a2)
        return generator.standard_gamma(shapes) * np.where(short, parameters.b1, parameters.b2)

    logarithms = draw(share)
    over = np.flatnonzero(logarithms > parameters.log_runtime_limit)
    for _ in range(1000):
        if not len(over):
            return np.floor(np.exp(logarithms))
        logarithms[over] = draw(share[over])
        over = over[logarithms[over] > parameters.log_runtime_limit]
    raise InvalidParameter("The run times' gammas hardly ever stay under log_runtime_limit.")


LUBLIN = register(
    Generator(
        name="lublin",
        description="rigid jobs of a parallel machine with a daily cycle (Lublin and Feitelson, JPDC 2003)",
        parameters=LublinParameters,
        generate=generate,
    )
)
