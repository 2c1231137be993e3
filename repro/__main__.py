"""The script ``repro``, and ``python -m repro``: settles what signals do before much is imported."""

import atexit
import sys

from repro import signals


def main() -> None:
    """Run the command line."""
    signals.leave_at_once()
    sys.unraisablehook = signals.send_again_if_lost
    atexit.register(signals.ignore)  # the first to be registered is the last to be called
    from repro import cli

    cli.main()


if __name__ == "__main__":
    main()
