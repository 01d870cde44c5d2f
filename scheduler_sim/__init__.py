"""The project package; importing it imports nothing of Django."""
