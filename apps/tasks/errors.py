"""What goes wrong with stored workloads, in sentences that can be shown to a person."""

from scheduler_sim.engine import EngineError


class WorkloadError(EngineError):
    """A workload that cannot be found or stored as asked."""


class SeriesError(EngineError):
    """A series that cannot be found or stored as asked."""


class SiteError(EngineError):
    """A site that cannot be found, stored or deleted as asked."""
