"""`repro data fetch`, interrupted as a user does it."""

import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ssbrepro.data import official
from tests.e2e.conftest import Workplace, until

FIRST = b"the beginning of the archive"


class Stalling(BaseHTTPRequestHandler):
    """Sends the beginning of the archive, and no more until the test is over."""

    over = threading.Event()

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(official.ARCHIVE_BYTES))
        self.end_headers()
        self.wfile.write(FIRST)
        self.over.wait(60)


@pytest.fixture
def stalling() -> Iterator[str]:
    """Address of a server that stalls."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Stalling) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        Stalling.over.set()
        server.shutdown()
        thread.join()


def test_an_interrupted_download_is_status_130_and_keeps_its_part(
    place: Workplace, tmp_path: Path, stalling: str
) -> None:
    place.data = tmp_path / "mine"
    place.environment["SSBREPRO_DATA_URL"] = stalling
    process = place.start("data", "fetch")
    part = place.data / "cifar-10-python.tar.gz.part"
    until(lambda: part.exists() and part.read_bytes() == FIRST, "the beginning arrives")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "interrupted; the same command continues where this one stopped\n"
    assert [path.name for path in place.data.iterdir()] == [part.name]
    assert part.read_bytes() == FIRST
