"""Networks whose symmetries hold, or are broken, by construction: what a measured symmetry is worth.

An *intact copy* of a network keeps every weight's magnitude and draws its sign anew with a fair coin, so
that all weight symmetries hold. A *broken copy* at share p makes a random share p of each layer's
weights positive besides; at p = 1 every symmetry is broken. Both have the gains of the network: each
layer is rescaled until the root mean square of its outputs over that of its inputs is the network's own,
so that signals are neither lost nor blown up by the new signs. At p = 1 nothing is left to chance: all
broken copies are one network.

The *breaking index* B places a statistic S of the network between those of its copies: 0 where the
network is as symmetric as chance leaves one of such magnitudes, 1 where it is as asymmetric as if every
symmetry were broken.
"""

import copy
import math
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit  # the t quantile of scipy.stats, which takes long to import
from torch import Tensor, nn

from ssbrepro.probes.arguments import check_model, check_tensor

Floats = NDArray[np.float64]
_LEVEL = 0.95
_FEWEST = 19  # values of which one more exceeds the largest with a chance of 5 % only


class Copier:
    """Makes copies of one network, whose gains are measured once.

    Attributes:
        gains: Root mean square of each layer's outputs over that of its inputs, in the order of the
            parameters; NaN where either is all zero, so that there is no gain to match.
    """

    def __init__(self, model: nn.Module, inputs: Tensor) -> None:
        """Measure the network's gains.

        Args:
            model: Convolutions and linear layers without biases, each used once, and what lies between
                them: any piecewise-linear way, branches included. It is not changed.
            inputs: The examples the gains are over, (examples, ...), on the model's device.

        Raises:
            TypeError: If the model is no module, or the inputs are no tensor.
            ValueError: If the model has parameters or buffers besides, does not use a layer exactly
                once, or a signal is not finite.
        """
        check_model(model)
        check_tensor("inputs", inputs)
        self._model = model
        self._inputs = inputs
        self._gains: dict[str, float] = {}

        def note(name: str, module: nn.Module, given: Tensor, result: Tensor) -> None:
            self._gains[name] = _gain(given, result)

        _pass(model, inputs, note)
        self.gains = [self._gains[name] for name, _ in model.named_parameters()]

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

        def rescale(name: str, module: nn.Module, given: Tensor, result: Tensor) -> Tensor:
            factor = self._gains[name] / _gain(given, result)
            if math.isnan(factor):
                return result  # one of the two layers is dead: there is nothing to match
            assert isinstance(module.weight, Tensor)
            module.weight.mul_(factor)
            return result * factor

        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(resigned(weight, share, generator))
        _pass(model, self._inputs, rescale)
        return model


def intact_copy(model: nn.Module, inputs: Tensor, generator: torch.Generator) -> nn.Module:
    """:meth:`Copier.intact` of a network of which one copy is wanted.

    >>> import torch
    >>> from ssbrepro.networks import vgg12
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = vgg12(width=1 / 8, generator=generator)
    >>> inputs = torch.randn(4, 3, 32, 32, generator=generator)
    >>> copied = intact_copy(model, inputs, generator)
    >>> first = copied[0].weight / model[0].weight  # the same number, but for its sign
    >>> torch.allclose(first.abs(), first.abs().mean())
    True
    """
    return Copier(model, inputs).intact(generator)


def broken_copy(
    model: nn.Module, inputs: Tensor, share: float, generator: torch.Generator
) -> nn.Module:
    """:meth:`Copier.broken` of a network of which one copy is wanted.

    >>> import torch
    >>> from ssbrepro.networks import vgg12
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = vgg12(width=1 / 8, generator=generator)
    >>> inputs = torch.randn(4, 3, 32, 32, generator=generator)
    >>> copied = broken_copy(model, inputs, 1.0, generator)
    >>> all(bool((weight > 0).all()) for weight in copied.parameters())
    True
    """
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
    signs = torch.randint(2, (size,), generator=generator, dtype=torch.int8) * 2 - 1
    if share > 0:
        signs[torch.randperm(size, generator=generator)[: round(share * size)]] = 1
    return weight.detach().abs() * signs.view(weight.shape).to(weight)


def breaking_index(measured: float, intact: ArrayLike, broken: ArrayLike) -> float:
    """B = (S - S₀) / (S₁ - S₀), with the medians S₀ over intact copies and S₁ over broken ones.

        >>> breaking_index(0.5, intact=[0.2, 0.25, 0.3], broken=[1.25])
        0.25
        >>> breaking_index(0.3, intact=[0.1, 0.2, 1.3], broken=[1.1, 1.2])  # no power
        nan

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
            where not, as where all copies of a kind are dead, and where nothing was measured.
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
        """What 95 % of networks stay below whose symmetries hold: the null of a maximum.

        The quantile of the intact copies' own worst indices. Fewer than 19 copies have none so far out;
        then it is where one more is expected if their law is normal, or the largest if that is above.
        """
        largest = self._largest(self.intact)
        reached = float(np.quantile(largest, _LEVEL, method="higher"))
        if not 1 < len(largest) < _FEWEST:
            return reached
        spread = float(np.std(largest, ddof=1)) * math.sqrt(1 + 1 / len(largest))
        return max(reached, float(np.mean(largest) + stdtrit(len(largest) - 1, _LEVEL) * spread))

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
        ValueError: If the shapes do not fit, or there is no copy of a kind.
    """
    own = np.asarray(measured, dtype=np.float64)
    copies = [np.asarray(one, dtype=np.float64) for one in (intact, broken)]
    for one in copies:
        if one.ndim != 2 or one.shape[1:] != own.shape or not len(one):
            raise ValueError(f"copies of shape {one.shape} for a network of shape {own.shape}")
    found = np.isfinite(own)
    low, top = (_by_checkpoint(np.median, one) for one in copies)
    reached = _by_checkpoint(partial(np.quantile, q=_LEVEL, method="higher"), copies[0])
    power = found & (top > reached)
    scale = np.where(power, top - low, np.nan)
    placed, intact_placed, broken_placed = ((one - low) / scale for one in (own, *copies))
    return BreakingIndices(placed, intact_placed, broken_placed, power, found)


def _by_checkpoint(statistic: Callable[[Floats], Any], copies: Floats) -> Floats:
    """A statistic over the copies that have a value, (checkpoints,); NaN where none has."""
    columns = [column[np.isfinite(column)] for column in copies.T]
    return np.array([statistic(column) if len(column) else np.nan for column in columns])


def _layers(model: nn.Module) -> dict[str, list[nn.Module]]:
    """The layers that hold each parameter, by its name and in the order of the parameters.

    Raises:
        ValueError: If a parameter is held by none, or there is a buffer.
    """
    layers: dict[str, list[nn.Module]] = {name: [] for name, _ in model.named_parameters()}
    names = {id(weight): name for name, weight in model.named_parameters()}
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and id(module.weight) in names:
            layers[names[id(module.weight)]].append(module)
    others = [name for name, holders in layers.items() if not holders]
    others += [name for name, _ in model.named_buffers()]
    if others or not layers:
        raise ValueError(
            f"copies are of networks of bias-free Conv2d and Linear layers; this one has "
            f"{', '.join(others) or 'no weights'}"
        )
    return layers


def _pass(
    model: nn.Module, inputs: Tensor, seen: Callable[[str, nn.Module, Tensor, Tensor], Any]
) -> None:
    """Run examples through the network; ``seen`` may replace what each layer puts out.

    Raises:
        ValueError: If a layer is not used exactly once.
    """
    used: Counter[str] = Counter()

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Any]:
        def called(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> Any:
            used[name] += 1
            return seen(name, module, given[0], result)

        return called

    layers = _layers(model)
    with torch.no_grad(), ExitStack() as hooks:
        for name, holders in layers.items():
            for layer in holders:
                hooks.enter_context(layer.register_forward_hook(hook(name)))
        model(inputs)
    if others := [f"{name} {used[name]} times" for name in layers if used[name] != 1]:
        raise ValueError(
            f"copies are of networks that use each layer once; this one uses {', '.join(others)}"
        )


def _gain(given: Tensor, result: Tensor) -> float:
    """Root mean square of a layer's outputs over that of its inputs; NaN where either is zero.

    Raises:
        ValueError: If one of them is not finite.
    """
    sizes = [one.detach().double().square().mean().sqrt().item() for one in (given, result)]
    if not all(map(math.isfinite, sizes)):
        raise ValueError(
            "the signals of a layer are not finite; examples, at least one, and weights have to be"
        )
    return sizes[1] / sizes[0] if all(sizes) else math.nan
