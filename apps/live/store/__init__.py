"""Storing placements while a run goes on, so that nothing is lost."""
