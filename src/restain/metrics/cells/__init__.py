"""What a pathologist counts: nuclei, positivity, H-score and HER2 category."""
