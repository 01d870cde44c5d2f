"""The event loop of a site: named nodes with partitions, limits and reservations, and Slurm's own two loops."""
