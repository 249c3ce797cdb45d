"""What makes a stained slide independent of its tiles: statistics of the norms, and the seam score."""
