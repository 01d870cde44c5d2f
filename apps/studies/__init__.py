"""Studies: grids of runs, played on all cores or on many machines, and summarised with intervals."""
