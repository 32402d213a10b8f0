"""Models of a network description, drawn as described."""
