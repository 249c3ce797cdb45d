"""What trained networks see in real and virtual stains: FID, KID, LPIPS and PHV, with a cache of features."""
