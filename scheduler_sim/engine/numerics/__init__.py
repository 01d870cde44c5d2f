"""Means, percentiles, histograms, intervals and orders of many numbers."""
