"""Policies that are Python classes: a plain event loop that asks them what to start."""
