"""One pool of processors playing rigid tasks without dependencies."""
