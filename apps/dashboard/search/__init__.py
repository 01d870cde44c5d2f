"""Finding what the site holds by a word or a number."""
