"""Weighted terms of a loss that have networks, a state or settings of their own; methods are sums of them."""
