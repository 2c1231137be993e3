"""Seeded defects: small changes to the code that its quick tests must notice. ``python -m mutants``."""
