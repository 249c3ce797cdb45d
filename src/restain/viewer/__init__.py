"""Slides side by side in a browser: what was given, tiles of it over HTTP, and the page. No torch.

``static/vendor`` holds OpenSeadragon 6.1.1 (BSD-3, its licence beside it), unchanged.
"""
