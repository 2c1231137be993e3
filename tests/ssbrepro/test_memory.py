"""What is freed is kept."""

import ctypes
import subprocess
import sys

import pytest

_PROGRAM = """
import ctypes, mmap, resource
from ssbrepro.memory import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
size, number = 20 * 2**20, 5

def cleared():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [libc.malloc(size) for _ in range(number)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    for block in blocks:
        libc.free(block)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return faults / (number * size / mmap.PAGESIZE)

CALL
print([cleared() for _ in range(6)][-1])
"""


def share_of_pages_cleared_again(call: str) -> float:
    """In a process of its own, after blocks of 20 MiB were used and freed a few times."""
    program = _PROGRAM.replace("CALL", call)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="only glibc's malloc is told"
)
def test_memory_used_again_is_not_cleared_again():
    # All pages or none, but for what the interpreter itself allocates in between.
    assert share_of_pages_cleared_again("keep_freed_memory()") < 0.05
    assert share_of_pages_cleared_again("") > 0.5
