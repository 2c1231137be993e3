"""CIFAR-10 (Krizhevsky 2009), MD5-checked, of ten classes or of two.

Read from the user's folder where there is one, and from the bundled first batch otherwise.
"""

import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ssbrepro import data
from ssbrepro.data import bundle, official
from ssbrepro.data.official import BadFile, DataError, check, has_folder

Scaling = Literal["standardised", "symmetric"]


class BinaryImages(NamedTuple):
    """Scaled images, (examples, 3, 32, 32) float32, and labels +1 or -1, (examples,)."""

    inputs: Tensor
    targets: Tensor


class LabelledImages(NamedTuple):
    """Standardised images, (examples, 3, 32, 32) float32, and classes 0 to 9, (examples,) int64."""

    inputs: Tensor
    labels: Tensor


def inspect(root: Path) -> data.State:
    """What there is of the dataset: the user's files, or the bundled batch.

    Raises:
        DataError: If the bundled batch is needed and damaged.
    """
    if has_folder(root):
        return data.State(root, tuple(str(bad) for bad in check(root)))
    _bundled()
    return data.State(None)


def fetch(root: Path, mirror: str | None, report: data.Report) -> None:
    """Make sure the official files are below ``root``; see ``download.fetch``.

    Raises:
        DataError: If that fails, in one line.
    """
    from ssbrepro.data import download  # no part of reading

    download.fetch(root, mirror or official.URL, report)


def load(
    root: Path,
    positive_classes: Sequence[int],
    negative_classes: Sequence[int],
    num_examples: int,
    scaling: Scaling = "standardised",
) -> BinaryImages:
    """The first ``num_examples`` training images of the given classes, in the dataset's order.

    Args:
        root: Folder that holds ``cifar-10-batches-py``, or where there would be one.
        positive_classes: CIFAR-10 classes (0 to 9) labelled +1.
        negative_classes: Classes labelled -1, disjoint from the positive ones.
        num_examples: How many images, at most as many as the classes have.
        scaling: ``"standardised"``, each channel to zero mean and unit variance over the images
            returned; or ``"symmetric"``, pixels 0 to 255 to [-1, 1].

    Raises:
        DataError: If a file is missing or damaged, or the bundled batch has too few images.
        ValueError: If the classes overlap, one side is empty, or CIFAR-10 has too few images.
    """
    if not positive_classes or not negative_classes:
        raise ValueError("both sides of the binary task need a class")
    if both := set(positive_classes) & set(negative_classes):
        raise ValueError(f"classes {sorted(both)} are on both sides of the binary task")
    images = _first(root, [*positive_classes, *negative_classes], num_examples, scaling)
    targets = np.where(np.isin(images.labels, positive_classes), 1.0, -1.0)
    return BinaryImages(images.inputs, torch.from_numpy(targets.astype(np.float32)))


def load_classes(root: Path, num_examples: int) -> LabelledImages:
    """The first ``num_examples`` training images of all ten classes, standardised as in :func:`load`.

    Args:
        root: Folder that holds ``cifar-10-batches-py``, or where there would be one.
        num_examples: How many images, at most 50,000.

    Raises:
        DataError: If a file is missing or damaged, or the bundled batch has too few images.
        ValueError: If CIFAR-10 has too few images.
    """
    return _first(root, range(10), num_examples, "standardised")


def _first(
    root: Path, classes: Sequence[int], num_examples: int, scaling: Scaling
) -> LabelledImages:
    if scaling not in ("standardised", "symmetric"):
        raise ValueError(f"unknown scaling {scaling!r}")
    there_are = official.PER_CLASS * len({*classes} & {*range(10)})
    if not 1 <= num_examples <= there_are:
        raise ValueError(
            f"{num_examples} examples asked for; these classes have {there_are} training images"
        )
    pixels, labels, missing = [], [], num_examples
    for batch in _batches(root):
        images = np.frombuffer(batch.pixels, dtype=np.uint8).reshape(-1, 3, 32, 32)
        members = np.flatnonzero(np.isin(batch.labels, classes))[:missing]
        pixels.append(images[members])
        labels.append(np.array(batch.labels)[members])
        missing -= len(members)
        if not missing:
            break
    else:
        raise DataError(
            (),
            f"{num_examples} images of the classes {sorted(classes)} are needed; the bundled first "
            f"batch has {num_examples - missing}, and there is no {root / official.FOLDER}",
        )
    images = np.concatenate(pixels)
    inputs = _standardised(images) if scaling == "standardised" else _symmetric(images)
    return LabelledImages(torch.from_numpy(inputs), torch.from_numpy(np.concatenate(labels)))


def _batches(root: Path) -> Iterator[official.Batch]:
    """The training batches there are, in order, each read and checked when its turn comes.

    Yields:
        The official batches, or the bundled one where there is no folder of them.

    Raises:
        DataError: If the file whose turn it is is missing or damaged.
    """
    if not has_folder(root):
        yield official.parse(_bundled())
        return
    for name in official.TRAINING:
        content, bad = official.read(root, name)
        if bad is not None:
            raise DataError([bad])
        yield official.parse(content)


def _bundled() -> bytes:
    try:
        content = bundle.read()
    except (OSError, ValueError, lzma.LZMAError) as error:
        raise DataError(
            (), f"the bundled batch beside {bundle.SHEET} is damaged: {error}"
        ) from error
    if (found := official.md5(content)) != (expected := official.MD5[bundle.BATCH]):
        raise DataError([BadFile(bundle.SHEET, expected, found)])
    return content


def _symmetric(pixels: np.ndarray) -> np.ndarray:
    """From 0 to 255 linearly to [-1, 1]."""
    images: np.ndarray = (np.arange(256) / 127.5 - 1).astype(np.float32)[pixels]
    return images


def _standardised(pixels: np.ndarray) -> np.ndarray:
    """Zero mean, unit variance a channel; the moments are exact, from counts of the 256 values.

    Raises:
        ValueError: If all pixels of a channel are equal.
    """
    images = np.empty((len(pixels), 3, 32, 32), dtype=np.float32)
    values = np.arange(256)
    for channel in range(3):
        plane = pixels[:, channel]
        counts = np.bincount(plane.ravel(), minlength=256)
        mean = np.average(values, weights=counts)
        deviation = np.sqrt(np.average((values - mean) ** 2, weights=counts))
        if deviation == 0:
            raise ValueError("all pixels of a channel are equal: it cannot be standardised")
        images[:, channel] = ((values - mean) / deviation).astype(np.float32)[plane]
    return images
