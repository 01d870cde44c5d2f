"""How people write which column is which: `--map` and `--columns` of the command, `map` and `columns` over HTTP."""

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.pairs import read_pairs
from scheduler_sim.engine.traces.audit import shorten


def read_map(text: str) -> dict[str, str]:
    """Return columns of a file, with their units, by the workload's, written `arrival_time=submitted@ms,cpus=cores`.

    Raises:
        InvalidTrace: a part that is no such pair, or a workload column that is named twice.
    """
    return read_pairs(
        text,
        malformed=lambda part: InvalidTrace(
            f"--map takes pairs like arrival_time=submitted,runtime=secs, not {shorten(part)}."
        ),
        repeated=lambda wanted: InvalidTrace(f"--map names {wanted} twice."),
    )


def read_header(text: str) -> tuple[str, ...]:
    """Return the names of the columns of a file without a header line, written `task_id,arrival_time,runtime`.

    Raises:
        InvalidTrace: fewer than two names, or an empty one.
    """
    names = tuple(name.strip() for name in text.split(","))
    if len(names) < 2 or not all(names):
        raise InvalidTrace(
            f"--columns takes two names or more, like task_id,arrival_time,runtime, not {shorten(text)}."
        )
    return names
