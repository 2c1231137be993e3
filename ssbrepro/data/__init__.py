"""Datasets, checked before they are read."""
