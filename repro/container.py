"""Running `repro` inside its image, through the Docker SDK: the only module that knows Docker.

What the container gets of the host is three folders and, where the engine has them, the GPUs; it
runs as the caller, without capabilities, and reaches no network unless it reports to an MLflow
server; and it has limits (`SSBREPRO_MEMORY`, `SSBREPRO_CPUS`), as in docker-compose.yml. It is
removed whatever happens: at the end of the run, on an error, after a signal; and where this process
itself was killed, at the start of the next run.
"""

import codecs
import os
import queue
import re
import shutil
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from docker.models.containers import Container
from docker.types import CancellableStream, DeviceRequest, Mount
from requests.exceptions import RequestException

from repro import signals
from repro.errors import ContainerError, UsageError
from repro.machine import MORE_MEMORY
from repro.owner import is_gone, this_process

RUN_LABEL = "ssbrepro.run"
OWNER_LABEL = "ssbrepro.owner"

_HOME = "/state"
_DATA = "/state/data"
_MANIFESTS = "/opt/ssbrepro/manifests"

_MEMORY = "16g"
"""What a step of the profile `paper` needs: a basis of 6 GB, and as much again."""
_MAX_PROCESSES = 4096
"""And threads: no fork bomb, but eight of each of 512 steps side by side."""

_SIGNAL_GRACE = 20.0
"""Seconds a run gets to save its place after a signal, before it is killed."""
_LOOK_SECONDS = 0.5
"""Seconds between looks at signals: one that comes just before a wait begins does not end it."""
_STOP_GRACE = 10
"""Seconds it gets when this process fails and nobody asked it to stop."""
_OUTPUT_GRACE = 5.0
"""Seconds the last output gets to arrive once the container has ended."""

_KILLED = 128 + signal.SIGKILL
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ENGINE_FAILURES = (DockerException, RequestException)


def run_in_container(
    arguments: Sequence[str],
    *,
    image: str,
    home: Path,
    manifests: Path,
    data: Path,
    environment: Mapping[str, str],
    output: IO[str] | None = None,
) -> int:
    """Run ``repro <arguments>`` in the image and return its exit status.

    Paths in ``arguments`` are the container's: ``home`` is ``/state`` there, and nothing else of
    the host can be written. ``data`` can be written only if it lies in ``home``: a folder of data
    that the user named elsewhere may be shared, and a run has no business changing it.

    SIGINT, SIGTERM and SIGHUP go to the container, which saves its place and ends with 128 + the
    signal's number.

    Args:
        arguments: What follows ``repro`` on the command line.
        image: Name or id of the image; the container is made from the id it has now.
        home: The host's SSBREPRO_HOME; created if missing.
        manifests: The folder of manifests, mounted read-only.
        data: The host's SSBREPRO_DATA; created if missing.
        environment: Variables for the run. Those that name folders are set here.
        output: Where the container's output goes as it comes; standard output by default.

    Raises:
        ContainerError: If there is no engine or no such image, if the engine refuses or fails, or
            if the container was killed for want of memory.
        UsageError: If a variable with a limit makes no sense.
    """
    limits = _limits()
    client = _connect()
    try:
        with _in_plain_words():
            remove_orphans(client)
            options = _options(client, arguments, image, home, manifests, data, environment)
            return _run(client, options | limits, output or sys.stdout)
    finally:
        client.close()


def reachable() -> str | None:
    """The engine in a few words, or None if none answers."""
    try:
        client = _connect()
    except ContainerError:
        return None
    try:
        version = client.version()
        gpus = "with GPUs" if _gpu_requests(client.info()) else "without GPUs"
        return f"Docker {version['Version']}, {version['Os']}/{version['Arch']}, {gpus}"
    except _ENGINE_FAILURES:
        return None
    finally:
        client.close()


def remove_orphans(client: docker.DockerClient) -> None:
    """Remove the containers of runs on this machine whose process is gone.

    A process that is killed outright cannot clean up; what it left computes on, holding locks.
    """
    for container in client.containers.list(
        all=True, filters={"label": RUN_LABEL}, ignore_removed=True
    ):
        if is_gone(container.labels.get(OWNER_LABEL, "")):
            _remove(container)


# --- what the container is given ---------------------------------------------------------------


def _options(
    client: docker.DockerClient,
    arguments: Sequence[str],
    image: str,
    home: Path,
    manifests: Path,
    data: Path,
    environment: Mapping[str, str],
) -> dict[str, Any]:
    digest = _digest(client, image)
    info = client.info()
    return {
        "image": digest,
        "command": list(arguments),
        "environment": {
            **environment,
            "SSBREPRO_HOME": _HOME,
            "SSBREPRO_DATA": _DATA,
            "SSBREPRO_MANIFESTS": _MANIFESTS,
            "SSBREPRO_IMAGE": digest,
        },
        "labels": {RUN_LABEL: str(uuid.uuid4()), OWNER_LABEL: this_process()},
        "mounts": _mounts(home, manifests, data),
        "user": _user(info),
        "device_requests": _gpu_requests(info),
        "network_mode": _network(environment.get("MLFLOW_TRACKING_URI", "")),
        "init": True,
        "read_only": True,
        "tmpfs": {"/tmp": "mode=1777"},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }


def _limits() -> dict[str, str | int]:
    memory = os.environ.get("SSBREPRO_MEMORY") or _MEMORY
    cores = os.environ.get("SSBREPRO_CPUS") or "0"  # all of them
    if not re.fullmatch(r"\d{1,9}[bkmgt]?", memory, re.ASCII | re.IGNORECASE):
        raise UsageError(f"SSBREPRO_MEMORY={memory}: it is a size, such as 8g, or 0 for no limit")
    if not re.fullmatch(r"\d{1,5}(\.\d+)?", cores, re.ASCII):
        raise UsageError(f"SSBREPRO_CPUS={cores}: it is a number of cores, such as 2 or 1.5")
    return {
        "mem_limit": memory,
        "memswap_limit": memory,  # no swap besides: what is out of memory ends, and slows nothing down
        "nano_cpus": round(float(cores) * 1e9),
        "pids_limit": _MAX_PROCESSES,
    }


def _digest(client: docker.DockerClient, image: str) -> str:
    try:
        return str(client.images.get(image).id)
    except ImageNotFound:
        raise ContainerError(f"there is no image {image} here; `make image` builds it") from None


def _mounts(home: Path, manifests: Path, data: Path) -> list[Mount]:
    home, manifests, data = home.resolve(), manifests.resolve(), data.resolve()
    if not manifests.is_dir():
        raise ContainerError(f"no manifests: {manifests} is not a folder")
    # What is missing the engine would make itself, and as root: the folders, and the place in home
    # where data is mounted.
    for folder in (home, data, home / "data"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ContainerError(f"cannot create {folder}: {error.strerror}") from error
    return [
        Mount(_HOME, str(home), type="bind"),
        Mount(_DATA, str(data), type="bind", read_only=not data.is_relative_to(home)),
        Mount(_MANIFESTS, str(manifests), type="bind", read_only=True),
    ]


def _user(info: Mapping[str, Any]) -> str:
    """The caller. A rootless engine runs in the caller's name, who is root in its containers."""
    if "name=rootless" in (info.get("SecurityOptions") or ()):
        return "0:0"
    return f"{os.getuid()}:{os.getgid()}"


def _gpu_requests(info: Mapping[str, Any]) -> list[DeviceRequest]:
    """All GPUs, in the way in which this engine hands them out; nothing if it has none."""
    if "nvidia" in (info.get("Runtimes") or {}):
        return [DeviceRequest(count=-1, capabilities=[["gpu"]])]
    devices = [device.get("ID") for device in info.get("DiscoveredDevices") or ()]
    if "nvidia.com/gpu=all" in devices:
        return [DeviceRequest(driver="cdi", device_ids=["nvidia.com/gpu=all"])]
    return []


def _network(tracking_uri: str) -> str:
    """None, unless results go to a server; the host's own if that listens on the host alone."""
    address = urlsplit(tracking_uri)
    if address.scheme not in ("http", "https"):
        return "none"
    return "host" if address.hostname in _LOOPBACK else "bridge"


# --- its life ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ended:
    status: int


@dataclass(frozen=True)
class _Signalled:
    number: int


@dataclass(frozen=True)
class _Failed:
    error: Exception


_Events = queue.SimpleQueue[_Ended | _Signalled | _Failed]


def _run(client: docker.DockerClient, options: Mapping[str, Any], output: IO[str]) -> int:
    events: _Events = queue.SimpleQueue()
    terminal = output.isatty()
    with _signals_put_into(events):
        container = client.containers.create(**options, tty=terminal)
        try:
            # Attached before it starts, so that nothing is missed. Not its logs: the engine holds
            # those back to the end of the line, and a progress bar has none.
            chunks = container.attach(stream=True, logs=False)
            copying = _start_thread(lambda: _copy(chunks, output), events)
            container.start()
            if terminal:
                _fit_terminal(container)
            _start_thread(lambda: events.put(_Ended(_wait(container))), events)
            status = _supervise(container, events)
            copying.join(_OUTPUT_GRACE)
            _hang_up(chunks)
            _check_memory(container, status)
            return status
        finally:
            _remove(container)


def _supervise(container: Container, events: _Events) -> int:
    """Pass signals on until the container ends; its exit status, or 128 + the signal's number."""
    deadline: float | None = None
    number = 0
    while True:
        try:
            event = events.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            if deadline is not None and time.monotonic() >= deadline:
                container.kill()
                return 128 + number
            continue
        if isinstance(event, _Ended):
            return event.status
        if isinstance(event, _Failed):
            raise event.error
        number = event.number
        deadline = deadline or time.monotonic() + _SIGNAL_GRACE
        with suppress(APIError):  # it may have ended this moment
            container.kill(signal=number)


@contextmanager
def _signals_put_into(events: _Events) -> Iterator[None]:
    """Turn signals that end a command into events; as before afterwards. Only a main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {
        number: signal.signal(number, lambda number, _: events.put(_Signalled(number)))
        for number in signals.ending()
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _start_thread(work: Callable[[], None], events: _Events) -> threading.Thread:
    """Do it beside the main thread, which stays free for signals and is told of a failure."""

    def run() -> None:
        try:
            work()
        except (OSError, ValueError, *_ENGINE_FAILURES) as error:
            events.put(_Failed(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def _copy(chunks: Iterable[bytes], output: IO[str]) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for chunk in chunks:
        output.write(decoder.decode(chunk))
        output.flush()


def _hang_up(chunks: "CancellableStream[bytes]") -> None:
    """Close the connection; the SDK's own close leaves its socket to the garbage collector."""
    with suppress(OSError, DockerException):  # the engine may have hung up before
        chunks.close()
    if (response := getattr(chunks, "_response", None)) is not None:
        response.close()


def _wait(container: Container) -> int:
    return int(container.wait()["StatusCode"])


def _fit_terminal(container: Container) -> None:
    size = shutil.get_terminal_size()
    with suppress(APIError):  # a run may be over at once
        container.resize(size.lines, size.columns)


def _check_memory(container: Container, status: int) -> None:
    if status != _KILLED:
        return
    container.reload()
    if container.attrs["State"].get("OOMKilled"):
        raise ContainerError(
            f"the container was killed because it ran out of memory ({MORE_MEMORY})"
        )


def _remove(container: Container) -> None:
    """Stop and remove it; what an engine that has gone keeps, the next run removes."""
    with suppress(*_ENGINE_FAILURES):
        container.stop(timeout=_STOP_GRACE)
    with suppress(*_ENGINE_FAILURES):
        container.remove(force=True, v=True)


# --- the engine --------------------------------------------------------------------------------


def _connect() -> docker.DockerClient:
    address = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        _knock(address)
        return docker.from_env()
    except (OSError, *_ENGINE_FAILURES) as error:
        reason = getattr(error, "strerror", None) or _first_line(error)
        raise ContainerError(
            f"no Docker engine answers at {address} ({reason}); DOCKER_HOST names another, "
            "and `repro run` without --container needs none"
        ) from error


def _knock(address: str) -> None:
    """Fail with the system's own reason; the SDK wraps it threefold and leaks the socket."""
    if address.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(5)
            knocking.connect(address.removeprefix("unix://"))


@contextmanager
def _in_plain_words() -> Iterator[None]:
    """Raise what Docker reports as one line.

    Raises:
        ContainerError: In place of the SDK's and its transport's own errors.
    """
    try:
        yield
    except APIError as error:
        raise ContainerError(f"Docker: {_first_line(error.explanation or error)}") from error
    except _ENGINE_FAILURES as error:
        raise ContainerError(f"Docker no longer answers: {_first_line(error)}") from error


def _first_line(message: object) -> str:
    return str(message).strip().partition("\n")[0]
