"""What came of a schedule: figures, groups, energy, fairness, bounds, and whether they may be believed."""
