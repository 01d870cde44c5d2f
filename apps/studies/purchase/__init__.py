"""The cheapest change of a run's cluster or site that reaches a target: asking for it, searching it, showing it."""
