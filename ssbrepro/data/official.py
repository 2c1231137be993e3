"""CIFAR-10 as its authors publish it: names, checksums, and how a batch is read.

Source: https://www.cs.toronto.edu/~kriz/cifar.html, "CIFAR-10 python version". That page gives the
archive's MD5; those of the files in it are the ones torchvision checks too.
"""

import hashlib
import pickletools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ssbrepro import contract

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVE = "cifar-10-python.tar.gz"
ARCHIVE_BYTES = 170_498_071
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"
FOLDER = "cifar-10-batches-py"
TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}

PER_CLASS = 5000  # training images of each of the ten classes
PER_BATCH = 10_000
PIXEL_BYTES = PER_BATCH * 3 * 32 * 32  # of one batch


class Batch(NamedTuple):
    """A batch: bytes of shape (10000, 3, 32, 32), and the 10,000 classes, 0 to 9."""

    pixels: bytes
    labels: list[int]


def md5(content: bytes) -> str:
    """The MD5 of a file's content, as the official ones are written."""
    return hashlib.md5(content).hexdigest()


def parse(content: bytes) -> Batch:
    """Take pixels and labels out of an official batch, whose MD5 the caller has checked.

    The file is a pickle and is not unpickled: that could run code. Its opcodes are listed, which
    constructs nothing. The pixels are the one text as long as they are; the labels are the small
    integers that follow the key ``labels``.
    """
    pixels, key = b"", ""
    labels: list[int] = []
    for opcode, argument, _ in pickletools.genops(content):
        if isinstance(argument, str):
            key = argument
            if len(argument) == PIXEL_BYTES:
                pixels = argument.encode("latin-1")
        elif isinstance(argument, int) and opcode.name == "BININT1" and key == "labels":
            labels.append(argument)
    return Batch(pixels, labels)


@dataclass(frozen=True)
class BadFile:
    """A file of the dataset that is missing or not the official one."""

    path: Path
    expected_md5: str
    found_md5: str | None  # None: there is no such file

    def __str__(self) -> str:
        found = "the file is missing" if self.found_md5 is None else f"found MD5 {self.found_md5}"
        return f"{self.path}: expected MD5 {self.expected_md5}, {found}"


class DataError(contract.DataError):
    """CIFAR-10 is not there, or not byte for byte the official one."""

    def __init__(self, files: Sequence[BadFile], reason: str = "") -> None:
        self.files = tuple(files)
        self.reason = reason
        super().__init__("\n".join([*map(str, self.files), *([reason] if reason else [])]))


def has_folder(root: Path) -> bool:
    """Whether ``root`` holds ``cifar-10-batches-py``, which is then used, whatever is in it."""
    return (root / FOLDER).exists()


def check(root: Path) -> list[BadFile]:
    """The files below ``root`` that are missing or damaged; an empty list means all is well."""
    found = [read(root, name)[1] for name in MD5]
    return [bad for bad in found if bad is not None]


def read(root: Path, name: str) -> tuple[bytes, BadFile | None]:
    """A file of the user's, and what is wrong with it."""
    path = root / FOLDER / name
    if not path.is_file():
        return b"", BadFile(path, MD5[name], None)
    content = path.read_bytes()
    found = md5(content)
    if found == MD5[name]:
        return content, None
    return content, BadFile(path, MD5[name], found)
