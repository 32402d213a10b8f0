"""Formulas and numbers typed by hand from papers, each with its source."""
