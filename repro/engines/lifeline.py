"""How a process ends when who wanted its result has gone, whatever it is doing at the moment."""

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1  # of Linux's prctl.h
_POLL_SECONDS = 0.5


def end_with(parent: int) -> None:
    """End this process, at once and without a word, when its parent has died.

    On Linux the kernel sees to it, also while a library that is being imported lets no thread of
    Python's run. To the kernel the parent is the thread that started us: it has to live as long as we.

    Args:
        parent: Its process id, found out before it could die.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_poll, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it died before the kernel knew
        os._exit(1)


def end_with_standard_input() -> None:
    """End this process when its standard input closes: for parents that hold the other end."""
    threading.Thread(target=_drain, daemon=True).start()


def _poll(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


def _drain() -> None:
    # Not sys.stdin: its lock, held by this thread, would abort the interpreter's shutdown.
    while os.read(0, 1024):
        pass
    os._exit(1)
