"""Answers for whoever runs a cluster: who wins, who loses."""
