"""One root seed, many independent named generators.

Every random draw of the science names its purpose (``"weights"``, ``"batches", epoch``). The
stream then depends on the root seed and that name alone: adding a draw somewhere does not shift
the draws elsewhere, and a resumed run needs no saved generator state.
"""

import hashlib

import numpy as np
import torch


def derived_seed(seed: int, *name: str | int) -> int:
    """A 63-bit seed for the stream ``name`` under the root ``seed``."""
    text = "/".join(str(part) for part in (seed, *name))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_generator(seed: int, *name: str | int) -> torch.Generator:
    """A CPU generator for the stream ``name``.

    Always on the CPU: the same draws then reach every device.
    """
    return torch.Generator().manual_seed(derived_seed(seed, *name))


def numpy_generator(seed: int, *name: str | int) -> np.random.Generator:
    """A NumPy generator for the stream ``name``."""
    return np.random.default_rng(derived_seed(seed, *name))
