"""What is measured of a network: exact Hessian products, spectra, circuits, entries, identities."""

from ssbrepro.lazy import submodules

__getattr__, __dir__ = submodules(
    __name__,
    "circuits",
    "controls",
    "entries",
    "gradients",
    "identities",
    "operators",
    "risk",
    "spectra",
)
