"""A call that is not waited for longer than a given time."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

Answer = TypeVar("Answer")


def within(seconds: float | None, call: Callable[[], Answer]) -> Answer:
    """What a call returns or raises, if it does so in time; None is for as long as it takes.

    It goes on in a thread that this process does not wait for at its end: a server can give each answer
    in time and never come to an end.

    Raises:
        TimeoutError: If it does not.
    """
    if seconds is None:
        return call()
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    wait([answer], timeout=seconds)
    if not answer.done():
        raise TimeoutError(f"no end within {seconds:g} s")
    return answer.result()
