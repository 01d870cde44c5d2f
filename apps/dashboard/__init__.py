"""The pages on which runs are started, watched, read and compared."""
