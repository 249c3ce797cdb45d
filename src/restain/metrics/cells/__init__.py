"""What a pathologist counts: nuclei, positivity, H-score and HER2 category; and cells that a user found."""
