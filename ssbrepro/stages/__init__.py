"""The only door to the science for whoever runs it: the stages a manifest may name.

A stage takes typed parameters and a context and returns arrays and numbers. This package is light:
a stage's implementation, and with it PyTorch, is imported when the stage runs.
"""

from ssbrepro.stages.li2022 import LI2022
from ssbrepro.stages.ssb2018 import SSB2018
from ssbrepro.stages.stage import Domain, Stage

__all__ = ["STAGES", "Domain", "Stage"]

STAGES = {stage.name: stage for stage in (*LI2022, *SSB2018)}
