"""Forecasts of starts, and their trials on a stored past: made, shown and told over HTTP."""
