"""Fluctuation-dissipation relations of stochastic gradient descent: monitor, schedule, landscape."""
