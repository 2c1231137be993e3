"""Mirrors and archives that mean harm: the official files come of them, or one line does."""

import contextlib
import hashlib
import io
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

from rich.console import Console

from attack.attack import Attack, Trial
from attack.mutation import bounded
from repro import running
from repro.errors import ReproError
from repro.settings import Settings
from ssbrepro.data import DATASETS, download, official

_CONTENTS = {"data_batch_1": bytes(range(256)) * 200, "batches.meta": b"the names of the classes"}
_URL = f"/mirror/{official.ARCHIVE}"


def _archive(*members: tarfile.TarInfo, contents: Mapping[str, bytes] = _CONTENTS) -> bytes:
    """A gzipped tar archive of the files, with more members before them, each of some bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{official.FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _member(
    name: str, kind: bytes = tarfile.REGTYPE, to: str = "", size: int = 5
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    member.size = size if kind == tarfile.REGTYPE else 0
    return member


_F = official.FOLDER
# Archives with the official digest, as if that had been broken; and whether the files are in them.
_ARCHIVES: Mapping[str, tuple[Callable[[], bytes], bool]] = {
    "a path that leads out": (lambda: _archive(_member("../out"), _member(f"{_F}/../../out")), True),
    "an absolute path": (lambda: _archive(_member("/tmp/attack-out")), True),
    "a link that leads out": (lambda: _archive(_member(_F, tarfile.SYMTYPE, "/tmp")), True),
    "a file that is a link": (
        lambda: _archive(_member(f"{_F}/data_batch_1", tarfile.SYMTYPE, "/etc/passwd")), True),
    "a hard link to a file outside": (
        lambda: _archive(_member(f"{_F}/data_batch_1", tarfile.LNKTYPE, "/etc/passwd")), True),
    "a device": (lambda: _archive(_member(f"{_F}/data_batch_1", tarfile.CHRTYPE)), True),
    "a pipe": (lambda: _archive(_member(f"{_F}/data_batch_1", tarfile.FIFOTYPE)), True),
    "a large file beside": (lambda: _archive(_member(f"{_F}/large", size=50_000_000)), True),
    "ten thousand members": (
        lambda: _archive(*(_member(f"{_F}/{i}", size=0) for i in range(10_000))), True),
    "another file of the same name": (lambda: _archive(_member(f"{_F}/data_batch_1")), False),
    "a file that is missing": (lambda: _archive(contents={"batches.meta": b"x"}), False),
    "no archive": (lambda: b"x" * 100_000, False),
    "nothing": (lambda: b"", False),
}  # fmt: skip


def _send_headers(handler: BaseHTTPRequestHandler, status: int, **headers: object) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def _endless(
    handler: BaseHTTPRequestHandler, content: bytes, headers: Mapping[str, object]
) -> None:
    _send_headers(handler, 200, **headers)
    for _ in range(5000):
        handler.wfile.write(content)


def _drip(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    _send_headers(handler, 200, Content_Length=len(content))
    for _ in range(300):
        time.sleep(0.02)
        handler.wfile.write(b"x")


def _redirect(handler: BaseHTTPRequestHandler, content: bytes, to: str) -> None:
    _send_headers(handler, 302, Location=to)


def _raw(handler: BaseHTTPRequestHandler, content: bytes, sent: bytes) -> None:
    handler.wfile.write(sent)


def _whole(handler: BaseHTTPRequestHandler, content: bytes, **headers: object) -> None:
    _send_headers(handler, 200, **(headers or {"Content_Length": len(content)}))
    handler.wfile.write(content)


_Answer = Callable[[BaseHTTPRequestHandler, bytes], None]
_MIRRORS: Mapping[str, tuple[_Answer, bool]] = {
    "all is well": (_whole, True),
    "more bytes than it says": (
        lambda one, content: _endless(one, content, {"Content_Length": len(content)}), True),
    "bytes without end or number": (lambda one, content: _endless(one, content, {}), False),
    "chunks without end": (
        lambda one, content: _endless(one, b"5\r\nxxxxx\r\n", {"Transfer_Encoding": "chunked"}), False),
    "other bytes": (lambda one, content: _whole(one, bytes(len(content))), False),
    "fewer bytes than it says": (
        lambda one, content: _whole(one, b"x", Content_Length=len(content)), False),
    "a length that is none": (lambda one, content: _whole(one, content, Content_Length="x"), False),
    "a negative length": (lambda one, content: _whole(one, content, Content_Length=-1), False),
    "a huge length": (lambda one, content: _whole(one, content, Content_Length=10**30), False),
    "a part that was not asked for": (
        lambda one, content: _send_headers(one, 206, Content_Range="bytes 7-9/10"), False),
    "a byte now and then": (_drip, False),
    "no byte": (lambda one, content: time.sleep(3), False),
    "a redirection to itself": (partial(_redirect, to=_URL), False),
    "a redirection to a file": (partial(_redirect, to="file:///etc/passwd"), False),
    "a redirection to another protocol": (partial(_redirect, to="ftp://127.0.0.1:9/x"), False),
    "a redirection to nothing": (partial(_redirect, to=""), False),
    "a redirection without a host": (partial(_redirect, to="http://[::1"), False),
    "another protocol": (partial(_raw, sent=b"SSH-2.0-OpenSSH_9.0\r\n"), False),
    "a status that is none": (partial(_raw, sent=b"HTTP/1.1 abc\r\n\r\n"), False),
    "a status of many digits": (partial(_raw, sent=b"HTTP/1.1 99999999\r\n\r\n"), False),
    "a header of a megabyte": (
        partial(_raw, sent=b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**20 + b"\r\n\r\n"), False),
    "ten thousand headers": (
        partial(_raw, sent=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n"), False),
    "an error with a page": (lambda one, content: one.send_error(500, "x\x1b[31m" * 10), False),
    "please wait": (lambda one, content: _send_headers(one, 429, Retry_After=10_000), False),
}  # fmt: skip


@contextlib.contextmanager
def _serving(answer: _Answer, content: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):  # whoever asked may have left
                answer(self, content)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/mirror"
        finally:
            server.shutdown()
            thread.join()


def _hostile_mirror(prepared: object, one: Trial) -> str | None:
    """Fetch the dataset from a mirror that sends something else, or something worse."""
    kinds = [*_MIRRORS, *_ARCHIVES]
    kind = kinds[one.number % len(kinds)]
    if kind in _MIRRORS:
        content = _archive()
        answer, good = _MIRRORS[kind]
    else:
        made, good = _ARCHIVES[kind]
        content, answer = made(), _whole
    digests = {name: hashlib.md5(one).hexdigest() for name, one in _CONTENTS.items()}
    root = one.folder / "a" / "b"
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(official, "MD5", digests))
        stack.enter_context(
            mock.patch.object(official, "ARCHIVE_MD5", hashlib.md5(content).hexdigest())
        )
        stack.enter_context(mock.patch.object(official, "ARCHIVE_BYTES", len(content)))
        stack.enter_context(mock.patch.object(download, "_PATIENCE", 1.0))
        url = stack.enter_context(_serving(answer, content))
        settings = replace(Settings.from_environment(), data=root, data_url=url)
        stack.enter_context(bounded(20))
        try:
            running.fetch(DATASETS["cifar10"], settings, Console(stderr=True, quiet=True))
            error = None
        except ReproError as caught:
            error = caught
        found = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    beyond = [path for path in one.folder.rglob("*") if not path.is_relative_to(one.folder / "a")]
    if beyond or Path("/tmp/attack-out").exists() or Path("/tmp/data_batch_1").exists():
        return f"{kind}: writes outside of the folder"
    if good:
        expected = sorted(Path(official.FOLDER, name) for name in _CONTENTS)
        return None if sorted(found) == expected else f"{kind}: {error}; there are {found}"
    if error is None:
        return f"{kind}: is taken for the official dataset"
    if len(str(error).splitlines()) != 1 or not str(error).isprintable():
        return f"{kind}: is not said in one line: {str(error)!r}"
    return None


ATTACKS = (
    Attack("data-mirrors", "where data come from", 37, 20, lambda folder: folder, _hostile_mirror),
)
