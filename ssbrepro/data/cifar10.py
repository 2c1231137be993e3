"""CIFAR-10 (Krizhevsky 2009) through torchvision, MD5-checked, of ten classes or of two."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import download_and_extract_archive

FOLDER = CIFAR10.base_folder
MD5 = dict([*CIFAR10.train_list, *CIFAR10.test_list]) | {
    CIFAR10.meta["filename"]: CIFAR10.meta["md5"]
}


@dataclass(frozen=True)
class BadFile:
    """A file of the dataset that is missing or not the official one."""

    path: Path
    expected_md5: str
    found_md5: str | None  # None: there is no such file

    def __str__(self) -> str:
        found = "the file is missing" if self.found_md5 is None else f"found MD5 {self.found_md5}"
        return f"{self.path}: expected MD5 {self.expected_md5}, {found}"


class DataError(Exception):
    """CIFAR-10 is not there, or not byte for byte the official one."""

    def __init__(self, files: Sequence[BadFile], reason: str = "") -> None:
        self.files = tuple(files)
        self.reason = reason
        super().__init__("\n".join([*map(str, self.files), *([reason] if reason else [])]))


class BinaryImages(NamedTuple):
    """Standardised images, (examples, 3, 32, 32) float32, and labels +1 or -1, (examples,)."""

    inputs: Tensor
    targets: Tensor


class LabelledImages(NamedTuple):
    """Standardised images, (examples, 3, 32, 32) float32, and classes 0 to 9, (examples,) int64."""

    inputs: Tensor
    labels: Tensor


def check(root: Path) -> list[BadFile]:
    """The files below ``root`` that are missing or damaged; an empty list means all is well."""
    bad = []
    for name, expected in MD5.items():
        path = root / FOLDER / name
        found = hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else None
        if found != expected:
            bad.append(BadFile(path, expected, found))
    return bad


def fetch(root: Path) -> None:
    """Make sure the official files are below ``root``: download what is missing or damaged.

    Raises:
        DataError: If the download fails or what arrived is damaged.
    """
    bad = check(root)
    if not bad:
        return
    try:
        # Not CIFAR10(download=True): it does not notice a missing or damaged batches.meta.
        download_and_extract_archive(
            CIFAR10.url, str(root), filename=CIFAR10.filename, md5=CIFAR10.tgz_md5
        )
    except (OSError, RuntimeError) as error:
        raise DataError(bad, f"the download failed: {error}") from error
    if bad := check(root):
        raise DataError(bad, "the download is damaged")


def load(
    root: Path,
    positive_classes: Sequence[int],
    negative_classes: Sequence[int],
    num_examples: int,
) -> BinaryImages:
    """The first ``num_examples`` training images of the given classes, in the dataset's order.

    Each channel is standardised to zero mean and unit variance over the images returned.

    Args:
        root: Folder that holds ``cifar-10-batches-py``.
        positive_classes: CIFAR-10 classes (0 to 9) labelled +1.
        negative_classes: Classes labelled -1, disjoint from the positive ones.
        num_examples: How many images, at most as many as the classes have.

    Raises:
        DataError: If a file is missing or damaged.
        ValueError: If the classes overlap, one side is empty, or there are too few images.
    """
    if not positive_classes or not negative_classes:
        raise ValueError("both sides of the binary task need a class")
    if both := set(positive_classes) & set(negative_classes):
        raise ValueError(f"classes {sorted(both)} are on both sides of the binary task")
    images = _first(root, [*positive_classes, *negative_classes], num_examples)
    targets = np.where(np.isin(images.labels, positive_classes), 1.0, -1.0)
    return BinaryImages(images.inputs, torch.from_numpy(targets.astype(np.float32)))


def load_classes(root: Path, num_examples: int) -> LabelledImages:
    """The first ``num_examples`` training images of all ten classes, standardised as in :func:`load`.

    Args:
        root: Folder that holds ``cifar-10-batches-py``.
        num_examples: How many images, at most 50,000.

    Raises:
        DataError: If a file is missing or damaged.
        ValueError: If there are too few images.
    """
    return _first(root, range(10), num_examples)


def _first(root: Path, classes: Sequence[int], num_examples: int) -> LabelledImages:
    if bad := check(root):
        raise DataError(bad)
    # torchvision unpickles these files; their MD5 says they are the official ones.
    images = CIFAR10(str(root), train=True, download=False)
    labels = np.asarray(images.targets, dtype=np.int64)
    members = np.flatnonzero(np.isin(labels, classes))
    if not 1 <= num_examples <= len(members):
        raise ValueError(
            f"{num_examples} examples asked for; these classes have {len(members)} training images"
        )
    chosen = members[:num_examples]
    pixels = images.data[chosen]  # (examples, 32, 32, 3) uint8
    return LabelledImages(torch.from_numpy(_standardised(pixels)), torch.from_numpy(labels[chosen]))


def _standardised(pixels: np.ndarray) -> np.ndarray:
    """Zero mean, unit variance a channel; the moments are exact, from counts of the 256 values."""
    images = np.empty((len(pixels), 3, 32, 32), dtype=np.float32)
    values = np.arange(256)
    for channel in range(3):
        plane = pixels[..., channel]
        counts = np.bincount(plane.ravel(), minlength=256)
        mean = np.average(values, weights=counts)
        deviation = np.sqrt(np.average((values - mean) ** 2, weights=counts))
        if deviation == 0:
            raise ValueError("all pixels of a channel are equal: it cannot be standardised")
        images[:, channel] = ((values - mean) / deviation).astype(np.float32)[plane]
    return images
