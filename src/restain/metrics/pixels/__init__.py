"""Similarity of pixels: SSIM, PSNR, MS-SSIM and SSIM that tolerates a shift."""
