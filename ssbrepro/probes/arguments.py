"""What callers hand to probes, checked before anything is computed with it.

Each complaint is one sentence that names the argument and the way out.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

PRECISIONS = (torch.float32, torch.float64)


def check_tensor(name: str, value: Any) -> None:
    """That an argument is a tensor.

    Raises:
        TypeError: If it is not.
    """
    if isinstance(value, Tensor):
        return
    if hasattr(value, "__array__"):
        way = f"torch.as_tensor({name}) makes one"
    elif isinstance(value, Iterable) and not isinstance(value, list | tuple):
        way = "join its batches: inputs, targets = map(torch.cat, zip(*loader))"
    else:
        way = "give one tensor whose first axis is the examples"
    raise TypeError(f"{name} is a {type(value).__name__}, not a tensor; {way}")


def check_model(model: Any) -> None:
    """That a model is a module.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}, not a torch.nn.Module")


def check_precision(inputs: Tensor, weight: Tensor) -> None:
    """That examples are of the weights' type, which is supported, and on their device.

    Raises:
        ValueError: If they are not.
    """
    if (inputs.dtype, inputs.device) != (weight.dtype, weight.device):
        raise ValueError(
            f"examples are {inputs.dtype} on {inputs.device}, the weights {weight.dtype} on "
            f"{weight.device}; .to(dtype, device) makes one as the other"
        )
    if weight.dtype not in PRECISIONS:
        raise ValueError(
            f"weights of {weight.dtype} are not supported; model.double() makes others"
        )


def check_examples(model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
    """That a mean loss over these examples is a number that the weights alone decide.

    Args:
        model: In evaluation mode, if it has batch norm or dropout.
        inputs: (examples, ...), finite, on the weights' device.
        targets: (examples, ...), likewise.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If examples, weights or the mode of the model are not as above.
    """
    check_model(model)
    check_tensor("inputs", inputs)
    check_tensor("targets", targets)
    if not (inputs.dim() and targets.dim()):
        raise ValueError("inputs and targets need a first axis, of the examples")
    if len(inputs) != len(targets):
        raise ValueError(f"{len(inputs)} inputs, but {len(targets)} targets: each needs one")
    weights = dict(model.named_parameters())
    if not any(weight.numel() for weight in weights.values()):
        raise ValueError("the model has no weights: there is nothing to differentiate by")
    device = next(iter(weights.values())).device
    for name, given in (("inputs", inputs), ("targets", targets)):
        if given.device != device:
            raise ValueError(
                f"{name} are on {given.device}, the weights on {device}; move them by .to({device})"
            )
    for name, given in (("inputs", inputs), ("targets", targets), *weights.items()):
        if not given.isfinite().all():
            raise ValueError(f"{name} hold NaN or infinity: no derivative there is a number")
    for name, module in model.named_modules():
        draws = isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
        if module.training and (draws or isinstance(module, nn.modules.batchnorm._BatchNorm)):
            raise ValueError(
                f"layer {name} ({type(module).__name__}) is in training mode, where an example's loss "
                "is not a function of the weights alone; call model.eval() first"
            )


def check_pairing(outputs: Tensor, targets: Tensor) -> None:
    """That outputs and targets do not differ by axes of length one: all pairs would be compared.

    Raises:
        TypeError: If the model puts out no tensor.
        ValueError: If they do, or the outputs are not one an example.
    """
    check_tensor("the model's output", outputs)
    if not outputs.dim() or len(outputs) != len(targets):
        shape = tuple(outputs.shape)
        raise ValueError(f"{len(targets)} examples give outputs of shape {shape}, not one each")
    if outputs.shape != targets.shape and outputs.numel() == targets.numel():
        axes = [", ".join(("examples", *map(str, one.shape[1:]))) for one in (outputs, targets)]
        raise ValueError(
            f"outputs ({axes[0]}) and targets ({axes[1]}) would be compared all with all; give "
            "targets.view_as(model(inputs)), or end the model with Flatten(0)"
        )
