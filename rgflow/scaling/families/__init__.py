"""Scaling families: how initial variances and learning rates go with width and depth, and what follows."""
