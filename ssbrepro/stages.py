"""The only door to the science for whoever runs it: the stages a manifest may name.

A stage takes typed parameters and a context and returns arrays and numbers. This module is light:
a stage's implementation, and with it PyTorch, is imported when the stage runs.
"""

import importlib
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from ssbrepro.results import Context, Result

Class = Annotated[int, Ge(0), Le(9)]
Epoch = Annotated[int, Ge(0)]
Count = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class TrainingParameters:
    """Train a bias-free VGG on binarised CIFAR-10 with hinge loss and momentum SGD.

    ``width`` multiplies the hidden channels (1: 9,664,704 weights). The step size is multiplied by
    ``cut_factor`` at the start of each of ``cut_epochs``, counted in finished epochs.
    """

    positive_classes: Annotated[tuple[Class, ...], MinLen(1)]
    negative_classes: Annotated[tuple[Class, ...], MinLen(1)]
    num_examples: Count
    width: Annotated[float, Gt(0)]
    step_size: Annotated[float, Gt(0)]
    cut_epochs: tuple[Epoch, ...]
    cut_factor: Annotated[float, Gt(0), Le(1)]
    momentum: Annotated[float, Ge(0), Lt(1)]
    batch_size: Count
    num_epochs: Count
    checkpoint_epochs: Annotated[tuple[Epoch, ...], MinLen(1)]


@dataclass(frozen=True)
class SpectrumParameters:
    """Spectral density of the Hessian of the mean hinge loss at each checkpoint.

    Each of ``num_pairs`` pairs of start vectors runs ``num_steps`` Lanczos steps twice.
    ``num_draws`` measurements of a symmetric spectrum and ``num_flips`` sign patterns give the null
    distributions of the asymmetry.
    ``kernel_width`` and ``linear_share`` shape the drawn density only: the width of the kernel as a
    share of the symmetric logarithmic axis, and the point where that axis turns linear as a share of
    the largest eigenvalue.
    """

    operator: Literal["autograd", "pyhessian"]
    num_steps: Annotated[int, Ge(2)]
    num_pairs: Count
    num_draws: Annotated[int, Ge(19)]
    num_flips: Count
    kernel_width: Annotated[float, Gt(0), Lt(1)]
    linear_share: Annotated[float, Gt(0), Lt(1)]
    num_grid_points: Annotated[int, Ge(3)]


@dataclass(frozen=True)
class Stage:
    """A named computation: what it takes, which stages it needs, and where it lives."""

    name: str
    parameters: type
    numbers: tuple[str, ...]  # what it measures, for manifests to refer to
    module: str
    function: str
    needs: tuple[str, ...] = ()
    data: str | None = None  # digest of the dataset it reads

    def run(self, parameters: object, context: Context) -> Result:
        """Run the stage.

        Raises:
            RuntimeError: If it does not account for exactly the numbers it declares.
        """
        function = getattr(importlib.import_module(self.module), self.function)
        result: Result = function(parameters, context)
        if {*result.numbers, *result.missing} != {*self.numbers}:
            raise RuntimeError(f"stage {self.name} measured {sorted(result.numbers)}")
        return result


# The archive's MD5 as published with the dataset; every file in it is checked when read.
CIFAR10_DIGEST = "cifar-10-python md5:c58f30108f718f92721af3b95e74349a"

STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            name="training",
            parameters=TrainingParameters,
            numbers=(
                "final_loss",
                "final_accuracy",
                "final_order_parameter",
                "mean_loss",
                "max_order_parameter",
            ),
            module="ssbrepro.training",
            function="training_stage",
            data=CIFAR10_DIGEST,
        ),
        Stage(
            name="spectrum",
            parameters=SpectrumParameters,
            numbers=(
                "num_checkpoints",
                "num_empty",
                "final_num_active",
                "asymmetry_max",
                "asymmetry_noise",
                "extreme_ratio_max",
                "standard_deviation_max",
                "standard_deviation_final_share",
                "euler_residual_max",
                "layers_residual_max",
                "same_layer_residual_max",
                "symmetry_residual_max",
                "active_only_residual_max",
                "pyhessian_residual_max",
            ),
            module="ssbrepro.spectra.stage",
            function="spectrum_stage",
            needs=("training",),
            data=CIFAR10_DIGEST,
        ),
    )
}
