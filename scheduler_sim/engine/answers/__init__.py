"""What to buy, and what to write into Slurm's configuration: answers made of many plays."""
