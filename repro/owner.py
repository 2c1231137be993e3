"""Which process something belongs to, and whether it is gone: ids are used again, a pair is not."""

import os
import re
import socket
from pathlib import Path


def this_process() -> str:
    """This machine, this process and when it started."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start_time(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Whether the owner was a process of this machine and is none now; if in doubt, it lives."""
    host, _, process = owner.partition(":")
    known = re.fullmatch(r"(\d+):(\d+)", process)
    if host != socket.gethostname() or known is None:
        return False
    return _start_time(int(known[1])) != known[2]


def _start_time(pid: int) -> str:
    """When a process started, in clock ticks since boot: ids are used again, a pair is not.

    Empty if there is no such process, or no /proc: there, owners cannot be told to be gone.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]
