"""Data: folders to manifests, manifests to training images, and a look at both."""
