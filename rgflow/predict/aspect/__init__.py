"""How deep for a width: r* = v*/nu, what fluctuations then are, and a depth with its reasons."""
