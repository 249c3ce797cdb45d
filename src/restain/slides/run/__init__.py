"""From a scanner's file to a virtual slide: pipeline, journal, stitching, one slide and many."""
