"""Eigenvalue distributions of large symmetric operators."""

from ssbrepro.probes.spectra.lanczos import Quadrature, lanczos

__all__ = ["Quadrature", "lanczos"]
