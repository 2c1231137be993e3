"""The field theory of ssb2018: weights in a potential whose symmetry breaks."""

from ssbrepro.fieldtheory.potential import Potential

__all__ = ["Potential"]
