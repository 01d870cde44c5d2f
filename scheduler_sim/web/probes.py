"""Addresses at which machines ask how the site does: never refused, never counted, not logged."""

PROBES = ("/health", "/ready")
