"""Networks whose symmetries hold, or are broken, by construction: what a measured symmetry is worth.

An *intact copy* of a network keeps every weight's magnitude and draws its sign anew with a fair coin, so
that all weight symmetries hold. A *broken copy* at share p makes a random share p of each layer's
weights positive besides; at p = 1 every symmetry is broken. Both have the gains of the network: each
layer is rescaled until the root mean square of its outputs over that of its inputs is the network's own,
so that signals are neither lost nor blown up by the new signs.

The *breaking index* B places a statistic S of the network between those of its copies: 0 where the
network is as symmetric as chance leaves one of such magnitudes, 1 where it is as asymmetric as if every
symmetry were broken.
"""

import copy
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

Floats = NDArray[np.float64]
_LEVEL = 0.95


class Copier:
    """Makes copies of one network, whose gains are measured once.

    Attributes:
        gains: Root mean square of each layer's outputs over that of its inputs, in the order of the
            parameters; NaN where a layer's inputs are all zero, so that there is no gain to match.
    """

    def __init__(self, model: nn.Module, inputs: Tensor) -> None:
        """Measure the network's gains.

        Args:
            model: Convolutions and linear layers without biases, each used once, and what lies between
                them: any piecewise-linear way, branches included. It is not changed.
            inputs: The examples the gains are over, (examples, ...), on the model's device.

        Raises:
            ValueError: If the model has other parameters, or does not use a layer exactly once.
        """
        self._model = model
        self._inputs = inputs
        self._num_layers = len(_layers(model))
        gains: dict[int, float] = {}

        def note(layer: int, module: nn.Module, given: Tensor, result: Tensor) -> None:
            gains[layer] = _gain(given, result)

        _pass(model, inputs, note)
        self.gains = [gains[layer] for layer in range(self._num_layers)]

    def intact(self, generator: torch.Generator) -> nn.Module:
        """A copy with fair random signs and the network's magnitudes and gains."""
        return self.broken(0.0, generator)

    def broken(self, share: float, generator: torch.Generator) -> nn.Module:
        """An intact copy in which a random ``share`` of each layer's weights is positive.

        Args:
            share: In [0, 1].
            generator: Source of the signs, on the CPU.

        Raises:
            ValueError: If the share is not in [0, 1].
        """
        model = copy.deepcopy(self._model)
        with torch.no_grad():
            for module in _layers(model):
                module.weight.copy_(resigned(module.weight, share, generator))

            def rescale(layer: int, module: nn.Module, given: Tensor, result: Tensor) -> Tensor:
                factor = self.gains[layer] / (_gain(given, result) or math.nan)
                if not math.isfinite(factor):
                    return result  # one of the two layers is dead: there is nothing to match
                weight = module.weight
                assert isinstance(weight, Tensor)
                weight.mul_(factor)
                return result * factor

            _pass(model, self._inputs, rescale)
        return model


def intact_copy(model: nn.Module, inputs: Tensor, generator: torch.Generator) -> nn.Module:
    """:meth:`Copier.intact` of a network of which one copy is wanted."""
    return Copier(model, inputs).intact(generator)


def broken_copy(
    model: nn.Module, inputs: Tensor, share: float, generator: torch.Generator
) -> nn.Module:
    """:meth:`Copier.broken` of a network of which one copy is wanted."""
    return Copier(model, inputs).broken(share, generator)


def resigned(weight: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The magnitudes of a tensor, to the bit, with new signs.

    Args:
        weight: Any shape.
        share: Of the values, rounded to a whole number of them, that are positive; in [0, 1]. The
            signs of all others are fair and independent.
        generator: Source of the signs, on the CPU.

    Raises:
        ValueError: If the share is not in [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share of {share} weights; it lies between 0 and 1")
    size = weight.numel()
    signs = torch.randint(2, (size,), generator=generator, dtype=weight.dtype) * 2 - 1
    if share > 0:
        signs[torch.randperm(size, generator=generator)[: round(share * size)]] = 1
    return weight.detach().abs() * signs.view(weight.shape).to(weight.device)


def breaking_index(measured: float, intact: ArrayLike, broken: ArrayLike) -> float:
    """B = (S - S₀) / (S₁ - S₀), with the medians S₀ over intact copies and S₁ over broken ones.

    Args:
        measured: The statistic S of the network, larger the less symmetric it is.
        intact: S of its intact copies, (copies,).
        broken: S of its copies with every symmetry broken, (copies,).

    Returns:
        B, which can lie outside [0, 1]; NaN without power, that is unless S₁ is above the 95 % quantile
        of the intact copies.

    Raises:
        ValueError: If there is no copy of a kind, or a value is not finite.
    """
    own, *copies = (np.asarray(one, dtype=np.float64).ravel() for one in (measured, intact, broken))
    if any(not len(one) or not np.isfinite(one).all() for one in (own, *copies)):
        raise ValueError(
            "a breaking index needs the statistic and copies of both kinds, all finite"
        )
    return float(breaking_indices(own, *(one[:, None] for one in copies)).index[0])


@dataclass(frozen=True, eq=False)
class BreakingIndices:
    """Breaking indices at several checkpoints.

    Attributes:
        index: Of the network, (checkpoints,).
        intact: Of each intact copy, (copies, checkpoints).
        broken: Of each broken copy, (copies, checkpoints).
        power: Whether broken copies can be told from intact ones, (checkpoints,); all indices are NaN
            where not, and where nothing was measured.
        measured: Whether there is a statistic to judge, (checkpoints,).
    """

    index: Floats
    intact: Floats
    broken: Floats
    power: NDArray[np.bool_]
    measured: NDArray[np.bool_]

    @property
    def worst(self) -> float:
        """The largest index over all checkpoints with a statistic; NaN if one of them has no power."""
        return self._largest(self.index[None])[0]

    @property
    def noise(self) -> float:
        """What 95 % of intact copies' own worst indices stay below: the null of a maximum."""
        return float(np.quantile(self._largest(self.intact), _LEVEL, method="higher"))

    @property
    def control(self) -> float:
        """What 95 % of broken copies' own worst indices reach."""
        return float(np.quantile(self._largest(self.broken), 1 - _LEVEL, method="lower"))

    def _largest(self, indices: Floats) -> list[float]:
        if not self.measured.any() or not self.power[self.measured].all():
            return [math.nan]
        rows = indices[:, self.measured]
        rows = rows[np.isfinite(rows).any(axis=1)]  # without copies that are dead throughout
        return [float(value) for value in np.nanmax(rows, axis=1)]


def breaking_indices(measured: ArrayLike, intact: ArrayLike, broken: ArrayLike) -> BreakingIndices:
    """The breaking index at each checkpoint, as :func:`breaking_index` has it, and those of the copies.

    Args:
        measured: S of the network, (checkpoints,); NaN where there is none, as at empty checkpoints.
        intact: S of intact copies, (copies, checkpoints); NaN where a copy has none, which is then left
            out there.
        broken: S of copies with every symmetry broken, likewise.

    Raises:
        ValueError: If the shapes do not fit, or no copy of a kind has a statistic where the network has.
    """
    own = np.asarray(measured, dtype=np.float64)
    copies = [np.asarray(one, dtype=np.float64) for one in (intact, broken)]
    found = np.isfinite(own)
    for one in copies:
        if one.ndim != 2 or one.shape[1:] != own.shape or not len(one):
            raise ValueError(f"copies of shape {one.shape} for a network of shape {own.shape}")
        if not np.isfinite(one[:, found]).any(axis=0).all():
            raise ValueError("no copy has a statistic where the network has one")
    low, top, quantile = np.full((3, *own.shape), np.nan)
    low[found], top[found] = (np.nanmedian(one[:, found], axis=0) for one in copies)
    quantile[found] = np.nanquantile(copies[0][:, found], _LEVEL, axis=0, method="higher")
    power = found & (top > quantile)
    scale = np.where(power, top - low, np.nan)
    placed, intact_placed, broken_placed = ((one - low) / scale for one in (own, *copies))
    return BreakingIndices(placed, intact_placed, broken_placed, power, found)


def _layers(model: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """The layers in the order of the parameters.

    Raises:
        ValueError: If they do not hold all parameters.
    """
    layers = [one for one in model.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    held = {id(layer.weight) for layer in layers}
    others = [name for name, weight in model.named_parameters() if id(weight) not in held]
    if others or not layers:
        raise ValueError(
            f"copies are of networks of bias-free Conv2d and Linear layers; this one has "
            f"{', '.join(others) or 'no weights'}"
        )
    order = {id(weight): place for place, weight in enumerate(model.parameters())}
    return sorted(layers, key=lambda layer: order[id(layer.weight)])


def _pass(
    model: nn.Module, inputs: Tensor, seen: Callable[[int, nn.Module, Tensor, Tensor], Any]
) -> None:
    """Run examples through the network; ``seen`` may replace what each layer puts out.

    Raises:
        ValueError: If a layer is not used exactly once.
    """
    used: list[int] = []

    def hook(layer: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Any]:
        def called(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> Any:
            used.append(layer)
            return seen(layer, module, given[0], result)

        return called

    layers = _layers(model)
    with torch.no_grad(), ExitStack() as hooks:
        for number, layer in enumerate(layers):
            hooks.enter_context(layer.register_forward_hook(hook(number)))
        model(inputs)
    if sorted(used) != [*range(len(layers))]:
        raise ValueError("copies are of networks that use each layer once")


def _gain(given: Tensor, result: Tensor) -> float:
    """Root mean square of a layer's outputs over that of its inputs; NaN for inputs of zero."""
    sizes = [one.detach().double().square().mean().sqrt().item() for one in (given, result)]
    return sizes[1] / sizes[0] if sizes[0] > 0 else math.nan
