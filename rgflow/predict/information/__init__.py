"""Entropy and mutual information of random networks: a series in V, a scale mixture, and both for real inputs."""
