"""Playing a run: from its configuration to its end."""
