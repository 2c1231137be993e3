"""Failures of the disk, one call at a time."""

import errno
import os
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


class Failing:
    """Makes one call of a function fail, such as the third, as a full disk does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, index: int) -> None:
        self.calls = 0
        real = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
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
        for index in range(1, 50):
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
