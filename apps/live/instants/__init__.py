"""A stored run at any instant: read, and played again where that is needed."""
