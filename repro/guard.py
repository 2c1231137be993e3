"""Other people's servers, with all that they start: ``python -m repro.guard COMMAND…``.

The guard leads a session of its own, in which the command runs as long as standard input is open. Who
holds the other end may end in any way: then everything in the session ends too.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command; its exit status. None of its processes is left whatever ends the wait for it."""
    guard = subprocess.Popen(
        [sys.executable, "-m", "repro.guard", *command],
        stdin=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # Ctrl-C reaches us alone
    )
    with guard:
        try:
            return guard.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(guard.pid, signal.SIGKILL)


def _end_with_standard_input() -> None:
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    sys.exit(subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL))
