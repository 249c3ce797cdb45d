"""Training: the loop, what it writes down, and what stops it. The only rooms that know Lightning Fabric."""
