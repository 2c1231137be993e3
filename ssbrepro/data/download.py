"""Downloading the whole of CIFAR-10: continued where it stopped, watched, and checked."""

import fcntl
import hashlib
import http.client
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Collection
from http import HTTPStatus
from pathlib import Path

from ssbrepro.data import Report, official
from ssbrepro.data.official import DataError, check

_PATIENCE = 30.0  # seconds in which something has to arrive:
_LEAST = 1 << 16  # bytes, or the server is as good as dead
_CHUNK = 1 << 16
_LOOK = 0.2  # seconds between reports


def fetch(root: Path, url: str, report: Report) -> None:
    """Make sure the official files are below ``root``: download the archive if any is not.

    What has arrived when it fails or is interrupted stays in ``<archive>.part`` and is not downloaded
    again. Files that are there and intact are left alone.

    Args:
        root: Folder that is to hold ``cifar-10-batches-py``.
        url: Address of the archive, or of a folder that holds it.
        report: Told how much is here, several times a second.

    Raises:
        DataError: If that fails, in one line.
    """
    bad = check(root)
    if not bad:
        return
    if not url.endswith(official.ARCHIVE):
        url = f"{url.rstrip('/')}/{official.ARCHIVE}"
    part = root / f"{official.ARCHIVE}.part"
    try:
        root.mkdir(parents=True, exist_ok=True)
        _download(url, part, report)
        _extract(part, root / official.FOLDER, {file.path.name for file in bad})
        part.unlink()
    except (OSError, ValueError, http.client.HTTPException, tarfile.TarError) as error:
        reason = error.reason if type(error) is urllib.error.URLError else error
        raise DataError((), f"{url}: {reason}") from error


def _download(url: str, part: Path, report: Report) -> None:
    """Bring ``part`` to the whole archive, whose MD5 is the official one.

    Raises:
        ValueError: If the address is of another kind, or what it gave is not the official archive.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError("this is no address that begins with http:// or https://")
    part.touch()
    if part.stat().st_size < official.ARCHIVE_BYTES:
        _watch(_Receiving(url, part), part, report)
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != official.ARCHIVE_MD5:
        part.unlink()
        raise ValueError(
            f"this is not the official archive: MD5 {found}, expected {official.ARCHIVE_MD5}"
        )


def _watch(receiving: "_Receiving", part: Path, report: Report) -> None:
    """Until all is received; an error as soon as hardly anything arrives any more.

    A socket's own timeout does not see a server that sends a byte now and then, and nothing has one
    while names are resolved: so it is a thread that receives, and is left behind if need be.

    Raises:
        TimeoutError: If hardly anything arrives any more.
        Exception: The one that ended the receiving.
    """
    receiving.start()
    counted, since = part.stat().st_size, time.monotonic()
    try:
        while receiving.is_alive():
            receiving.join(_LOOK)
            here = part.stat().st_size
            report(here, official.ARCHIVE_BYTES)
            if not 0 <= here - counted < _LEAST:  # less than before: the server began anew
                counted, since = here, time.monotonic()
            elif time.monotonic() - since > _PATIENCE and receiving.is_alive():
                raise TimeoutError(f"hardly anything arrives in {_PATIENCE:.0f} seconds")
    finally:
        receiving.unwanted.set()
    if receiving.error:
        raise receiving.error
    report(official.ARCHIVE_BYTES, official.ARCHIVE_BYTES)


class _Receiving(threading.Thread):
    """Appends to a file what is missing of the archive.

    ``error`` says why it ended early; it writes no more once ``unwanted`` is set.
    """

    def __init__(self, url: str, part: Path) -> None:
        super().__init__(daemon=True)
        self.error: Exception | None = None
        self.unwanted = threading.Event()
        self._url = url
        self._part = part

    def run(self) -> None:
        """Receive."""
        try:
            self._receive()
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.error = error
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it holds the connection

    def _receive(self) -> None:
        with self._part.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it is closed
            except BlockingIOError:
                raise OSError(f"another process downloads it into {self._part.parent}") from None
            here = file.tell()
            request = urllib.request.Request(self._url)
            if here:
                request.add_header("Range", f"bytes={here}-")
            with urllib.request.urlopen(request, timeout=_PATIENCE) as response:
                _expect_the_archive(response, here)
                if response.status != HTTPStatus.PARTIAL_CONTENT:
                    here = 0
                    file.truncate(0)
                while chunk := response.read1(min(_CHUNK, official.ARCHIVE_BYTES - here)):
                    if self.unwanted.is_set():
                        return
                    file.write(chunk)
                    file.flush()
                    here += len(chunk)
        if here < official.ARCHIVE_BYTES:
            raise ConnectionError(
                f"the connection broke after {here:,} of {official.ARCHIVE_BYTES:,} bytes"
            )


def _expect_the_archive(response: http.client.HTTPResponse, here: int) -> None:
    """Refuse what cannot be the rest of the archive, such as a page that asks to log in.

    Raises:
        ValueError: If what is offered has another size or another range.
    """
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        offered = response.headers.get("Content-Range", "no range")
        last = official.ARCHIVE_BYTES - 1
        fits = offered.startswith(f"bytes {here}-{last}/")
    else:
        offered = response.headers.get("Content-Length", "an unknown number of") + " bytes"
        fits = offered == f"{official.ARCHIVE_BYTES} bytes"
    if not fits:
        raise ValueError(
            f"the server offers {offered}; the official archive has {official.ARCHIVE_BYTES} bytes"
        )


def _extract(archive: Path, folder: Path, wanted: Collection[str]) -> None:
    """Write the wanted files, by their names alone: no path, link or mode of the archive counts.

    Raises:
        ValueError: If the archive lacks one of them, or has another in its place.
    """
    folder.mkdir(exist_ok=True)
    missing = set(wanted)
    with tarfile.open(archive, "r:gz") as members:
        for member in members:
            inside, _, name = member.name.partition("/")
            file = members.extractfile(member) if member.isreg() else None
            if file is None or inside != official.FOLDER or name not in missing:
                continue
            content = file.read()
            if official.md5(content) != official.MD5[name]:
                raise ValueError(f"{name} in the archive is not the official one")
            partial = folder / f".{name}.partial"
            partial.write_bytes(content)
            partial.replace(folder / name)
            missing.remove(name)
    if missing:
        raise ValueError(f"the archive lacks {', '.join(sorted(missing))}")
