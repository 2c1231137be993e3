"""Under which licences the runtime dependencies are, as far as their metadata say so.

Only what is allowed passes: a licence that nobody has looked at is no better than a forbidden one.
"""

from collections.abc import Mapping
from importlib.metadata import Distribution
from typing import NamedTuple

_NVIDIA = ("LicenseRef-NVIDIA-Proprietary", "NVIDIA Proprietary Software")
# SPDX's names, and those of classifiers, which leave out the version.
_ALLOWED = {
    "0BSD",
    "Apache 2.0",
    "Apache Software License",
    "Apache-2.0",
    "3-Clause BSD License",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC License (ISCL)",
    "MIT",
    "MIT License",
    "MIT-0",
    "MIT-CMU",
    "Mozilla Public License 2.0 (MPL 2.0)",
    "PSF-2.0",
    "Python Software Foundation License",
    "Zlib",
}
# What comes with PyTorch, and may be passed on as part of an application.
_NVIDIA_NAMES = ("cuda-", "nvidia-")
_SAY_NOTHING = ("OSI Approved", "Other/Proprietary License")


class Read(NamedTuple):
    """A licence that a person read where the metadata do not name it, and what has to be known of it."""

    licence: str
    note: str


READ: Mapping[str, Read] = {
    "cuda-toolkit": Read(_NVIDIA[0], "names other packages and holds nothing"),
    "huey": Read("MIT", "by the licence that it holds"),
    "pyhessian": Read(
        "MIT",
        "by its metadata; the headers of its files say GPL-3.0-or-later, so whoever passes them on, as "
        "in an image, keeps to both",
    ),
    "skops": Read("MIT", "by the licence that it holds"),
}


def licence(name: str, found: Distribution) -> str:
    """The licence of a distribution, in whichever of three ways it is told; empty if in none."""
    if name in READ:
        return READ[name].licence
    metadata = found.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in metadata.get_all("Classifier", [])
        if text.startswith("License ::")
    ]
    named = [text for text in classifiers if text not in _SAY_NOTHING]
    text = (metadata.get_all("License") or [""])[0]
    return " AND ".join(named) or (text if "\n" not in text else "")


def allowed(name: str, expression: str) -> bool:
    """Whether all of a licence is allowed; where there is a choice, one of them."""
    return all(
        any(_one(name, choice) for choice in part.split(" OR "))
        for part in expression.split(" AND ")
    )


def _one(name: str, text: str) -> bool:
    return text in _ALLOWED or (text in _NVIDIA and name.startswith(_NVIDIA_NAMES))
