"""Tasks as columns: what they ask for, what policies are told of them, and who waits for whom."""
