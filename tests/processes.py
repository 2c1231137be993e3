"""Whether processes that tests start are still there."""

import time
from pathlib import Path

# A process that outlives its parent for longer is in the way of the next run.
_OUTLIVES_SECONDS = 1.0


def is_running(pid: int) -> bool:
    """Whether a process still has memory, which it gives up before its pipes are closed."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def assert_ends_with_its_parent(pid: int) -> None:
    """To be called when the parent has just died."""
    deadline = time.monotonic() + _OUTLIVES_SECONDS
    while is_running(pid):
        assert time.monotonic() < deadline, "it outlives its parent"
        time.sleep(0.01)
