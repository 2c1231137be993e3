"""Parameters that several stages share."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Lt

from ssbrepro.contract import Count, Positive


@dataclass(frozen=True)
class ResidualNetworks:
    """Bias-free residual networks on the first CIFAR-10 images, trained by momentum SGD.

    ``num_networks`` of them, which differ in their initial weights and in the order of the images.
    Three groups of ``num_units`` residual units with ``channels``, 2 ``channels`` and 4 ``channels``;
    a unit's branch is multiplied by ``branch_scale``. The loss is the cross-entropy of ten classes.
    """

    num_networks: Annotated[int, Ge(2)]
    num_examples: Annotated[int, Ge(2)]
    channels: Count
    num_units: Count
    branch_scale: Positive
    step_size: Positive
    momentum: Annotated[float, Ge(0), Lt(1)]
    batch_size: Count
    num_epochs: Count
