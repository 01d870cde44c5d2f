"""Who may do what, and who did: signing in, API tokens, the log of actions."""
