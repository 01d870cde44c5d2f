"""Live messages: from the runner to every client that watches."""
