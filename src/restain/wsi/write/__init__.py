"""Writing pyramidal slide files that every reader opens."""
