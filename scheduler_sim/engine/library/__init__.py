"""The engine as people import it: read or generate tasks, play them, and look at what came of it."""
