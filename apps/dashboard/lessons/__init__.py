"""Lessons: a question, an answer found by playing, and the files they are written in."""
