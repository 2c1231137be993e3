"""Symmetry breaking in deep networks, measured: the science behind the reproduced figures.

Importable alone. Nothing here knows of manifests, processes, containers or run tracking.
"""
