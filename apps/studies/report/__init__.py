"""A study as figures, words, charts and files."""
