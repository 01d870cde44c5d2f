"""What goes wrong in the domain, in sentences that can be shown to a person."""


class DomainError(Exception):
    """The base of every failure that a page, the API or a command turns into its own plain sentence."""


class RunStateError(DomainError):
    """The run's state does not allow what was asked."""


class UnknownRun(DomainError):
    """No run has that number or name."""


class UnknownStudy(DomainError):
    """No study has that number or name."""
