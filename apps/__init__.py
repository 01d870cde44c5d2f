"""The Django apps; each owns its tables, and imports point from live towards tasks, never back."""
