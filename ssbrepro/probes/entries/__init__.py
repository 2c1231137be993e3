"""Entries of the Hessian as random variables over the examples."""

from ssbrepro.probes.entries.grid import entry_grid
from ssbrepro.probes.entries.per_example import per_example_entries

__all__ = ["entry_grid", "per_example_entries"]
