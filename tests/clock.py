"""A clock that a test puts in the place of the real one."""


class Clock:
    """Seconds that the test lets go by."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
