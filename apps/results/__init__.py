"""Runs and the placements they made."""
