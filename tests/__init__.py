"""Tests; a package so that they can share `tests.oracles` under --import-mode=importlib."""
