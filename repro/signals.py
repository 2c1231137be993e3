"""What a signal that asks a command to end does, at any moment of the command's life.

While it imports, a command has nothing to put in order and leaves at once. Then the signal is an
exception in the main thread, :class:`repro.errors.Interrupted`. What follows is not heard while things
are put in order, since terminals, wrappers and impatient people send several; only where that takes
long, the next one ends the command where it is, which is safe at any moment.

Nothing can be handled before this module is imported: until then, Python and the system do what they
always do. It imports little, so that this is soon.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType

_PATIENCE_SECONDS = 5.0  # to put things in order, until another signal ends the command
_AGAIN_SECONDS = 0.01  # until a signal is sent again that was lost

_raised: list[BaseException] = []


def ending() -> list[signal.Signals]:
    """The signals that end a command: not SIGHUP where it was ignored from the start, as by nohup."""
    ends = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ends.append(signal.SIGHUP)
    return ends


def leave_at_once() -> None:
    """Have a signal end this process where it is, with 128 + the signal's number."""
    _handle(_leave)


def interrupt() -> None:
    """Have the next signal raise :class:`repro.errors.Interrupted` in the main thread."""
    _raised.clear()
    _handle(_interrupt)


def raised() -> BaseException | None:
    """What a signal has raised since :func:`interrupt`, whatever a library has made of it."""
    return _raised[0] if _raised else None


def put_in_order() -> None:
    """Have no signal heard for some seconds; after them, one ends this process where it is."""
    patient_until = time.monotonic() + _PATIENCE_SECONDS

    def lose_patience(number: int, frame: FrameType | None) -> None:
        if time.monotonic() > patient_until:
            _leave(number, frame)

    _handle(lose_patience)


def ignore() -> None:
    """Have no signal heard any more; for the interpreter's last moments, when it calls no handler."""
    _handle(signal.SIG_IGN)


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """While things are put in order: have signals raise again, since a person is asked something."""
    _handle(_interrupt)
    try:
        yield
    finally:
        put_in_order()


def send_again_if_lost(unraisable: "sys.UnraisableHookArgs") -> None:
    """For ``sys.unraisablehook``: what a signal raised in a finalizer or a callback goes nowhere."""
    from repro.errors import Interrupted

    error = unraisable.exc_value
    if not isinstance(error, Interrupted):
        sys.__unraisablehook__(unraisable)
        return
    number = error.exit_status - 128
    signal.signal(signal.SIGALRM, lambda _, frame: _interrupt(number, frame))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)


def _handle(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    for number in ending():
        signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    from repro.errors import Interrupted

    put_in_order()
    _raised.append(Interrupted(number))
    raise _raised[-1]
