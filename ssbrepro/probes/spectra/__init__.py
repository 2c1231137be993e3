"""Eigenvalue distributions, outermost eigenvalues and moments of large symmetric operators."""

from ssbrepro.probes.spectra.density import Density, density
from ssbrepro.probes.spectra.extremes import Eigenpairs, top_eigenpairs
from ssbrepro.probes.spectra.lanczos import Quadrature, lanczos
from ssbrepro.probes.spectra.traces import moments

__all__ = [
    "Density",
    "Eigenpairs",
    "Quadrature",
    "density",
    "lanczos",
    "moments",
    "top_eigenpairs",
]
