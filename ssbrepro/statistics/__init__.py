"""Symmetry of samples, what chance would make of it, and histograms to draw.

Arrays are NumPy's, and randomness comes from a ``numpy.random.Generator``.
"""

from ssbrepro.statistics.symmetry import reflection_asymmetry, sign_flip_test

__all__ = ["reflection_asymmetry", "sign_flip_test"]
