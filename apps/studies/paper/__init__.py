"""What goes into a paper: figures, tables, text, sources and data of what was simulated, as one archive."""
