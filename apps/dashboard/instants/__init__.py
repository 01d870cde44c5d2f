"""The page of the time machine: a stored run at any instant, played, stepped through and looked up."""
