"""Work that outlives the request or command that asked for it."""
