"""Downloading CIFAR-10, from a server on this machine that behaves well or badly."""

import contextlib
import fcntl
import hashlib
import io
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ssbrepro.data import download, official
from ssbrepro.data.cifar10 import DataError
from ssbrepro.data.download import fetch

CONTENTS = {
    "data_batch_1": bytes(range(256)) * 2000,
    "batches.meta": b"the names of the classes",
}


def archive_of(contents, more=()):
    """The bytes of a gzipped tar archive, with more members before the files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=0) as archive:
        for member in more:
            archive.addfile(member)
        for name, content in contents.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def declare(monkeypatch, archive, contents=CONTENTS):
    """Make these the official archive and files."""
    digests = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(official, "MD5", digests)
    monkeypatch.setattr(official, "ARCHIVE_MD5", hashlib.md5(archive).hexdigest())
    monkeypatch.setattr(official, "ARCHIVE_BYTES", len(archive))


class Server(ThreadingHTTPServer):
    """Serves ``content`` at one path; ``ranges``, ``breaks_after`` and ``drips`` say how."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.ranges = True
        self.breaks_after = None
        self.drips = None  # bytes sent before it sends one every now and then
        self.asked = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/mirror"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        if self.path != "/mirror/cifar-10-python.tar.gz":
            self.send_error(404)
            return
        content = self.server.content
        first = 0
        if wanted and self.server.ranges:
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        with contextlib.suppress(OSError):  # the client may have left
            self.send(content[first:])

    def send(self, content):
        if self.server.breaks_after is not None:
            content = content[: self.server.breaks_after]
        if self.server.drips is None:
            self.wfile.write(content)
            return
        self.wfile.write(content[: self.server.drips])
        for _ in range(1000):
            time.sleep(0.02)
            self.wfile.write(b"x")


@pytest.fixture
def archive(monkeypatch):
    content = archive_of(CONTENTS)
    declare(monkeypatch, content)
    return content


@pytest.fixture
def server(archive):
    with Server(archive) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def unheard(here, total):
    """Reports go nowhere."""


def files_below(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


WHOLE = {f"cifar-10-batches-py/{name}": content for name, content in CONTENTS.items()}
PART = "cifar-10-python.tar.gz.part"


@pytest.mark.parametrize("suffix", ["", "/", "/cifar-10-python.tar.gz"])
def test_the_files_arrive_and_nothing_else_stays(server, tmp_path, suffix):
    root = tmp_path / "new" / "folder"
    reports = []
    fetch(root, server.url + suffix, lambda *report: reports.append(report))
    assert files_below(root) == WHOLE
    assert server.asked == [("/mirror/cifar-10-python.tar.gz", None)]
    assert reports[-1] == (official.ARCHIVE_BYTES, official.ARCHIVE_BYTES)


def test_nothing_is_asked_for_where_all_is_well(server, tmp_path):
    fetch(tmp_path, server.url, unheard)
    server.asked.clear()
    fetch(tmp_path, server.url, unheard)
    assert server.asked == []


def test_an_intact_file_is_left_alone_and_a_damaged_one_replaced(server, tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    intact = folder / "batches.meta"
    intact.write_bytes(CONTENTS["batches.meta"])
    stamp = intact.stat()
    (folder / "data_batch_1").write_bytes(b"damaged")
    (folder / "mine.txt").write_bytes(b"mine")
    fetch(tmp_path, server.url, unheard)
    assert files_below(tmp_path) == WHOLE | {"cifar-10-batches-py/mine.txt": b"mine"}
    assert (intact.stat().st_ino, intact.stat().st_mtime_ns) == (stamp.st_ino, stamp.st_mtime_ns)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_said_and_the_next_attempt_continues(
    server, archive, tmp_path, ranges
):
    server.breaks_after = 100_000
    with pytest.raises(DataError, match="broke after 100,000 of 5") as caught:
        fetch(tmp_path, server.url, unheard)
    assert "\n" not in str(caught.value)
    assert files_below(tmp_path) == {PART: archive[:100_000]}
    server.breaks_after, server.ranges = None, ranges
    fetch(tmp_path, server.url, unheard)
    assert [wanted for _, wanted in server.asked] == [None, "bytes=100000-"]
    assert files_below(tmp_path) == WHOLE


def test_a_part_that_is_whole_needs_no_server(archive, tmp_path):
    (tmp_path / PART).write_bytes(archive)
    fetch(tmp_path, "http://127.0.0.1:9", unheard)
    assert files_below(tmp_path) == WHOLE


@pytest.mark.parametrize("length", [1000, None])
def test_wrong_bytes_are_refused_and_not_kept(server, archive, tmp_path, length):
    (tmp_path / PART).write_bytes(b"x" * (length or len(archive)))
    with pytest.raises(DataError, match=r"not the official archive: MD5 \w{32}, expected"):
        fetch(tmp_path, server.url, unheard)
    assert files_below(tmp_path) == {}
    fetch(tmp_path, server.url, unheard)
    assert files_below(tmp_path) == WHOLE


def test_a_page_in_its_place_is_refused_before_it_is_read(server, archive, tmp_path):
    (tmp_path / PART).write_bytes(archive[:10])
    server.ranges, server.content = False, b"<html>please log in</html>"
    with pytest.raises(DataError, match="the server offers 26 bytes; the official archive has"):
        fetch(tmp_path, server.url, unheard)
    server.ranges, server.content = True, archive + b"more"
    with pytest.raises(DataError, match="the server offers bytes 10-"):
        fetch(tmp_path, server.url, unheard)
    assert files_below(tmp_path) == {PART: archive[:10]}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("{server}/nowhere", "{server}/nowhere/cifar-10-python.tar.gz: HTTP Error 404: Not Found"),
        ("http://127.0.0.1:9", "cifar-10-python.tar.gz: .*Connection refused"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://a host", "can't contain control characters"),
        ("file:///etc", "begins with http:// or https://"),
        ("/etc", "begins with http:// or https://"),
    ],
)
def test_a_server_that_is_not_there_is_one_line(server, tmp_path, url, reason):
    with pytest.raises(DataError, match=reason.format(server=server.url)) as caught:
        fetch(tmp_path, url.format(server=server.url), unheard)
    assert "\n" not in str(caught.value)
    assert caught.value.files == ()


@pytest.mark.parametrize("sent", [0, 100_000])
def test_a_server_that_drips_is_given_up(monkeypatch, server, archive, tmp_path, sent):
    monkeypatch.setattr(download, "_PATIENCE", 0.5)
    monkeypatch.setattr(download, "_LOOK", 0.05)
    server.drips = sent
    began = time.monotonic()
    with pytest.raises(DataError, match="hardly anything arrives"):
        fetch(tmp_path, server.url, unheard)
    assert time.monotonic() - began < 10  # it would drip for 20 seconds
    kept = (tmp_path / PART).read_bytes()
    assert kept.startswith(archive[:sent])
    time.sleep(0.1)  # five more drops, which nobody wants
    assert (tmp_path / PART).stat().st_size <= len(kept) + 1


def test_a_server_that_says_nothing_is_given_up(monkeypatch, archive, tmp_path):
    monkeypatch.setattr(download, "_PATIENCE", 0.3)
    with (
        Server(archive) as silent,  # it listens, and nobody answers
        pytest.raises(DataError, match=r"timed out|hardly anything arrives"),
    ):
        fetch(tmp_path, silent.url, unheard)


def test_an_interruption_keeps_what_has_arrived(server, archive, tmp_path):
    server.drips = 100_000

    def interrupt(here, total):
        if here >= 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, server.url, interrupt)
    assert (tmp_path / PART).read_bytes().startswith(archive[:100_000])


def test_two_at_once_do_not_write_into_one_file(server, tmp_path):
    with (tmp_path / PART).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process downloads it into"):
            fetch(tmp_path, server.url, unheard)
    assert server.asked == []


def test_a_folder_that_cannot_be_written_is_one_line(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="file") as caught:
        fetch(tmp_path / "file", server.url, unheard)
    assert "\n" not in str(caught.value)


def link(name, target):
    member = tarfile.TarInfo(name)
    member.type = tarfile.SYMTYPE
    member.linkname = target
    return member


def test_links_and_paths_in_an_archive_lead_nowhere(monkeypatch, server, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    hostile = [
        link("cifar-10-batches-py", str(outside)),
        link("cifar-10-batches-py/data_batch_1", str(outside / "written")),
        tarfile.TarInfo("../outside/written"),
        tarfile.TarInfo(str(outside / "written")),
        tarfile.TarInfo("cifar-10-batches-py/../../outside/written"),
        tarfile.TarInfo("cifar-10-batches-py/unknown"),
        tarfile.TarInfo("elsewhere/batches.meta"),
    ]
    server.content = archive_of(CONTENTS, hostile)
    declare(monkeypatch, server.content)
    root = tmp_path / "data"
    fetch(root, server.url, unheard)
    assert files_below(root) == WHOLE
    assert not (root / "cifar-10-batches-py").is_symlink()
    assert not list(outside.iterdir())


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (CONTENTS | {"batches.meta": b"other"}, "batches.meta in the archive is not the official"),
        ({"data_batch_1": CONTENTS["data_batch_1"]}, "the archive lacks batches.meta"),
    ],
)
def test_every_file_of_the_archive_is_checked(monkeypatch, server, tmp_path, contents, reason):
    server.content = archive_of(contents)
    declare(monkeypatch, server.content)
    with pytest.raises(DataError, match=reason):
        fetch(tmp_path, server.url, unheard)
    assert "cifar-10-batches-py/batches.meta" not in files_below(tmp_path)
