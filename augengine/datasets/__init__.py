"""Datasets whose images stay encoded until a plan says what of them is looked at."""
