"""What is measured of a PyTorch model, beside what the theory says of it."""
