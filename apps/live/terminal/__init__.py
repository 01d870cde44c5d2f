"""What a run shows in the terminal it was started from."""
