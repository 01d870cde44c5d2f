"""The engine's version: raised whenever a simulated number moves, and stored with every run."""

ENGINE_VERSION = "2.5"
