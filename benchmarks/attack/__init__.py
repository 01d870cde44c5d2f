"""A long attack on sites of its own."""
