"""MLflow as `repro ui` and docker-compose.yml start it: no page of another site gets at it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import Workplace, until
from tests.fakes import CHECKOUT, copy_manifests

EVIL = "http://evil.example"


def start_ui(folder: Path, port: int) -> "subprocess.Popen[str]":
    place = Workplace(folder / "home", copy_manifests(folder / "manifests"), folder / "data")
    # Of another server on this machine, whose pages anybody may use.
    place.environment = {
        "MLFLOW_TRACKING_URI": "",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "*",
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "true",
    }
    return place.start("ui", "--port", str(port))


def start_as_compose(folder: Path, port: int) -> "subprocess.Popen[str]":
    """What the container runs, without it."""
    service = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]["mlflow"]
    ours = {
        "--backend-store-uri": f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination": str(folder / "artifacts"),
        "--host": "127.0.0.1",
        "--port": str(port),
    }
    asked = dict(one.partition("=")[::2] for one in service["command"])
    command = [f"{name}={value}" if value else name for name, value in (asked | ours).items()]
    environment = {
        name: re.sub(r"\$\{.*?\}", "", value) for name, value in service["environment"].items()
    }
    return subprocess.Popen(
        [sys.executable, "-m", *service["entrypoint"], *command],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        cwd=folder,
    )


def ask(port: int, name: str, body: str, **headers: str) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/{name}",
        data=body.encode(),
        headers={"Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def listening(port: int) -> set[str]:
    """The addresses that anything on this machine listens on at a port, in the kernel's writing."""
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path("/proc/net", name).read_text().splitlines()[1:]
    ]
    own = [fields[1].split(":") for fields in lines if fields[3] == "0A"]
    return {address for address, number in own if int(number, 16) == port}


@pytest.mark.slow
@pytest.mark.parametrize("start", [start_ui, start_as_compose])
def test_no_page_of_another_site_reads_or_changes_anything(
    tmp_path: Path, start: Callable[[Path, int], "subprocess.Popen[str]"]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start(tmp_path, port)

    def answers() -> bool:
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(OSError):
            return ask(port, "search", '{"max_results": 1}') == 200
        return False

    try:
        until(answers, "MLflow answers")
        # A name that its owner has pointed at this machine.
        assert ask(port, "search", '{"max_results": 1}', Host=f"evil.example:{port}") == 403
        assert ask(port, "search", '{"max_results": 1}', Host=f"localhost:{port}") == 200
        # A page that sends what a browser lets any page send.
        for kind in ("application/json", "text/plain"):
            named = {"Content-Type": kind, "Origin": EVIL}
            assert ask(port, "create", '{"name": "theirs"}', **named) == 403
            assert ask(port, "create", '{"name": "theirs"}', **named | {"Origin": "null"}) == 403
        assert ask(port, "create", '{"name": "theirs"}') == 200  # which it was not yet
        assert listening(port) == {"0100007F"}
        surroundings = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        assert b"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false" in surroundings
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
