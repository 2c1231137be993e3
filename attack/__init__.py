"""Attacks on every surface: damage, kills, hostile input. ``python -m attack`` runs them all."""
