"""Data, a training loop, checkpoints."""
