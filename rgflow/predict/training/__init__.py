"""Training at order 1/n: trees of output jets, the times of the algorithm, averages over networks."""
