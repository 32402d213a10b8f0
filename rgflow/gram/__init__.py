"""K and Theta of many inputs, at leading order, pair by pair: the Gram matrices of a network's ensemble."""
