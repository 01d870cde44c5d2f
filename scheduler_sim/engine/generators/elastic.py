"""Tasks that may be played on more or fewer devices than they ask for.

Downey's model (A parallel workload model and its implications for processor allocation, HPDC 1997): the time on one
device and the average parallelism of tasks are uniform on the logarithmic scale, and the speed on w devices follows
from the parallelism and its variation (`speedups.read_speedup`). A task asks for the power of two next below its
parallelism, and may run on a quarter to four times of it. Arrivals are a Poisson process at the asked load. Which tasks
are rigid, moldable or malleable (Feitelson, Rudolph, JSSPP 1996) is drawn by shares.

The generator draws, in this order, each for all tasks before the next: interarrival times, times on one device,
parallelism, its variation, the class, and the user.
"""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.generators.draws import numbered, scale_to_load, zipf
from scheduler_sim.engine.generators.registry import Generator, Parameters, parameter, part, register
from scheduler_sim.engine.workloads.columns import Labels
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.speedups import ELASTICITIES, read_speedup
from scheduler_sim.engine.workloads.workload import Workload

TIME_DIGITS = 6
WIDER = 4
"""Tasks may run on so many times what they ask for, and on so small a part of it."""


@dataclass(frozen=True)
class ElasticParameters(Parameters):
    """Parameters of the model."""

    devices: int = parameter(
        64, "GPUs, or processors, of the machine that `load` refers to", kind=int, low=1, high=2**20
    )
    on_gpus: bool = parameter(True, "tasks ask for GPUs; else for processors", kind=bool)
    interarrival: float = parameter(
        1400.0, "mean s between arrivals; replaced by `load` where given", low=1e-6, high=1e9
    )
    load: float | None = parameter(
        None, "offered load on `devices` to reach by scaling the arrivals, by what tasks ask for", low=1e-6, high=1000
    )
    time_low: float = parameter(600.0, "shortest time on one device, s", low=1e-3, high=1e9)
    time_high: float = parameter(360_000.0, "longest time on one device, s", low=1e-3, high=1e9)
    parallelism_high: float = parameter(32.0, "highest average parallelism; the lowest is 1", low=1, high=2**20)
    variation_high: float = parameter(2.0, "highest variation of parallelism; the lowest is 0", low=0, high=100)
    malleable_share: float = part(0.7, "share of tasks whose width may change while they run")
    moldable_share: float = part(0.2, "share of tasks whose width is chosen as they start; the others are rigid")
    resize_time: float = parameter(30.0, "seconds without progress after each change of width", low=0, high=1e9)
    users: int = parameter(16, "number of users; the k-th submits in proportion to 1/k", kind=int, low=1, high=10**5)


def generate(tasks: int, parameters: ElasticParameters, generator: np.random.Generator) -> Workload:
    """Draw tasks of several widths.

    Raises:
        InvalidParameter: a shortest time above the longest, shares above 1, a parallelism above the machine's devices,
            or a load that cannot be reached because all tasks arrive at once.
    """
    if parameters.time_low > parameters.time_high:
        raise InvalidParameter("Parameter time_low must not be larger than time_high.")
    if parameters.malleable_share + parameters.moldable_share > 1.0:
        raise InvalidParameter("Parameters malleable_share and moldable_share must not be above 1 together.")
    if parameters.parallelism_high > parameters.devices:
        raise InvalidParameter("Parameter parallelism_high must not be larger than devices.")
    arrivals = np.cumsum(generator.standard_exponential(tasks))
    low, high = np.log(parameters.time_low), np.log(parameters.time_high)
    alone = np.exp(low + (high - low) * generator.random(tasks))
    parallelism = np.round(np.exp(np.log(parameters.parallelism_high) * generator.random(tasks)), 1)
    variation = np.round(parameters.variation_high * generator.random(tasks), 1)
    rest = 1.0 - parameters.malleable_share - parameters.moldable_share
    ends = np.cumsum([rest, parameters.moldable_share])
    kind = np.searchsorted(ends, generator.random(tasks), side="right")
    users = Labels(codes=zipf(tasks, parameters.users, generator), names=numbered("user", parameters.users))
    asked = (2 ** np.floor(np.log2(parallelism))).astype(np.int64)
    speedup = Labels.from_texts([f"downey({a:g},{s:g})" for a, s in zip(parallelism, variation, strict=True)])
    speed = np.array(
        [read_speedup(name)(np.array([float(w)]), 1)[0] for name, w in zip(speedup.texts(), asked, strict=True)]
    )
    runtime = np.round(alone / speed, TIME_DIGITS)
    if parameters.load is None:
        arrivals *= parameters.interarrival
    else:
        arrivals *= scale_to_load(arrivals, asked * runtime, parameters.load * parameters.devices)
    requests = Requests.blank(
        tasks,
        elasticity=Labels.from_texts(np.array(ELASTICITIES, object)[kind]),
        least_width=np.maximum(asked // WIDER, 1),
        most_width=np.minimum(WIDER * asked, parameters.devices),
        speedup=speedup,
        resize_time=np.full(tasks, parameters.resize_time),
    )
    return Workload.from_columns(
        arrival_time=np.round(arrivals, TIME_DIGITS),
        runtime=runtime,
        user=users,
        requests=requests,
        **{"gpus" if parameters.on_gpus else "cpus": asked},
    )


ELASTIC_TASKS = register(
    Generator(
        name="elastic",
        description="tasks of several widths, with Downey's speed-ups (HPDC 1997)",
        parameters=ElasticParameters,
        generate=generate,
    )
)
