"""The stages of ssb2018."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from ssbrepro.stages.stage import (
    CIFAR10_DIGEST,
    COUNT,
    NON_NEGATIVE,
    REAL,
    SHARE,
    SIGNED_SHARE,
    Count,
    Positive,
    Share,
    Stage,
)  # fmt: skip


@dataclass(frozen=True)
class PotentialParameters:
    """The potential of one weight in both phases (ssb2018, fig. 1).

    ``mu`` and ``coupling`` are μ and λ of V. The two step sizes are in units of the critical one:
    one above it, one below. Weights are drawn up to ``extent`` times the minimum of the broken phase.
    """

    mu: Positive
    coupling: Positive
    symmetric_step_size: Annotated[float, Gt(1)]
    broken_step_size: Annotated[float, Gt(0), Lt(1)]
    extent: Annotated[float, Gt(1)]
    num_points: Annotated[int, Ge(3)]


@dataclass(frozen=True)
class VacuaParameters:
    """The minima of the potential of D weights, for all D from 2 to ``max_dimension``.

    ``step_size`` is in units of the critical one. The surface over two weights is drawn up to
    ``extent`` times the radius of the minima, with ``num_points`` along the radius and as many
    around.
    """

    mu: Positive
    coupling: Positive
    step_size: Annotated[float, Ge(0), Lt(1)]
    max_dimension: Annotated[int, Ge(2)]
    extent: Annotated[float, Gt(1)]
    num_points: Annotated[int, Ge(3)]


@dataclass(frozen=True)
class GoldstoneParameters:
    """Masses around the zero-temperature vacuum of ``dimension`` weights, as the step size grows.

    ``num_step_sizes`` of them, from 0 to the critical one.
    """

    mu: Positive
    coupling: Positive
    dimension: Annotated[int, Ge(2)]
    num_step_sizes: Annotated[int, Ge(3)]


@dataclass(frozen=True)
class PropagatorParameters:
    """The correlation function of a field over layers t at frequencies k in sample space.

    ``num_momenta`` values of abs(k), logarithmic between ``momentum_range`` in units of μ, at each of
    ``num_times`` times up to ``max_time`` in units of 1/μ. ``step_size`` is in units of the critical
    one.
    """

    mu: Positive
    coupling: Positive
    step_size: Annotated[float, Ge(0), Lt(1)]
    momentum_range: tuple[Positive, Positive]
    num_momenta: Annotated[int, Ge(3)]
    max_time: Positive
    num_times: Annotated[int, Ge(2)]


@dataclass(frozen=True)
class Theorem1Parameters:
    """Stacks of ``num_layers`` random affine layers on D weights, with a ReLU after each and without.

    For each dimension D, ``num_stacks`` of them at ``inputs_per_dimension`` D random inputs.
    """

    dimensions: Annotated[tuple[Annotated[int, Ge(2)], ...], MinLen(1)]
    num_layers: Annotated[int, Ge(2)]
    num_stacks: Count
    inputs_per_dimension: Annotated[int, Ge(3)]


@dataclass(frozen=True)
class Theorem2Parameters:
    """Random vectors of each dimension, rotated inside and across the part that a ReLU lets through."""

    dimensions: Annotated[tuple[Annotated[int, Ge(4)], ...], MinLen(1)]
    num_vectors: Count


@dataclass(frozen=True)
class Theorem3Parameters:
    """Random matrices that commute with a ReLU, and rotations, which do not, in stacks of layers."""

    dimensions: Annotated[tuple[Annotated[int, Ge(2)], ...], MinLen(1)]
    num_layers: Annotated[int, Ge(2)]
    num_stacks: Count
    num_inputs: Count


@dataclass(frozen=True)
class ResidualNetworksParameters:
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


@dataclass(frozen=True)
class ResidualTrainingParameters(ResidualNetworksParameters):
    """Residual networks whose step size is multiplied by ``cut_factor`` after ``cut_epoch`` epochs.

    The weights are kept every ``checkpoint_interval`` epochs, which divides both numbers of epochs.
    """

    cut_epoch: Count
    cut_factor: Share
    checkpoint_interval: Count


@dataclass(frozen=True)
class LossDropParameters:
    """The loss one epoch after the cut over the loss one epoch before; a drop is at most ``drop_to``.

    ``num_epochs_before`` successive epochs before the cut say how much it changes without one.
    """

    drop_to: Share
    num_epochs_before: Annotated[int, Ge(2)]


@dataclass(frozen=True)
class ZeroModesParameters:
    """Share of the Hessian's eigenvalues near zero, before the cut of the step size and at the end.

    Near zero is at most ``zero_below`` times the largest magnitude before the cut, or at the same
    checkpoint, by ``scale``. Measured on the first ``num_examples`` images by ``num_vectors`` start
    vectors of ``num_steps`` Lanczos steps.
    """

    operator: Literal["cached", "autograd", "pyhessian"]
    num_examples: Count
    num_vectors: Annotated[int, Ge(2)]
    num_steps: Annotated[int, Ge(2)]
    zero_below: Share
    scale: Literal["before", "own"]


@dataclass(frozen=True)
class DecouplingParameters:
    """Size of a residual unit's branch over its input, on the first ``num_examples`` images."""

    num_examples: Count


@dataclass(frozen=True)
class InterpolationParameters:
    """The loss along the line from the initial to the final weights and along principal directions.

    ``num_points`` from the one to the other and, to see the minimum from both sides, as far beyond it
    as ``beyond`` times the distance. The principal directions are those of the kept weights.
    """

    num_points: Annotated[int, Ge(3)]
    beyond: Annotated[float, Ge(0)]


@dataclass(frozen=True)
class RandomLabelsParameters(ResidualNetworksParameters):
    """Residual networks trained on labels drawn at random, with a cut of the step size."""

    cut_epoch: Count
    cut_factor: Share


@dataclass(frozen=True)
class CyclicalParameters(ResidualNetworksParameters):
    """Residual networks trained twice from the same weights: cyclical and monotone step size.

    The monotone one starts at ``step_size`` and is multiplied by ``cut_factor`` after each of
    ``cut_epochs``. The cyclical one goes up and down between ``low_step_size`` and
    ``high_step_size`` along a triangle of ``cycle_length`` epochs.
    """

    cut_epochs: Annotated[tuple[Count, ...], MinLen(1)]
    cut_factor: Share
    low_step_size: Positive
    high_step_size: Positive
    cycle_length: Annotated[int, Ge(2)]
    loss_threshold: Positive


@dataclass(frozen=True)
class ShatteredParameters:
    """Gradients of untrained bias-free networks along a line between two CIFAR-10 images.

    Pairs of a plain and a residual network of the same number of weight layers, for each of
    ``depths``, all of ``width`` units, at ``num_points`` points; autocorrelations up to ``num_lags``.
    """

    num_networks: Annotated[int, Ge(2)]
    depths: Annotated[tuple[Annotated[int, Ge(4)], ...], MinLen(1)]
    width: Count
    num_points: Annotated[int, Ge(8)]
    num_lags: Count


@dataclass(frozen=True)
class TishbyTrainingParameters:
    """Tanh networks on the 12-bit task of Shwartz-Ziv & Tishby (2017), trained by SGD.

    ``num_networks`` of them with ``layer_sizes`` units, 12 inputs first and 2 outputs last, on
    ``train_share`` of the 4,096 patterns. The labels know ``label_information`` bits of the pattern,
    through its power in the spherical harmonics of ``degrees``. The weights are kept at
    ``num_checkpoints`` epochs, logarithmic, the first and the last included.
    """

    num_networks: Annotated[int, Ge(2)]
    layer_sizes: Annotated[tuple[Count, ...], MinLen(3)]
    degrees: Annotated[tuple[Annotated[int, Ge(0)], ...], MinLen(1)]
    label_information: Share
    train_share: Annotated[float, Gt(0), Le(1)]
    step_size: Positive
    momentum: Annotated[float, Ge(0), Lt(1)]
    batch_size: Count
    num_epochs: Annotated[int, Ge(2)]
    num_checkpoints: Annotated[int, Ge(2)]


@dataclass(frozen=True)
class InformationPlaneParameters:
    """I(X;T) and I(T;Y) of each layer over all patterns, activities in ``num_bins`` equal bins.

    A layer knows the label where I(T;Y) is ``informed_above`` bits or more.
    """

    num_bins: Annotated[int, Ge(2)]
    informed_above: Share


@dataclass(frozen=True)
class GradientVarianceParameters:
    """Each layer's gradients over the batches of an epoch: standard deviation over size of the mean.

    Medians over windows of ``window_share`` of the epochs. A layer's ratio grew where it ends at
    ``growth_above`` times its minimum.
    """

    window_share: Share
    growth_above: Annotated[float, Gt(1)]


SSB2018 = (
    Stage(
        name="potential",
        parameters=PotentialParameters,
        numbers={
            "critical_step_size_residual": NON_NEGATIVE,
            "curvature_a_symmetric": REAL,
            "curvature_a_broken": REAL,
            "minimum_residual": NON_NEGATIVE,
            "curvature_c": REAL,
            "height_c": REAL,
            "height_c_residual": NON_NEGATIVE,
        },
        module="ssbrepro.fieldtheory.potential",
        function="potential_stage",
    ),
    Stage(
        name="vacua",
        parameters=VacuaParameters,
        numbers={
            "num_wrong_counts": COUNT,
            "num_wrong_generators": COUNT,
            "zero_mode_max": NON_NEGATIVE,
            "radial_residual_max": NON_NEGATIVE,
            "height_spread": NON_NEGATIVE,
        },
        module="ssbrepro.fieldtheory.vacua",
        function="vacua_stage",
    ),
    Stage(
        name="goldstone",
        parameters=GoldstoneParameters,
        numbers={
            "pi_residual_max": NON_NEGATIVE,
            "sigma_residual_max": NON_NEGATIVE,
            "pi_zero_temperature": NON_NEGATIVE,
            "thermal_pi_max": NON_NEGATIVE,
            "thermal_sigma_residual_max": NON_NEGATIVE,
            "vacuum_residual": NON_NEGATIVE,
            "paper_sigma_difference": NON_NEGATIVE,
            "paper_radius_difference": NON_NEGATIVE,
        },
        module="ssbrepro.fieldtheory.goldstone",
        function="goldstone_stage",
    ),
    Stage(
        name="propagator",
        parameters=PropagatorParameters,
        numbers={
            "transform_residual_max": NON_NEGATIVE,
            "pi_slope": REAL,
            "pi_slope_residual": NON_NEGATIVE,
            "sigma_excess": REAL,
            "warm_pi_slope": REAL,
        },
        module="ssbrepro.fieldtheory.propagator",
        function="propagator_stage",
    ),
    Stage(
        name="theorem1",
        parameters=Theorem1Parameters,
        numbers={
            "affine_defect_max": NON_NEGATIVE,
            "composition_defect_max": NON_NEGATIVE,
            "relu_defect_min": NON_NEGATIVE,
        },
        module="ssbrepro.fieldtheory.theorems",
        function="theorem1_stage",
    ),
    Stage(
        name="theorem2",
        parameters=Theorem2Parameters,
        numbers={
            "positive_part_difference_max": NON_NEGATIVE,
            "inside_difference_max": NON_NEGATIVE,
            "across_difference_min": NON_NEGATIVE,
            "affine_difference_min": NON_NEGATIVE,
            "remnant_share_mean": SHARE,
            "remnant_share_max": SHARE,
        },
        module="ssbrepro.fieldtheory.theorems",
        function="theorem2_stage",
    ),
    Stage(
        name="theorem3",
        parameters=Theorem3Parameters,
        numbers={
            "commutator_max": NON_NEGATIVE,
            "covariance_defect_max": NON_NEGATIVE,
            "pair_defect_max": NON_NEGATIVE,
            "rotation_commutator_min": NON_NEGATIVE,
            "rotation_defect_min": NON_NEGATIVE,
        },
        module="ssbrepro.fieldtheory.theorems",
        function="theorem3_stage",
    ),
    Stage(
        name="residual_training",
        parameters=ResidualTrainingParameters,
        numbers={
            "final_loss_median": NON_NEGATIVE,
            "final_loss_max": NON_NEGATIVE,
            "final_accuracy_min": SHARE,
            "cut_loss_median": NON_NEGATIVE,
            "mean_loss": NON_NEGATIVE,
        },
        module="ssbrepro.learning.residual_training",
        function="residual_training_stage",
        data=CIFAR10_DIGEST,
    ),
    Stage(
        name="loss_drop",
        parameters=LossDropParameters,
        numbers={
            "drop_share": SHARE,
            "ratio_median": NON_NEGATIVE,
            "ratio_min": NON_NEGATIVE,
            "ratio_max": NON_NEGATIVE,
            "ratio_before_median": NON_NEGATIVE,
        },
        module="ssbrepro.learning.loss_drop",
        function="loss_drop_stage",
        needs=("residual_training",),
    ),
    Stage(
        name="zero_modes",
        parameters=ZeroModesParameters,
        numbers={
            "share_before_median": SHARE,
            "share_after_median": SHARE,
            "growth_median": SIGNED_SHARE,
            "growth_min": SIGNED_SHARE,
            "growth_max": SIGNED_SHARE,
            "growth_noise": SIGNED_SHARE,
            "growing_share": SHARE,
            "symmetry_residual_max": NON_NEGATIVE,
            "pyhessian_residual_max": NON_NEGATIVE,
        },
        module="ssbrepro.learning.zero_modes",
        function="zero_modes_stage",
        needs=("residual_training",),
        data=CIFAR10_DIGEST,
    ),
    Stage(
        name="decoupling",
        parameters=DecouplingParameters,
        numbers={
            "ratio_start_median": NON_NEGATIVE,
            "ratio_median": NON_NEGATIVE,
            "ratio_median_min": NON_NEGATIVE,
            "ratio_median_max": NON_NEGATIVE,
            "unit_median_max": NON_NEGATIVE,
            "below_one_share": SHARE,
        },
        module="ssbrepro.learning.decoupling",
        function="decoupling_stage",
        needs=("residual_training",),
        data=CIFAR10_DIGEST,
    ),
    Stage(
        name="interpolation",
        parameters=InterpolationParameters,
        numbers={
            "rise_max": REAL,
            "rise_median": REAL,
            "monotone_share": SHARE,
            "final_loss_residual_max": NON_NEGATIVE,
            "path_share_first": SHARE,
            "path_share_second": SHARE,
        },
        module="ssbrepro.learning.interpolation",
        function="interpolation_stage",
        needs=("residual_training",),
        data=CIFAR10_DIGEST,
    ),
    Stage(
        name="random_labels",
        parameters=RandomLabelsParameters,
        numbers={
            "error_max": SHARE,
            "error_median": SHARE,
            "final_loss_max": NON_NEGATIVE,
            "zero_error_share": SHARE,
            "epochs_to_zero_median": NON_NEGATIVE,
        },
        module="ssbrepro.learning.random_labels",
        function="random_labels_stage",
        data=CIFAR10_DIGEST,
    ),
    Stage(
        name="cyclical",
        parameters=CyclicalParameters,
        numbers={
            "first_share": SHARE,
            "cyclical_epochs_median": NON_NEGATIVE,
            "monotone_epochs_median": NON_NEGATIVE,
            "num_cyclical_unreached": COUNT,
            "num_monotone_unreached": COUNT,
            "cyclical_loss_median": NON_NEGATIVE,
            "monotone_loss_median": NON_NEGATIVE,
        },
        module="ssbrepro.learning.cyclical",
        function="cyclical_stage",
        data=CIFAR10_DIGEST,
    ),
    Stage(
        name="shattered",
        parameters=ShatteredParameters,
        numbers={
            "difference_min": REAL,
            "difference_noise": REAL,
            "plain_closer_share": SHARE,
            "plain_deepest": NON_NEGATIVE,
            "residual_deepest": NON_NEGATIVE,
            "white_noise": NON_NEGATIVE,
        },
        module="ssbrepro.learning.shattered",
        function="shattered_stage",
        data=CIFAR10_DIGEST,
    ),
    Stage(
        name="tishby_training",
        parameters=TishbyTrainingParameters,
        numbers={
            "label_information": SHARE,
            "best_accuracy": SHARE,
            "final_accuracy_median": SHARE,
            "final_accuracy_min": SHARE,
            "final_loss_median": NON_NEGATIVE,
        },
        module="ssbrepro.information.training",
        function="tishby_training_stage",
    ),
    Stage(
        name="information_plane",
        parameters=InformationPlaneParameters,
        numbers={
            "label_information_min": SHARE,
            "label_information_worst": SHARE,
            "informed_share": SHARE,
            "label_information_first": SHARE,
            "label_information_last": SHARE,
            "label_information_first_start": SHARE,
            "label_information_last_start": SHARE,
            "input_information_first": NON_NEGATIVE,
            "input_information_last": NON_NEGATIVE,
            "input_information_fall_max": REAL,
        },
        module="ssbrepro.information.plane",
        function="information_plane_stage",
        needs=("tishby_training",),
    ),
    Stage(
        name="gradient_variance",
        parameters=GradientVarianceParameters,
        numbers={
            f"{network}_{quantity}": domain
            for network in ("tishby", "residual")
            for quantity, domain in {
                "growing_share": SHARE,
                "growth_median": NON_NEGATIVE,
                "growth_min": NON_NEGATIVE,
                "growth_max": NON_NEGATIVE,
            }.items()
        },
        module="ssbrepro.learning.gradient_variance",
        function="gradient_variance_stage",
        needs=("tishby_training", "residual_training"),
    ),
)
