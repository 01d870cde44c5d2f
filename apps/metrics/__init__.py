"""Figures computed from results: leaderboard, history, cache, health."""
