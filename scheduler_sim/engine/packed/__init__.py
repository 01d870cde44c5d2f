"""Bytes as people send them: packed in several ways, in other encodings, and larger than memory."""
