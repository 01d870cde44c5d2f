"""Event loops that stop where someone outside chooses: the next task, its node, or what is stopped for it."""
