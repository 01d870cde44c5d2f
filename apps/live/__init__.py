"""Running simulations: the runner, control, and live messages."""
