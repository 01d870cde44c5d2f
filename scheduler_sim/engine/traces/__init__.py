"""Traces: one reader a format, one audit, one way in.

The order of the first import is the order in which formats are tried: the generic table comes last.
"""

from scheduler_sim.engine.traces import swf, openb, gavel, helios, pai, philly, wfformat, batsim, sacct, generic  # isort: skip
from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.audit import REASONS, Audit, Finding, offered_load
from scheduler_sim.engine.traces.gavel import read_kinds, read_throughputs
from scheduler_sim.engine.traces.generic import COLUMNS
from scheduler_sim.engine.traces.registry import (
    FORMATS,
    ReadOptions,
    Trace,
    TraceFormat,
    choose_format,
    fingerprint,
    read_source,
    read_trace,
)
from scheduler_sim.engine.traces.source import open_source
from scheduler_sim.engine.traces.swf_write import write_swf

__all__ = [
    "COLUMNS",
    "FORMATS",
    "REASONS",
    "Audit",
    "Finding",
    "InvalidTrace",
    "ReadOptions",
    "Trace",
    "TraceFormat",
    "batsim",
    "choose_format",
    "fingerprint",
    "gavel",
    "generic",
    "helios",
    "offered_load",
    "open_source",
    "openb",
    "pai",
    "philly",
    "read_kinds",
    "read_source",
    "read_throughputs",
    "read_trace",
    "sacct",
    "swf",
    "wfformat",
    "write_swf",
]
