"""What is read of files that are none, too large or forged: refused at once, and in one line."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from repro import bounded, files
from repro.errors import StoreError


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    """A wait is an error, not a test that never ends."""

    def give_up(number: int, frame: object) -> None:
        raise TimeoutError("waited")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def bind_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


NOT_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "folder": os.mkdir,
    "socket": bind_socket,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path),
}


@pytest.mark.parametrize("kind", NOT_FILES)
def test_what_is_no_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)  # addresses of sockets are short
    path = Path("x.json")
    NOT_FILES[kind](path)
    with pytest.raises(StoreError, match=r"^x\.json: cannot be read: [^\n]+$"):
        files.read_json(path)
    with pytest.raises(OSError, match=r"x\.json"):
        files.sha256(path)


def test_a_file_is_read_as_far_as_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert bounded.read_bytes(path, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        bounded.read_bytes(path, 4)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10_000 + "]" * 10_000,
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        "1e999",
        '{"a": [1, -1e999]}',
        "NaN",
        "9" * 19,
        "9" * 10_000,
        '"\\ud800"',
        "",
    ],
)
def test_forged_json_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(StoreError, match=r"^/.+/x\.json: cannot be read: [^\n]+$"):
        files.read_json(tmp_path / "x.json")
    with pytest.raises(ValueError, match=r"."):
        files.checked(text, dict[str, object])


def test_json_of_ours_is_read() -> None:
    assert bounded.plain_json('[1e300, -5e-324, 999999999999999999, true, "ü\\n"]') == [
        1e300,
        -5e-324,
        999999999999999999,
        True,
        "ü\n",
    ]
