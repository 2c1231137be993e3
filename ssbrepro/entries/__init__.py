"""Entries of the Hessian as random variables over the examples."""

from ssbrepro.entries.per_example import per_example_entries

__all__ = ["per_example_entries"]
