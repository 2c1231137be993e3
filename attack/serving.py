"""A server on this machine whose every answer is up to whoever starts it."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

from attack.keeping import Kept

_JSON = {"Content-Type": "application/json"}


class Request(BaseHTTPRequestHandler):
    """One request, which the server's ``behaviour`` answers in whatever way."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        """Have it answered."""
        self.number = next(self.server.numbers)
        self.unread = int(self.headers.get("Content-Length", 0))
        self.server.asked.append(f"{self.command} {self.path}")
        with contextlib.suppress(OSError):  # whoever asked has gone
            self.server.behaviour(self)

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - as the base class calls them

    @property
    def creates(self) -> bool:
        """Whether it asks for a new run."""
        return self.path.endswith("/runs/create")

    def taken(self) -> tuple[int, bytes]:
        """Do as it says; returns the answer, which is not given yet."""
        with self.server.lock:
            return self.server.kept.answer(self.command, self.path, self._read())

    def give(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Answer."""
        self._read()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or _JSON)).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def give_raw(self, *parts: bytes, pause: float = 0.0, forever: bool = False) -> None:
        """Answer with bytes that need be no HTTP, the last of them again and again, and close."""
        for part in parts:
            self.wfile.write(part)
        while forever and not self.server.ended.wait(pause):
            self.wfile.write(parts[-1])
        self.close_connection = True

    def reset(self) -> None:
        """Close without a word, with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _read(self) -> bytes:
        unread, self.unread = self.unread, 0
        return self.rfile.read(unread)

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""


Behaviour = Callable[[Request], None]


def sanely(request: Request) -> None:
    """As a tracking server should."""
    request.give(*request.taken())


class Server(ThreadingHTTPServer):
    """A tracking server on a port of its own, which answers as ``behaviour`` has it once it is open.

    Args:
        behaviour: Of each request.
        folder: Of this machine, where no server has anything to say.
        other: Another server, which nobody was told of but this one.
    """

    daemon_threads = True

    def __init__(self, behaviour: Behaviour, folder: Path, other: "Server | None" = None) -> None:
        super().__init__(("127.0.0.1", 0), Request, bind_and_activate=False)
        self.server_bind()
        self.behaviour = behaviour
        self.folder = folder
        self.other = other or self
        self.kept = Kept()
        self.lock = threading.Lock()
        self.numbers = count()
        self.asked: list[str] = []
        self.ended = threading.Event()  # whoever does something for ever stops
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._crowd: list[socket.socket] = []

    @property
    def address(self) -> str:
        """Where it is, without credentials."""
        return f"http://127.0.0.1:{self.server_port}"

    def open(self) -> None:
        """Answer, if it does not yet."""
        if not self._thread.is_alive():
            self.server_activate()
            self._thread.start()
            for one in self._crowd:
                one.close()

    def crowd(self) -> None:
        """Listen, and leave no room for anybody."""
        self.socket.listen(0)
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(self.server_address)
            self._crowd.append(one)

    def close(self) -> None:
        """Be there no more."""
        self.ended.set()
        if self._thread.is_alive():
            self.shutdown()
        for one in self._crowd:
            one.close()
        self.server_close()

    def handle_error(self, *arguments: object) -> None:
        """Whoever asked has gone: nothing to say of it."""
