"""Circuits: the paths through one unit a layer, from an input to the output (li2022, eq. 11)."""

from ssbrepro.probes.circuits.counting import CircuitCounts, count_circuits
from ssbrepro.probes.circuits.sampling import CircuitSample, sample_circuits

__all__ = ["CircuitCounts", "CircuitSample", "count_circuits", "sample_circuits"]
