"""Traces: one reader a format, one audit, one way in."""

from scheduler_sim.engine.traces import swf
from scheduler_sim.engine.traces.audit import REASONS, Audit, Finding, offered_load
from scheduler_sim.engine.traces.registry import FORMATS, ReadOptions, Trace, TraceFormat, read_trace
from scheduler_sim.engine.traces.swf import write_swf

__all__ = [
    "FORMATS",
    "REASONS",
    "Audit",
    "Finding",
    "ReadOptions",
    "Trace",
    "TraceFormat",
    "offered_load",
    "read_trace",
    "swf",
    "write_swf",
]
