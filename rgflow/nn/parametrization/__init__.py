"""Scaling families applied to a module of the user."""
