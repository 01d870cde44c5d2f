"""Data to learn from, and the models learned."""
