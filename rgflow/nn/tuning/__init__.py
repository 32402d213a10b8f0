"""Scales that bring a module to criticality: which parameters they multiply, what they are for, how they are found."""
