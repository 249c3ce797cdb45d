"""Systems trained under one budget on one data set, and compared on the same held-out fields."""
