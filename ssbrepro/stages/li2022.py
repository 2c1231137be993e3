"""The stages of li2022."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from ssbrepro.stages.stage import (
    ASYMMETRY,
    AT_LEAST_ONE,
    CIFAR10_DIGEST,
    COUNT,
    NON_NEGATIVE,
    NON_POSITIVE,
    REAL,
    SHARE,
    SIGNED_SHARE,
    Count,
    Positive,
    Share,
    Stage,
)  # fmt: skip

Class = Annotated[int, Ge(0), Le(9)]
Epoch = Annotated[int, Ge(0)]
Imitations = Annotated[int, Ge(19)]  # enough for a 95 % quantile


@dataclass(frozen=True)
class TrainingParameters:
    """Train a bias-free VGG on binarised CIFAR-10 with hinge loss and momentum SGD.

    ``width`` multiplies the hidden channels (1: 9,664,704 weights). The step size is multiplied by
    ``cut_factor`` at the start of each of ``cut_epochs``, counted in finished epochs. Examples outside
    the margin have no gradient, so ``differentiated`` changes roundings and the time only.
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
    differentiated: Literal["active", "all"]


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

    operator: Literal["cached", "autograd", "pyhessian"]
    num_steps: Annotated[int, Ge(2)]
    num_pairs: Count
    num_draws: Imitations
    num_flips: Count
    kernel_width: Share
    linear_share: Share
    num_grid_points: Annotated[int, Ge(3)]


@dataclass(frozen=True)
class GraphParameters:
    """A small fully connected network with all its circuits, to be drawn.

    ``layer_sizes`` are the units of each layer, inputs first, one output last.
    """

    layer_sizes: Annotated[tuple[Count, ...], MinLen(3)]


@dataclass(frozen=True)
class WeightsParameters:
    """The law of each layer's weights at each checkpoint.

    A layer counts as symmetric at a checkpoint where its asymmetry is at most ``symmetric_below``.
    ``num_draws`` random sign patterns say what chance alone would give. ``num_bins`` and
    ``kernel_width``, a share of the axis, shape the drawn histograms only.
    """

    symmetric_below: Positive
    num_draws: Imitations
    num_bins: Count
    kernel_width: Share


@dataclass(frozen=True)
class CircuitsParameters:
    """Circuits of the untrained network, sampled uniformly from all active ones of an example.

    Each of ``num_draws`` draws takes another example and samples ``num_circuits`` circuits of each
    order. A draw counts as asymmetric where its sign-flip p-value, from ``num_flips`` patterns, is
    below ``small_p_value``. The rest shapes the drawn histograms only: the axis is linear below
    ``linear_share`` of its end.
    """

    num_draws: Count
    num_circuits: Annotated[int, Ge(2)]
    num_flips: Count
    small_p_value: Share
    num_bins: Count
    kernel_width: Share
    linear_share: Share


@dataclass(frozen=True)
class GradientsParameters:
    """All entries of the gradient of the mean hinge loss at each checkpoint.

    ``num_flips`` sign patterns give the null distribution of the asymmetry. The rest shapes the
    drawn histograms only: the axis is linear below ``linear_share`` of its end.
    """

    num_flips: Count
    num_bins: Count
    kernel_width: Share
    linear_share: Share


@dataclass(frozen=True)
class OrderParameterParameters:
    """The order parameter against the loss, over the epochs whose loss is above ``loss_above``."""

    loss_above: Positive


@dataclass(frozen=True)
class SurfacesParameters:
    """Two surfaces over [-extent, extent]²: x² - y², and (1 - x y)² + balance (x² - y²)²."""

    balance: Positive
    extent: Annotated[float, Gt(1)]
    num_points: Annotated[int, Ge(3)]


@dataclass(frozen=True)
class EntriesParameters:
    """Per-example values of uniformly drawn entries of the Hessian at each checkpoint.

    Pairs of weights are drawn until ``num_entries`` of them are live at the first checkpoint, that
    is not zero for all of the first ``num_examples`` training examples (of all, where there are
    fewer), or until ``max_pairs`` pairs of different layers have been tried. A checkpoint with fewer
    than ``min_active`` examples inside the margin is left out: the law over so few is theirs, not the
    entries'.
    """

    num_examples: Annotated[int, Ge(2)]
    min_active: Annotated[int, Ge(1)]
    num_entries: Count
    max_pairs: Count


@dataclass(frozen=True)
class LawsParameters:
    """Bootstrap laws of Hessian entries: each draw averages ``resample_size`` random examples.

    A law is centred where abs(mean / standard deviation) is at most ``centred_below``, and symmetric
    where the asymmetry of ``num_draws`` draws is at most ``symmetric_below``. ``num_flips`` patterns
    of random signs say what chance alone would give. ``num_shown`` laws are judged and drawn, as
    histograms on an axis that is linear below ``linear_share`` of its end.
    """

    resample_size: Count
    num_draws: Annotated[int, Ge(2)]
    num_flips: Imitations
    centred_below: Positive
    symmetric_below: Positive
    num_shown: Count
    num_bins: Count
    kernel_width: Share
    linear_share: Share


@dataclass(frozen=True)
class MeansParameters:
    """Means of Hessian entries in units of their standard deviations over bootstrap draws.

    Each draw averages ``resample_size`` random examples. A mean counts as centred below
    ``centred_below``. ``num_replicates`` bootstrap samples of all examples give the band of the
    centred share, and as many patterns of random signs what chance alone would give.
    """

    resample_size: Count
    centred_below: Positive
    num_replicates: Imitations
    num_bins: Count
    kernel_width: Share


@dataclass(frozen=True)
class CorrelationsParameters:
    """Correlations between ``num_entries`` Hessian entries at the start and at the end.

    One whose absolute value is above ``strong_above`` counts as strong.
    """

    num_entries: Annotated[int, Ge(2)]
    strong_above: Share


@dataclass(frozen=True)
class CouplingParameters:
    """With how many others an entry of the Hessian has a joint cumulant that is not zero.

    Covariance, coskewness and excess cokurtosis of ``num_entries`` live entries; not zero means
    beyond a threshold from ``num_permutations`` independent permutations of the examples at
    ``false_discovery_rate``: of ``all``, or of the ``active`` ones, inside the margin, which keeps
    that all entries are zero for the same others. ``num_replicates`` bootstrap samples of the entries
    give the bands. ``paper_num_entries`` is the N of the paper's own statement.
    """

    num_entries: Annotated[int, Ge(2)]
    false_discovery_rate: Share
    permuted: Literal["all", "active"]
    num_permutations: Count
    num_replicates: Imitations
    paper_num_entries: Annotated[float, Gt(1)]


LI2022 = (
    Stage(
        name="training",
        parameters=TrainingParameters,
        numbers={
            "final_loss": NON_NEGATIVE,
            "final_accuracy": SHARE,
            "final_order_parameter": NON_NEGATIVE,
            "mean_loss": NON_NEGATIVE,
            "max_order_parameter": NON_NEGATIVE,
        },
        module="ssbrepro.training",
        function="training_stage",
        data=CIFAR10_DIGEST,
    ),
    Stage(
        name="spectrum",
        parameters=SpectrumParameters,
        numbers={
            "num_checkpoints": COUNT,
            "num_empty": COUNT,
            "final_num_active": COUNT,
            "asymmetry_max": ASYMMETRY,
            "asymmetry_noise": ASYMMETRY,
            "extreme_ratio_max": AT_LEAST_ONE,
            "standard_deviation_max": NON_NEGATIVE,
            "standard_deviation_final_share": SHARE,
            "euler_residual_max": NON_NEGATIVE,
            "layers_residual_max": NON_NEGATIVE,
            "same_layer_residual_max": NON_NEGATIVE,
            "symmetry_residual_max": NON_NEGATIVE,
            "active_only_residual_max": NON_NEGATIVE,
            "pyhessian_residual_max": NON_NEGATIVE,
        },
        module="ssbrepro.spectra.stage",
        function="spectrum_stage",
        needs=("training",),
        data=CIFAR10_DIGEST,
    ),
    Stage(
        name="graph",
        parameters=GraphParameters,
        numbers={
            "num_circuits": COUNT,
            "num_active": COUNT,
            "value_residual": NON_NEGATIVE,
            "output_residual": NON_NEGATIVE,
        },
        module="ssbrepro.circuits.graph",
        function="graph_stage",
    ),
    Stage(
        name="weights",
        parameters=WeightsParameters,
        numbers={
            "symmetric_share": SHARE,
            "symmetric_share_noise": SHARE,
            "asymmetry_max": ASYMMETRY,
            "asymmetry_start": ASYMMETRY,
            "asymmetry_end": ASYMMETRY,
            "asymmetry_growth": REAL,
            "asymmetry_growth_noise": REAL,
        },
        module="ssbrepro.laws.weights",
        function="weights_stage",
        needs=("training",),
    ),
    Stage(
        name="circuits",
        parameters=CircuitsParameters,
        numbers={
            "log10_num_circuits": NON_NEGATIVE,
            "log10_active_share": NON_POSITIVE,
            **{f"num_small_p_values_{order}": COUNT for order in range(3)},
            **{f"asymmetry_{order}": ASYMMETRY for order in range(3)},
        },
        module="ssbrepro.circuits.stage",
        function="circuits_stage",
        needs=("training",),
        data=CIFAR10_DIGEST,
    ),
    Stage(
        name="gradients",
        parameters=GradientsParameters,
        numbers={
            "num_empty": COUNT,
            "asymmetry_max": ASYMMETRY,
            "asymmetry_noise": ASYMMETRY,
            "median_start": NON_NEGATIVE,
            "median_final_share": NON_NEGATIVE,
            "zero_share_max": SHARE,
        },
        module="ssbrepro.laws.gradients",
        function="gradients_stage",
        needs=("training",),
        data=CIFAR10_DIGEST,
    ),
    Stage(
        name="order_parameter",
        parameters=OrderParameterParameters,
        numbers={
            "num_epochs": COUNT,
            "log_ratio_median": REAL,
            "rank_correlation": SIGNED_SHARE,
            "final_order_parameter": NON_NEGATIVE,
            "final_loss": NON_NEGATIVE,
        },
        module="ssbrepro.order_parameter",
        function="order_parameter_stage",
        needs=("training",),
    ),
    Stage(
        name="surfaces",
        parameters=SurfacesParameters,
        numbers={
            "num_wrong_signatures": COUNT,
            "gradient_max": NON_NEGATIVE,
            "minimum_excess": NON_NEGATIVE,
        },
        module="ssbrepro.surfaces",
        function="surfaces_stage",
    ),
    Stage(
        name="entries",
        parameters=EntriesParameters,
        numbers={
            "num_live": COUNT,
            "num_empty": COUNT,
            "num_sparse": COUNT,
            "same_layer_share": SHARE,
            "dead_share": SHARE,
            "hessian_residual_max": NON_NEGATIVE,
        },
        module="ssbrepro.entries.stage",
        function="entries_stage",
        needs=("training",),
        data=CIFAR10_DIGEST,
    ),
    Stage(
        name="laws",
        parameters=LawsParameters,
        numbers={
            "num_shown": COUNT,
            "shown_symmetric_share": SHARE,
            "shown_symmetric_share_noise": SHARE,
            "shown_centred_share": SHARE,
            "shown_centred_share_noise": SHARE,
            "symmetric_share": SHARE,
            "centred_share": SHARE,
        },
        module="ssbrepro.entries.laws",
        function="laws_stage",
        needs=("entries",),
    ),
    Stage(
        name="means",
        parameters=MeansParameters,
        numbers={
            "end_epoch": COUNT,
            "num_live_min": COUNT,
            "asymmetry_max": ASYMMETRY,
            "asymmetry_noise": ASYMMETRY,
            "centred_share_min": SHARE,
            "centred_share_start": SHARE,
            "centred_share_end": SHARE,
            "centred_share_growth": SIGNED_SHARE,
            "centred_share_band_max": NON_NEGATIVE,
        },
        module="ssbrepro.entries.means",
        function="means_stage",
        needs=("entries",),
    ),
    Stage(
        name="correlations",
        parameters=CorrelationsParameters,
        numbers={
            "end_epoch": COUNT,
            "num_active_end": COUNT,
            **{
                f"{quantity}_{when}": SHARE
                for quantity in ("strong_share", "mean", "null_mean")
                for when in ("start", "end")
            },
            "mean_growth": SIGNED_SHARE,
        },
        module="ssbrepro.entries.correlations",
        function="correlations_stage",
        needs=("entries",),
    ),
    Stage(
        name="coupling",
        parameters=CouplingParameters,
        numbers={
            "end_epoch": COUNT,
            "log10_num_entries": NON_NEGATIVE,
            **{
                f"{cumulant}_{quantity}": domain
                for cumulant in ("covariance", "coskewness", "cokurtosis")
                for quantity, domain in {
                    "relative_size_start": SHARE,
                    "relative_size_end": SHARE,
                    "exponent_start": SHARE,
                    "exponent_end": SHARE,
                    "exponent_growth": SIGNED_SHARE,
                }.items()
            },
        },
        module="ssbrepro.entries.coupling_stage",
        function="coupling_stage",
        needs=("entries",),
    ),
)
