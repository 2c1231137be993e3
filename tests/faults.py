"""Failures of the disk, and kills, one call at a time."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro.errors import StoreError
from tests.fakes import CHECKOUT

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
            if name == "open" and args[1] & os.O_NONBLOCK:  # to be read
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


# A process of one thread, whose forks are killed; each has a folder of its own.
_KILLED = """
import os, sys
from pathlib import Path
from tests.faults import CALLS
{attempt}
for index in range(1, 2000):
    child = os.fork()
    if not child:
        try:
            calls = 0
            def killed(real):
                def call(*args, **kwargs):
                    global calls
                    calls += 1
                    if calls == index:
                        os._exit(9)
                    return real(*args, **kwargs)
                return call
            for owner, name in CALLS:
                setattr(owner, name, killed(getattr(owner, name)))
            attempt(Path(sys.argv[1]) / str(index))
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 9:
        sys.exit(status)
sys.exit(2)
"""


def killed_at_each_call(attempt: str, folder: Path) -> list[Path]:
    """Kill a process before every single call by which it changes the disk.

    Args:
        attempt: The source of a function ``attempt(folder)``, and of what it needs.
        folder: Where each attempt gets a folder, or a file, of its own.

    Returns:
        Those whose process was killed; at least ten.
    """
    subprocess.run(
        [sys.executable, "-c", _KILLED.format(attempt=attempt), str(folder)],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        check=True,
    )
    attempts = sorted(folder.iterdir(), key=lambda path: int(path.stem))
    assert len(attempts) > 10
    return attempts[:-1]
