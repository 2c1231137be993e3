"""Networks too small to learn random labels by heart: what random_labels is held against."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from ssbrepro import domains
from ssbrepro.contract import Context, Count, Positive, Result, Stage
from ssbrepro.lazy import lazily
from ssbrepro.papers.ssb2018.stages.random_labels import NUMBERS as OF_RANDOM_LABELS

with lazily():
    from ssbrepro.papers.ssb2018 import residual_networks
    from ssbrepro.papers.ssb2018.stages import random_labels


@dataclass(frozen=True)
class Parameters:
    """What makes them small. All else is that of ``random_labels``: labels, batches, schedule."""

    channels: Count
    num_units: Count
    branch_scale: Positive


NUMBERS = {**OF_RANDOM_LABELS, "bits_per_weight": domains.NON_NEGATIVE}


def run(parameters: Parameters, context: Context) -> Result:
    """Train small networks as ``random_labels`` trains its own, each on the same labels.

    Labels uniform over the classes hold log2(classes) bits each, and nothing but the weights can keep
    them.

    Returns:
        Arrays and numbers of ``random_labels``, and the bits of all labels over the number of weights:
        where it is above what a weight can hold, some label stays wrong.

    Raises:
        ArithmeticError: If a loss stops being finite.
    """
    small = dataclasses.replace(
        context.inputs["random_labels"].parameters, **dataclasses.asdict(parameters)
    )
    result = random_labels.run(small, context)
    weights = [*residual_networks.untrained(small, context.seed, 0).parameters()]
    bits = small.num_examples * math.log2(len(weights[-1]))  # one row of the last layer a class
    bits_per_weight = bits / sum(weight.numel() for weight in weights)
    return dataclasses.replace(
        result, numbers={**result.numbers, "bits_per_weight": bits_per_weight}
    )


STAGE = Stage(Parameters, NUMBERS, run, needs=("random_labels",), data="cifar10")
