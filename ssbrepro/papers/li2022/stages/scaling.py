"""How near to symmetric networks of growing size are at matched loss, and what larger ones would be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt, MinLen

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Count, Positive, Progress, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np
    import torch

    from ssbrepro import networks, seeding
    from ssbrepro.data import cifar10
    from ssbrepro.papers.li2022 import cells, power_laws, sizes
    from ssbrepro.training import matched

Class = Annotated[int, Ge(0)]


@dataclass(frozen=True)
class Parameters:
    """A grid of networks, each trained until its loss has fallen to shares of the initial one.

    At each of ``widths``, ascending, one network is trained on ``num_fixed`` images and, at the first
    ``num_ratio_widths`` of them, one on as many images as leave the paper's number of weights an image.
    A training is given up after ``max_steps``, in whole epochs. Everything is measured on ``num_active``
    examples inside the margin: ``num_intact`` copies whose symmetries hold, and ``num_draws`` times the
    network itself and its broken copy; of ``num_spectra`` of each, at the first ``num_spectrum_widths``
    widths, the Hessian's ends by ``num_steps`` Lanczos steps at most. All else is as in ``training``.
    """

    positive_classes: Annotated[tuple[Class, ...], MinLen(1)]
    negative_classes: Annotated[tuple[Class, ...], MinLen(1)]
    input_scaling: Literal["standardised", "symmetric"]
    num_convolutions: Literal[10, 9]
    initialisation: Literal["he_normal", "he_uniform"]
    step_size: Positive
    momentum: Annotated[float, Ge(0), Lt(1)]
    batch_size: Count
    max_steps: Count
    widths: Annotated[tuple[Annotated[float, Gt(0)], ...], MinLen(3)]
    num_ratio_widths: Annotated[int, Ge(3)]
    num_spectrum_widths: Annotated[int, Ge(3)]
    num_fixed: Count
    num_active: Count
    num_intact: Annotated[int, Ge(3)]
    num_draws: Count
    num_spectra: Count
    num_steps: Annotated[int, Ge(20)]


LOSSES = (0.5, 0.1, 0.01)  # shares of the initial one
PREDICTED = 1  # the place among them of the loss that is predicted at
PAPER = (9_664_704, 50_000)  # weights and images of the paper's network
PREDICTED_IMAGES = (2_000, 50_000)
STATISTICS = ("weights", "gradient", "spectrum")
_DOMAINS = {"s0": domains.NON_NEGATIVE, "index": domains.REAL}
_ENDS = ("", "_low", "_high")

NUMBERS = {
    **{
        f"{statistic}_{number}{part}": domains.REAL
        for statistic in STATISTICS
        for number in ("s0_slope", "index_growth")
        for part in ("", "_noise", "_control")
    },
    **{
        f"{prefix}{statistic}_{kind}_{images}{end}": domain
        for statistic in STATISTICS
        for kind, domain in _DOMAINS.items()
        for images in PREDICTED_IMAGES
        for prefix, ends in (("", ("",)), ("predicted_", _ENDS))
        for end in ends
    },
}


def run(parameters: Parameters, context: Context) -> Result:
    """Train and measure the grid, fit how S₀ and B depend on its sizes, and predict the paper's.

    S₀ is the median of a statistic over intact copies, S₁ over broken ones, B the breaking index. For
    each statistic and loss, log S₀ and B are fitted by a + b log P + c log n over all cells, as
    :mod:`ssbrepro.papers.li2022.power_laws` has it: the slope is b where the images are fixed, b + c
    where they grow with the weights. A loss at which fewer than three widths of a regime are measured
    is not fitted.

    Returns:
        Arrays ``widths`` and ``num_weights`` (widths,); ``num_examples`` (2, widths), images fixed and
        in proportion; what :func:`cells.measure` gives, (2, widths, losses, ...); for each statistic
        ``<statistic>_s0``, ``<statistic>_s1`` and ``<statistic>_index`` (2, widths, losses), NaN for an
        empty cell or without power, and ``<statistic>_s0_slopes`` (losses, 2, 3), value, low and high;
        of the loss at the place ``predicted_at`` (), ``<statistic>_s0_line`` and
        ``<statistic>_index_line`` (2, sizes, 3) at ``line_weights`` (sizes,), and
        ``<statistic>_s0_predicted`` and ``<statistic>_index_predicted`` (2, 3) for the paper's weights
        and both numbers of images.
        Numbers: ``<statistic>_s0_slope``, the largest slope of S₀ over losses and regimes, ``_noise``,
        what 95 % of largest ones stay below if S₀ does not depend on size, and ``_control``, that of
        S₁; ``<statistic>_index_growth``, the largest B at the largest width less that at the smallest,
        ``_noise``, that of intact copies at both, ``_control``, that of networks of which the large
        one is broken and the small one intact; ``predicted_<statistic>_..._<images>`` with its 95 %
        interval, and the same without ``predicted_`` where there is a cell of that size.
    """
    arrays = _grid(parameters, context)
    numbers: dict[str, float] = {}
    missing: dict[str, str] = {}
    for statistic in STATISTICS:
        chance = seeding.numpy_generator(context.seed, "scaling", "chance", statistic)
        wanted = sizes.Predicted(PAPER[0], PREDICTED_IMAGES, PREDICTED)
        found, lost = sizes.numbers_of(arrays, statistic, wanted, chance)
        numbers |= found
        missing |= lost
    return Result(arrays, numbers, missing=missing)


def _grid(parameters: Parameters, context: Context) -> dict[str, Array]:
    """All cells, (2, widths, losses, ...); NaN for those that the grid leaves out."""
    num_weights = [
        sum(weight.numel() for weight in _network(parameters, width, 0).parameters())
        for width in parameters.widths
    ]
    ratio = [power_laws.num_examples_at_ratio(size, PAPER) for size in num_weights]
    examples = np.array([[parameters.num_fixed] * len(ratio), ratio])
    examples[1, parameters.num_ratio_widths :] = 0
    images = cifar10.load(
        context.data_root,
        parameters.positive_classes,
        parameters.negative_classes,
        int(examples.max()),
        parameters.input_scaling,
    )
    device = torch.device(context.device)
    # Channels last is the layout in which convolutions are fastest; it changes no value.
    inputs = images.inputs.to(device, memory_format=torch.channels_last)
    targets = images.targets.to(device)
    rows = []
    for done, (regime, place) in enumerate(np.ndindex(*examples.shape)):
        name = f"cell-{regime}-{place}"
        context.progress.report(done, examples.size, "networks of the grid")
        row = context.progress.restore(name)
        if row is None:
            number = int(examples[regime, place])
            given = cifar10.BinaryImages(inputs[:number], targets[:number])
            seed = seeding.derived_seed(context.seed, "scaling", regime, place)
            row = _cell(parameters, given, place, seed, context.progress, name)
            context.progress.save(name, row)
        rows.append(row)
    arrays = {
        name: np.stack([row[name] for row in rows]).reshape(*examples.shape, *shape.shape)
        for name, shape in rows[0].items()
    }
    return arrays | {
        "widths": np.array(parameters.widths),
        "num_weights": np.array(num_weights),
        "num_examples": examples,
        "predicted_at": np.array(PREDICTED),
    }


def _network(parameters: Parameters, width: float, seed: int) -> torch.nn.Sequential:
    generator = seeding.torch_generator(seed, "weights")
    return networks.vgg12(width, generator, parameters.num_convolutions, parameters.initialisation)


def _cell(
    parameters: Parameters,
    images: cifar10.BinaryImages,
    place: int,
    seed: int,
    progress: Progress,
    name: str,
) -> dict[str, Array]:
    """One network, trained and measured; without images nothing of it."""
    model = _network(parameters, parameters.widths[place], seed).to(images.inputs.device)
    reached = []
    if len(images.inputs):
        reached = matched.crossings(
            model,
            *images,
            LOSSES,
            parameters.step_size,
            parameters.momentum,
            parameters.batch_size,
            max(1, parameters.max_steps // math.ceil(len(images.inputs) / parameters.batch_size)),
            seed,
            progress,
            f"training-{name}",
        )
    effort = cells.Effort(
        parameters.num_active,
        parameters.num_intact,
        parameters.num_draws,
        parameters.num_spectra if place < parameters.num_spectrum_widths else 0,
        parameters.num_steps,
    )
    return cells.measure(
        model, images, reached, len(LOSSES), STATISTICS, effort, seed, progress, name
    )


STAGE = Stage(Parameters, NUMBERS, run, data="cifar10")
