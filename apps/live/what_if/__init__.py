"""What if a finished run had other nodes, load, limits or policies: asked, played at once, and kept on demand."""
