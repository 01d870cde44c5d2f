"""Tasks whose width changes."""
