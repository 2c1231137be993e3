"""The harness: from a manifest to a verdict. Knows YAML, processes, containers; no mathematics."""

from ssbrepro import __version__

__all__ = ["__version__"]
