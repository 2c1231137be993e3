"""Tracking servers that do all that one can: none holds up a run, loses or doubles what it sends."""

import contextlib
import gzip
import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from attack.attack import Attack, Trial
from attack.keeping import Content
from attack.serving import Behaviour, Request, Server, sanely
from repro.engines.inline import InlineEngine
from repro.outcome.reading import all_runs
from repro.outcome.record import TRACKED
from repro.outcome.tracking import Sender, send, track
from repro.running import Runner
from repro.settings import Settings

PASSWORD = "s3cr3t-of-the-server"
_LIMIT = 4.0  # instead of a minute
_START = 60.0  # until MLflow is imported, on a busy machine
_MAX_MEMORY_BYTES = 1.25 * 2**30


def _raw(*parts: bytes, pause: float = 0.0, forever: bool = False) -> Behaviour:
    return lambda request: request.give_raw(*parts, pause=pause, forever=forever)


def _always(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Behaviour:
    return lambda request: request.give(status, body, headers)


def _at(part: str, behaviour: Behaviour) -> Behaviour:
    """Hostile where a path has this part, sane elsewhere."""
    return lambda request: (behaviour if part in request.path else sanely)(request)


def _never(request: Request) -> None:
    request.server.ended.wait()
    request.close_connection = True


def _close(request: Request) -> None:
    request.close_connection = True


def _close_when_taken(request: Request) -> None:
    request.taken()
    request.close_connection = True


def _break_off(request: Request) -> None:
    _, body = request.taken()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    request.give_raw(head + body[: len(body) // 2])


def _every_second(request: Request) -> None:
    (_always(500) if request.number % 2 else sanely)(request)


def _redirect_elsewhere(request: Request) -> None:
    other = request.server.other
    request.give(307, b"", {"Location": f"http://localhost:{other.server_port}{request.path}"})


def _forget(request: Request) -> None:
    status, body = request.taken()
    if request.path.endswith("/runs/update"):
        request.server.kept.runs.clear()
    request.give(status, body)


def _delete_the_experiment(request: Request) -> None:
    for experiment in request.server.kept.experiments.values():
        experiment["lifecycle_stage"] = "deleted"
    sanely(request)


def _another_run(request: Request) -> None:
    kept = request.server.kept
    status, body = request.taken()
    if request.creates:
        first = next(iter(kept.runs))
        body = json.dumps(kept._runs_get({"run_id": first})).encode()
    request.give(status, body)


def _artifacts_at(place: str) -> Behaviour:
    def behave(request: Request) -> None:
        status, body = request.taken()
        where = place.format(folder=request.server.folder, port=request.server.other.server_port)
        request.give(status, re.sub(rb"mlflow-artifacts:/(?=[0-9])", where.encode(), body))

    return behave


def _echo(request: Request) -> None:
    """What it was sent as its own error, with a title for the terminal."""
    sent = "\x1b]0;owned\x07\n" + str(request.headers)
    request.give(400, json.dumps({"error_code": "INTERNAL_ERROR", "message": sent}).encode())


_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_DEEP = b'{"experiment":' * 10_000 + b"1" + b"}" * 10_000
_NUMBERS = b'{"experiment": {"experiment_id": 1e999, "last_update_time": %s}}' % (b"9" * 5_000)
_LATER = {"Retry-After": "600"}

# By what they do. Those that come first end within a moment.
KINDS: dict[str, Behaviour] = {
    "closes when a new run is taken": _at("/runs/create", _close_when_taken),
    "answers with another run": _another_run,
    "forgets what it took": _forget,
    "artifacts go to a folder of this machine": _artifacts_at("file://{folder}/"),
    "redirects to another host": _redirect_elsewhere,
    "echoes what it is sent": _echo,
    "says to come again in 600 s (429)": _always(429, b"", _LATER),
    "answers with 10,000 levels": _always(200, _DEEP),
    "artifacts go to another host": _artifacts_at("mlflow-artifacts://localhost:{port}/"),
    "closes before a new run is taken": _at("/runs/create", _close),
    "closes when a batch is taken": _at("/log-batch", _close_when_taken),
    "closes when an upload is taken": _at("/artifacts/", _close_when_taken),
    "breaks its answers off": _break_off,
    "breaks the answer to a new run off": _at("/runs/create", _break_off),
    "closes": _close,
    "resets": lambda request: request.reset(),
    "says to come again in 600 s (503)": _always(503, b"", _LATER),
    "fails each time": _always(500),
    "fails every second time": _every_second,
    "fails at the end of a run": _at("/runs/update", _always(500)),
    "knows nobody": _always(401),
    "forbids": _always(403, b"Invalid Host header"),
    "has no such page": _always(404, b"<html>not here</html>"),
    "redirects in a circle": _always(
        307, b"", {"Location": "/api/2.0/mlflow/experiments/get-by-name"}
    ),
    "redirects to a file": _always(302, b"", {"Location": "file:///etc/passwd"}),
    "answers with a page": _always(200, b"<html>welcome</html>"),
    "answers with nothing": _always(200),
    "answers with half of JSON": _always(200, b'{"experiment": {'),
    "answers with a list": _always(200, b"[]"),
    "answers with other types": _always(200, b'{"experiment": [7], "run": "x", "runs": {}}'),
    "answers with numbers that are none": _always(200, _NUMBERS),
    "answers with bytes": _always(200, bytes(range(256))),
    "speaks TLS": _raw(b"\x15\x03\x03\x00\x02\x02\x28"),
    "speaks HTTP/0.9": _raw(b"<html>good day</html>"),
    "says a status that is none": _raw(b"HTTP/1.1 999999999999 \r\n\r\n"),
    "the experiment is always deleted": _delete_the_experiment,
    "answers with a bomb": _always(
        200, gzip.compress(bytes(2**24)) * 200, {"Content-Encoding": "gzip"}
    ),
    "never ends its answer": _raw(_OK + b"\r\n", b" " * 2**20, forever=True),
    "never ends its headers": _raw(_OK, b"X: y\r\n", forever=True),
    "never ends to say 100": _raw(b"HTTP/1.1 100 Continue\r\n\r\n", forever=True),
    "drips its headers": _raw(_OK, b"x", pause=0.1, forever=True),
    "drips its answer": _raw(_OK + b"Content-Length: 99999\r\n\r\n", b" ", pause=0.1, forever=True),
    "drips the answer to a new run": _at(
        "/runs/create", _raw(_OK + b"Content-Length: 99999\r\n\r\n", b" ", pause=0.1, forever=True)
    ),
    "never answers": _never,
    "never takes an upload": _at("/artifacts/", _never),
}
CLOSED = {"refuses": lambda server: None, "never accepts": Server.crowd}  # before they are open


@dataclass(frozen=True)
class Prepared:
    """A home with a recorded run, and what a server keeps of it that does as it should."""

    settings: Settings
    kept: dict[str, Content]


def prepare(folder: Path) -> Prepared:
    """Record a run, the smallest there is, and send it."""
    settings = replace(Settings.from_environment(), home=folder / "home", tracking_uri="none")
    environment = {"SSBREPRO_HOME": str(settings.home), "MLFLOW_TRACKING_URI": "none"}
    command = [sys.executable, "-m", "repro", "run", "ssb2018/fig1", "--profile", "smoke"]
    subprocess.run(command, env=os.environ | environment, check=True, capture_output=True)
    with _opened(sanely, folder) as server:
        _send(replace(settings, tracking_uri=server.address))
        for path in settings.home.rglob(TRACKED):
            path.unlink()
        return Prepared(settings, server.kept.rows())


def attempt(prepared: object, one: Trial) -> str | None:
    """Have a run tracked by a server of the next kind, and once more when the server has recovered."""
    assert isinstance(prepared, Prepared)
    names = [*KINDS, *CLOSED]
    name = names[one.number % len(names)]
    home, theirs = one.folder / "home", one.folder / "theirs"
    shutil.copytree(prepared.settings.home, home)
    theirs.mkdir()
    with _opened(sanely, theirs) as other, _server(name, theirs, other) as server:
        address = server.address.replace("//", f"//bob:{PASSWORD}@")
        settings = replace(prepared.settings, home=home, tracking_uri=address)
        (run,) = all_runs(settings)
        before = _content(run.folder)
        said = io.StringIO()
        err = Console(file=said, width=200)
        runner = Runner(settings, InlineEngine(), err, err)
        begun = time.monotonic()
        with contextlib.closing(Sender(settings, err.print, _LIMIT)) as runner.sender:
            runner.track(run)
        took = time.monotonic() - begun
        faults = [
            *_faults_of(said.getvalue(), server.address, (run.folder / TRACKED).exists()),
            *([f"it took {took:.1f} s"] if took > _LIMIT + _START else []),
            *([f"it was sent elsewhere: {other.asked[0]}"] if other.asked else []),
            *([f"it wrote {path}" for path in theirs.iterdir()]),
            *(["the record changed"] if _content(run.folder) != before else []),
        ]
        if resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 > _MAX_MEMORY_BYTES:
            faults.append("it took too much memory")
        server.ended.set()
        server.behaviour = sanely
        server.open()
        _send(settings)
        if server.kept.rows() != prepared.kept:
            faults.append("what is kept in the end is not what a run is")
    return f"{name}: {'; '.join(faults)}" if faults else None


def _faults_of(said: str, address: str, sent: bool) -> Iterator[str]:
    """What is wrong with what was said."""
    if sent == bool(said):
        yield f"it was {'sent' if sent else 'not sent'}, and said: {said!r}"
    if said and not (said.startswith(f"MLflow at {address}: ") and len(said.splitlines()) == 2):
        yield f"it said {said!r}"
    secrets = PASSWORD, b64encode(f"bob:{PASSWORD}".encode()).decode()
    if any(secret in said for secret in secrets) or not said.replace("\n", "").isprintable():
        yield f"it said what nobody may see: {said!r}"


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != TRACKED}


def _send(settings: Settings) -> None:
    """As ``repro track`` does, in this process, where MLflow is imported once."""
    for run in all_runs(settings):
        track(run, settings, lambda run, known=None: send(run, settings, print, known), False)


@contextlib.contextmanager
def _server(name: str, folder: Path, other: Server) -> Iterator[Server]:
    server = Server(KINDS.get(name, sanely), folder, other)
    with contextlib.closing(server):
        CLOSED.get(name, Server.open)(server)
        yield server


@contextlib.contextmanager
def _opened(behaviour: Behaviour, folder: Path) -> Iterator[Server]:
    with contextlib.closing(Server(behaviour, folder)) as server:
        server.open()
        yield server


ATTACKS = (
    Attack(
        "tracking",
        "what is sent to MLflow",
        tries=len(KINDS) + len(CLOSED),
        quick=6,
        prepare=prepare,
        attempt=attempt,
    ),
)
