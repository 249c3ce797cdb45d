"""Networks: plain ``nn.Module`` classes built from numbers."""
