"""What goes wrong in the domain, in sentences that can be shown to a person."""


class DomainError(Exception):
    """The base of every failure that a page, the API or a command turns into its own plain sentence."""


class InvalidField(DomainError):
    """Something was asked for that cannot be.

    Attributes:
        field: the part of it that is to blame, empty where it is none alone.
    """

    def __init__(self, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


class RunStateError(DomainError):
    """The run's state does not allow what was asked."""


class UnknownRun(DomainError):
    """No run has that number or name."""


class UnknownStudy(DomainError):
    """No study has that number or name."""
