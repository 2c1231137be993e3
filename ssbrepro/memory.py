"""How the process holds its memory."""

import ctypes

# Numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_freed_memory() -> None:
    """Let the process keep up to 256 MiB of what is freed for what is allocated next.

    By default glibc soon returns large blocks to the system, which has to clear every page anew: a tenth
    to a fifth of the time of a Hessian product on one thread. Affects the whole process and no result;
    does nothing under other C libraries.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_M_TRIM_THRESHOLD, 256 * 2**20)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)  # larger blocks are always returned
