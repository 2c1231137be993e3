"""Symmetry breaking in deep networks, measured: the science behind the reproduced figures.

Importable alone. Nothing here knows of manifests, processes, containers or run tracking. Importing it
imports no library: ``ssbrepro.networks`` and the other packages are imported when first used.
"""

from ssbrepro.lazy import submodules

__version__ = "0.1.0"  # the package's own: pyproject.toml reads it here

__getattr__, __dir__ = submodules(
    __name__, "data", "networks", "papers", "probes", "statistics", "training"
)
