"""Registration: two whole slides of consecutive sections -> a transform -> training pairs. No torch."""
