"""Stored rows and runs as files that others can read."""
