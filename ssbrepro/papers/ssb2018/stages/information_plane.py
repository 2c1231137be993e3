"""What each layer knows of the pattern and of the label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Result, Share, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro.networks import flattening
    from ssbrepro.papers.ssb2018 import tanh_networks, twelve_bit_task


@dataclass(frozen=True)
class Parameters:
    """I(X;T) and I(T;Y) of each layer over all patterns, activities in ``num_bins`` equal bins.

    A layer knows the label where I(T;Y) is ``informed_above`` bits or more.
    """

    num_bins: Annotated[int, Ge(2)]
    informed_above: Share


NUMBERS = {
    "label_information_min": domains.BIT,
    "label_information_worst": domains.BIT,
    "informed_share": domains.SHARE,
    "label_information_first": domains.BIT,
    "label_information_last": domains.BIT,
    "label_information_first_start": domains.BIT,
    "label_information_last_start": domains.BIT,
    "input_information_first": domains.BITS,
    "input_information_last": domains.BITS,
    "input_information_fall_max": domains.Domain(unit="bits"),
    "untrained_label_information_min": domains.BIT,
    "num_layers_without_power": domains.COUNT,
}


def binned(activities: Array, low: float, high: float, num_bins: int) -> Array:
    """The bin of each activity, of ``num_bins`` equal ones from ``low`` to ``high``, from 0.

    Raises:
        ValueError: If an activity is not finite or not between ``low`` and ``high``.
    """
    if not ((activities >= low) & (activities <= high)).all():
        raise ValueError(f"activities outside [{low}, {high}] or not finite cannot be binned")
    places = np.floor((activities - low) * (num_bins / (high - low))).astype(np.int64)
    return np.minimum(places, num_bins - 1)


def states(bins: Array) -> Array:
    """Number the different rows of ``bins`` (patterns, units) from 0: the state of each, (patterns,)."""
    numbers = np.zeros(len(bins), dtype=np.int64)
    for column in bins.T:
        # Numbered anew after each unit, so that no product of many bins overflows.
        numbers = np.unique(numbers * (column.max() + 1) + column, return_inverse=True)[1]
    return numbers


def information(state: Array, label_probability: Array) -> tuple[float, float]:
    """I(X;T) and I(T;Y) of a function T of equally likely patterns X, in bits.

    I(X;T) is the entropy of T, since X determines T. The joint law of T and Y is
    P(t,y) = Σ_x P(x,y) P(t|x) (Shwartz-Ziv & Tishby 2017, section 3.2), exact for p(y|x) known.

    Args:
        state: T of each pattern, whole numbers from 0, (patterns,).
        label_probability: p(y=1|x) of each, (patterns,).
    """
    counts = np.bincount(state)
    ones = np.bincount(state, weights=label_probability)
    counts, ones = counts[counts > 0], ones[counts > 0]
    weights = counts / len(state)
    about_input = -np.sum(weights * np.log2(weights))
    left = np.sum(weights * twelve_bit_task.binary_entropy(np.minimum(ones / counts, 1)))
    about_label = twelve_bit_task.binary_entropy(label_probability.mean()) - left
    # Differences of entropies of at most some bits; rounding may leave them just below zero.
    return max(float(about_input), 0.0), max(float(about_label), 0.0)


def run(parameters: Parameters, context: Context) -> Result:
    """I(X;T) and I(T;Y) of each layer T of each network at each checkpoint, over all patterns.

    Activities of hidden units are binned in [-1, 1]; of the last layer it is p(y=1) in [0, 1]. Y has
    the law p(y|x) of the task, not the labels drawn for one network, as in the work cited: a wide
    layer has a state for nearly every pattern, and would know drawn labels by heart.

    Returns:
        Arrays: ``epoch`` (checkpoints,); ``layer_units`` (layers,), 1 for the last; in bits
        ``input_information`` I(X;T) and ``label_information`` I(T;Y), (networks, layers, checkpoints),
        and ``input_median`` and ``label_median`` over networks, (layers, checkpoints);
        ``informed_above``; and ``without_power`` (layers,), true for a layer that reaches it before any
        training, in the median, and whose label information so tells nothing. Numbers: of I(T;Y) at the
        end the smallest layer's median, the smallest of all, and the share of layers, over all
        networks, that reach ``informed_above``; of the medians the first and last layer, at the end and
        before training; the largest fall of a layer's median I(X;T) from its maximum to the end; the
        smallest layer's median I(T;Y) before training, and the number of layers without power.

    Raises:
        ValueError: If an activity is not finite.
    """
    training = context.inputs["tishby_training"]
    arrays = training.arrays
    weights = arrays["checkpoint_weights"]
    num_networks, num_checkpoints = weights.shape[:2]
    device = torch.device(context.device)
    networks = tanh_networks.TanhNetworks(
        training.parameters.layer_sizes, num_networks, context.seed
    ).to(device)
    rows = []
    for checkpoint in range(num_checkpoints):
        flattening.load_weights(networks, weights[:, checkpoint].ravel())
        rows.append(
            [
                [information(state, arrays["label_probability"]) for state in layer]
                for layer in _states_of_layers(networks, arrays["patterns"], parameters.num_bins)
            ]
        )
        context.progress.report(checkpoint + 1, num_checkpoints, "information of all layers")
    about_input, about_label = np.array(rows).transpose(3, 2, 1, 0)
    input_median, label_median = np.median(about_input, axis=0), np.median(about_label, axis=0)
    without_power = label_median[:, 0] >= parameters.informed_above
    return Result(
        arrays={
            "epoch": arrays["checkpoint_epoch"],
            "layer_units": np.array([*training.parameters.layer_sizes[1:-1], 1]),
            "input_information": about_input,
            "label_information": about_label,
            "input_median": input_median,
            "label_median": label_median,
            "informed_above": np.array(parameters.informed_above),
            "without_power": without_power,
        },
        numbers={
            "label_information_min": float(label_median[:, -1].min()),
            "label_information_worst": float(about_label[:, :, -1].min()),
            "informed_share": float((about_label[:, :, -1] >= parameters.informed_above).mean()),
            "label_information_first": float(label_median[0, -1]),
            "label_information_last": float(label_median[-1, -1]),
            "label_information_first_start": float(label_median[0, 0]),
            "label_information_last_start": float(label_median[-1, 0]),
            "input_information_first": float(input_median[0, -1]),
            "input_information_last": float(input_median[-1, -1]),
            "input_information_fall_max": float(
                (input_median.max(axis=1) - input_median[:, -1]).max()
            ),
            "untrained_label_information_min": float(label_median[:, 0].min()),
            "num_layers_without_power": float(without_power.sum()),
        },
    )


def _states_of_layers(
    networks: tanh_networks.TanhNetworks, patterns: Array, num_bins: int
) -> Iterator[list[Array]]:
    """Layer by layer, the states of each network over the patterns.

    Yields:
        A layer's states, one array (patterns,) for each network.
    """
    with torch.no_grad():
        *hidden, log_odds = networks.layers(
            tanh_networks.network_inputs(patterns, networks.weights.device)
        )
        output = log_odds.double().softmax(dim=2)[..., 1:]
    for activities in hidden:
        yield [states(binned(one, -1, 1, num_bins)) for one in activities.double().cpu().numpy()]
    yield [states(binned(one, 0, 1, num_bins)) for one in output.cpu().numpy()]


STAGE = Stage(Parameters, NUMBERS, run, needs=("tishby_training",))
