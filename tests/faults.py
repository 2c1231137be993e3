"""Failures of the disk, and kills, one call at a time."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro.errors import StoreError

# Every call by which files.py changes the disk.
CALLS: list[tuple[Any, str]] = [
    (os, "fsync"),
    (os, "open"),
    (Path, "rename"),
    (Path, "replace"),
    (Path, "mkdir"),
    (Path, "write_text"),
]


def _reads(name: str, args: tuple[Any, ...]) -> bool:
    """Whether a call opens a file to read it."""
    return name == "open" and bool(args[1] & os.O_NONBLOCK)


class Failing:
    """Makes one call of a function fail, such as the third, as a full disk does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, index: int) -> None:
        self.calls = 0
        real = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if _reads(name, args):
                return real(*args, **kwargs)
            self.calls += 1
            if self.calls == index:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)
        self.index = index

    @property
    def failed(self) -> bool:
        return self.calls >= self.index


def each_failure(
    monkeypatch: pytest.MonkeyPatch, attempt: Callable[[], None], check: Callable[[bool], None]
) -> int:
    """Let every single call fail in turn; ``check`` learns whether the attempt went through."""
    failures = 0
    for owner, name in CALLS:
        for index in range(1, 200):
            with monkeypatch.context() as patched:
                failing = Failing(patched, owner, name, index)
                try:
                    attempt()
                except StoreError as error:
                    assert failing.failed
                    message = str(error)
                    assert len(message.splitlines()) == 1
                    assert message.startswith("/")
                    assert message.endswith("cannot be written: No space left on device")
                    failures += 1
                    went_through = False
                else:
                    went_through = True
            check(went_through)
            if not failing.failed:  # fewer such calls than that: all have failed once
                break
        else:
            pytest.fail(f"{name} is called without end")
    return failures


def killed_at_each_call(attempt: Callable[[Path], object], folder: Path) -> list[Path]:
    """What a process leaves that is killed before a single call by which it changes the disk.

    That is what lies on the disk at that moment: what a process has not written yet, and the locks it
    holds, end with it. So nothing is killed, but copied.

    Args:
        attempt: What changes the disk, in the folder that it is given.
        folder: The folder to change, which may be there already; copies come beside it.

    Returns:
        A copy before each call, in their order; more than ten.
    """
    copies: list[Path] = []

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if _reads(name, args):
                return real(*args, **kwargs)
            copy = folder.with_name(f"killed-{len(copies)}")
            copies.append(copy)
            if folder.exists():
                shutil.copytree(folder, copy)
            return real(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patched:
        for owner, name in (*CALLS, (os, "unlink")):
            patched.setattr(owner, name, watched(name, getattr(owner, name)))
        attempt(folder)
    assert len(copies) > 10
    return copies
