"""The amount and distribution of DAB, and its correlations."""
