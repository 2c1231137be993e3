"""Arrays in files: equal ones give equal bytes, and a step's saved state is known by its digest.

The digest is also of the step and of the state's name: one state in the place of another is damage.
"""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from ssbrepro.contract import Array

# What the standard library and NumPy may raise of a ZIP file that is none, or not what it was.
BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    KeyError,
    ValueError,
    SyntaxError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
)
_DIGEST = "sha256"  # beside a state's arrays, which have no such name


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays as npz, flushed; equal arrays give equal bytes.

    Raises:
        OSError: If they cannot be written; it names the file.
    """
    import numpy as np  # later than any command that only lists states needs it

    try:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **dict(arrays))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # a full disk names no file by itself
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_state(path: Path, state: Mapping[str, Array], place: Path) -> None:
    """Write arrays with the digest of them all.

    Args:
        path: The file to write.
        state: The arrays.
        place: Its path once it is whole, in the scratch folder of its step.

    Raises:
        OSError: If they cannot be written; it names the file.
    """
    import numpy as np

    write_arrays(path, {**state, _DIGEST: np.array(_digest(state, place))})


def read_arrays(file: Path | BinaryIO) -> dict[str, Array]:
    """The arrays of an npz file.

    Raises:
        ValueError: If it is none; others of ``BROKEN_ZIP`` say the same.
    """
    import numpy as np

    stored = np.load(file, allow_pickle=False)
    if not isinstance(stored, np.lib.npyio.NpzFile):
        raise ValueError("is one array and no npz file")
    with stored:
        # What is written here is not compressed; what is could fill all memory.
        if stored.zip and any(member.compress_type for member in stored.zip.infolist()):
            raise ValueError("is compressed")
        return dict(stored)


def read_state(file: Path | BinaryIO, place: Path) -> dict[str, Array]:
    """The arrays of a state, all of them as they were written.

    Args:
        file: What to read.
        place: The path at which it is, or was before it was carried here.

    Raises:
        ValueError: If they are not, or if it is no state; others of ``BROKEN_ZIP`` say the same.
    """
    state = read_arrays(file)
    digest = state.pop(_DIGEST, None)
    if digest is None or digest.tolist() != _digest(state, place):
        raise ValueError("is not what was saved")
    return state


def problem(read: Callable[[BinaryIO], object], file: BinaryIO) -> str | None:
    """Why a file cannot be read by one of the functions here, if so."""
    try:
        read(file)
    except BROKEN_ZIP as error:
        return str(error)
    return None


def _digest(arrays: Mapping[str, Array], place: Path) -> str:
    import numpy as np

    digest = hashlib.sha256(f"{place.parent.name}/{place.stem}\n".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {np.shape(arrays[name])}\n".encode())
        # Without a copy where there is a buffer: text and nothing at all have none.
        digest.update(array.data if array.size and array.dtype.kind != "U" else array.tobytes())
    return digest.hexdigest()
