"""Losses: tensors and numbers in, a tensor out."""
