"""Everything that is printed: one file for each command that prints a table."""
