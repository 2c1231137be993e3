"""`repro.container` with a Docker client of our own; marked `container`, with a real engine."""

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest
from docker.errors import APIError, DockerException, ImageNotFound

from repro import container
from repro.container import OWNER_LABEL, RUN_LABEL, reachable, run_in_container
from repro.errors import ContainerError, UsageError
from repro.owner import this_process

DIGEST = "sha256:" + "7" * 64
ANOTHER_MACHINE = "no-such-machine:1:1"


# --- without an engine -------------------------------------------------------------------------


class Stream:
    """What attaching gives: chunks, and a way to give up on them."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)

    def close(self) -> None:
        pass


class FakeContainer:
    """Ends at once with ``status``; with ``obeys``, when it gets a signal."""

    def __init__(
        self,
        status: int = 0,
        output: Sequence[bytes] = (),
        oom: bool = False,
        obeys: bool | None = None,
        owner: str = ANOTHER_MACHINE,
    ) -> None:
        self.status = status
        self.output = output
        self.obeys = obeys
        self.labels = {OWNER_LABEL: owner}
        self.attrs = {"State": {"OOMKilled": oom}}
        self.received: list[int | None] = []
        self.calls: list[str] = []
        self.started = threading.Event()
        self.ended = threading.Event()

    def attach(self, **_: Any) -> Stream:
        self.calls.append("attach")
        return Stream(self.output)

    def start(self) -> None:
        self.calls.append("start")
        self.started.set()
        if self.obeys is None:
            self.ended.set()

    def wait(self) -> dict[str, int]:
        assert self.ended.wait(30)
        return {"StatusCode": self.status}

    def kill(self, signal: int | None = None) -> None:
        self.received.append(signal)
        if signal is None:
            self.ended.set()
        elif self.obeys:
            self.status = 128 + signal
            self.ended.set()

    def reload(self) -> None:
        pass

    def stop(self, timeout: float) -> None:
        self.calls.append("stop")
        self.ended.set()

    def remove(self, force: bool, v: bool) -> None:
        assert force
        assert v
        self.calls.append("remove")


class FakeClient:
    def __init__(self) -> None:
        self.container = FakeContainer()
        self.others: list[FakeContainer] = []
        self.engine: dict[str, Any] = {"Runtimes": {"runc": {}}}
        self.created: dict[str, Any] = {}
        self.closed = False
        self.images = SimpleNamespace(get=self._image)
        self.containers = SimpleNamespace(create=self._create, list=self._list)

    def _image(self, name: str) -> Any:
        if name != "ssbrepro:0.1.0":
            raise ImageNotFound(f"No such image: {name}")
        return SimpleNamespace(id=DIGEST)

    def _create(self, **options: Any) -> FakeContainer:
        self.created = options
        return self.container

    def _list(self, **query: Any) -> list[FakeContainer]:
        assert query == {"all": True, "filters": {"label": RUN_LABEL}, "ignore_removed": True}
        return self.others

    def info(self) -> dict[str, Any]:
        return self.engine

    def version(self) -> dict[str, str]:
        return {"Version": "28.0.1", "Os": "linux", "Arch": "amd64"}

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    fake = FakeClient()
    monkeypatch.setattr(docker, "from_env", lambda: fake)
    monkeypatch.setattr(container, "_knock", lambda address: None)
    return fake


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "manifests").mkdir()
    home = tmp_path / "home"
    return {"home": home, "data": home / "data", "manifests": tmp_path / "manifests"}


def run(
    folders: dict[str, Path],
    *arguments: str,
    image: str = "ssbrepro:0.1.0",
    environment: dict[str, str] | None = None,
) -> tuple[int, str]:
    output = io.StringIO()
    status = run_in_container(
        arguments, image=image, environment=environment or {}, output=output, **folders
    )
    return status, output.getvalue()


@pytest.mark.parametrize("status", [0, 1, 2, 3, 137])
def test_returns_the_status_of_the_container(
    client: FakeClient, folders: dict[str, Path], status: int
) -> None:
    client.container.status = status
    assert run(folders, "run", "fig8a") == (status, "")
    assert client.created["command"] == ["run", "fig8a"]
    assert client.container.calls == ["attach", "start", "stop", "remove"]
    assert client.closed


def test_output_comes_through_also_when_a_character_is_cut_in_two(
    client: FakeClient, folders: dict[str, Path]
) -> None:
    client.container.output = ["λ = ".encode(), b"\xe2\x89", b"\x88 2\n", b"\xff"]
    assert run(folders)[1] == "λ = ≈ 2\n\N{REPLACEMENT CHARACTER}"


def test_the_image_is_pinned_and_the_run_told_its_digest(
    client: FakeClient, folders: dict[str, Path]
) -> None:
    run(folders, environment={"OMP_NUM_THREADS": "2", "SSBREPRO_HOME": "/home/me/.ssbrepro"})
    assert client.created["image"] == DIGEST
    assert client.created["environment"] == {
        "OMP_NUM_THREADS": "2",
        "SSBREPRO_HOME": "/state",
        "SSBREPRO_DATA": "/state/data",
        "SSBREPRO_MANIFESTS": "/opt/ssbrepro/manifests",
        "SSBREPRO_IMAGE": DIGEST,
    }


def test_the_container_is_locked_down(client: FakeClient, folders: dict[str, Path]) -> None:
    run(folders)
    created = client.created
    assert created["user"] == f"{os.getuid()}:{os.getgid()}"
    assert created["read_only"] is True
    assert created["cap_drop"] == ["ALL"]
    assert created["security_opt"] == ["no-new-privileges:true"]
    assert created["init"] is True
    assert created["tmpfs"] == {"/tmp": "mode=1777"}
    assert created["pids_limit"] == 4096
    assert created["network_mode"] == "none"
    assert "docker.sock" not in str(created)
    assert set(created["labels"]) == {RUN_LABEL, OWNER_LABEL}


@pytest.mark.parametrize(
    ("memory", "cores", "limits"),
    [("", "", ("16g", "16g", 0)), ("800M", "1.5", ("800M", "800M", 1_500_000_000))],
)
def test_memory_and_cores_are_limited_as_variables_say(
    client: FakeClient,
    folders: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    memory: str,
    cores: str,
    limits: tuple[str, str, int],
) -> None:
    monkeypatch.setenv("SSBREPRO_MEMORY", memory)
    monkeypatch.setenv("SSBREPRO_CPUS", cores)
    run(folders)
    names = ("mem_limit", "memswap_limit", "nano_cpus")
    assert tuple(client.created[name] for name in names) == limits


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SSBREPRO_MEMORY", "much", "it is a size, such as 8g, or 0 for no limit"),
        ("SSBREPRO_MEMORY", "-1", "it is a size, such as 8g, or 0 for no limit"),
        ("SSBREPRO_CPUS", "nan", "it is a number of cores, such as 2 or 1.5"),
        ("SSBREPRO_CPUS", "-1", "it is a number of cores, such as 2 or 1.5"),
    ],
)
def test_limits_that_make_no_sense_are_wrong_use(
    client: FakeClient,
    folders: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    message: str,
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError) as caught:
        run(folders)
    assert str(caught.value) == f"{variable}={value}: {message}"


def test_a_rootless_engine_maps_the_caller_to_root(
    client: FakeClient, folders: dict[str, Path]
) -> None:
    client.engine["SecurityOptions"] = ["name=seccomp,profile=builtin", "name=rootless"]
    run(folders)
    assert client.created["user"] == "0:0"


@pytest.mark.parametrize(
    ("uri", "network"),
    [
        ("", "none"),
        ("sqlite:////state/mlflow.db", "none"),
        ("http://mlflow.lab.example:5000", "bridge"),
        ("https://10.0.0.3", "bridge"),
        ("http://localhost:5000", "host"),
        ("http://127.0.0.1:5000", "host"),
        ("http://[::1]:5000", "host"),
    ],
)
def test_network_only_to_reach_a_tracking_server(
    client: FakeClient, folders: dict[str, Path], uri: str, network: str
) -> None:
    run(folders, environment={"MLFLOW_TRACKING_URI": uri})
    assert client.created["network_mode"] == network


def test_mounts_data_in_home_writable(client: FakeClient, folders: dict[str, Path]) -> None:
    run(folders)
    mounts = {
        m["Target"]: (m["Type"], m["Source"], m["ReadOnly"]) for m in client.created["mounts"]
    }
    assert mounts == {
        "/state": ("bind", str(folders["home"]), False),
        "/state/data": ("bind", str(folders["data"]), False),
        "/opt/ssbrepro/manifests": ("bind", str(folders["manifests"]), True),
    }


def test_mounts_data_elsewhere_read_only_and_makes_its_place_as_the_caller(
    client: FakeClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    folders["data"] = tmp_path / "shared"
    run(folders)
    mounts = {m["Target"]: (m["Source"], m["ReadOnly"]) for m in client.created["mounts"]}
    assert mounts["/state/data"] == (str(tmp_path / "shared"), True)
    assert (folders["home"] / "data").is_dir()


def test_a_home_that_cannot_be_made_is_named(
    client: FakeClient, folders: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    folders["home"] = tmp_path / "file" / "home"
    with pytest.raises(ContainerError, match=r"cannot create .*file/home: Not a directory"):
        run(folders)


def test_missing_manifests_are_named(client: FakeClient, folders: dict[str, Path]) -> None:
    folders["manifests"].rmdir()
    with pytest.raises(ContainerError, match=r"no manifests: .*/manifests is not a folder"):
        run(folders)


@pytest.mark.parametrize(
    ("engine", "request_"),
    [
        ({}, None),
        ({"Runtimes": None, "DiscoveredDevices": None}, None),
        ({"Runtimes": {"runc": {}, "io.containerd.runc.v2": {}}}, None),
        (
            {"Runtimes": {"runc": {}, "nvidia": {}}},
            {"Driver": "", "Count": -1, "DeviceIDs": [], "Capabilities": [["gpu"]]},
        ),
        (
            {"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}]},
            {"Driver": "cdi", "Count": 0, "DeviceIDs": ["nvidia.com/gpu=all"], "Capabilities": []},
        ),
    ],
)
def test_gpus_are_asked_for_only_where_the_engine_has_them(
    client: FakeClient,
    folders: dict[str, Path],
    engine: dict[str, Any],
    request_: dict[str, Any] | None,
) -> None:
    client.engine = engine
    run(folders)
    requests = [
        {k: v for k, v in r.items() if k != "Options"} for r in client.created["device_requests"]
    ]
    assert requests == ([] if request_ is None else [request_])


def test_without_an_engine_says_so(
    monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path], tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(ContainerError) as caught:
        run(folders)
    assert str(caught.value) == (
        f"no Docker engine answers at unix://{tmp_path}/none.sock (No such file or directory); "
        "DOCKER_HOST names another, and `repro run` without --container needs none"
    )
    assert caught.value.exit_status == 3
    assert reachable() is None


def test_an_engine_that_answers_nonsense_is_no_engine(
    monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]
) -> None:
    def from_env() -> None:
        raise DockerException("Error while fetching server API version: 502\nBad Gateway")

    monkeypatch.setattr(container, "_knock", lambda address: None)
    monkeypatch.setattr(docker, "from_env", from_env)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    with pytest.raises(ContainerError, match=r"docker\.sock \(Error while fetching .*: 502\); "):
        run(folders)


def test_a_missing_image_is_named_with_the_command_that_makes_it(
    client: FakeClient, folders: dict[str, Path]
) -> None:
    with pytest.raises(ContainerError) as caught:
        run(folders, image="ssbrepro:9")
    assert str(caught.value) == "there is no image ssbrepro:9 here; `make image` builds it"
    assert client.closed


def test_out_of_memory_is_an_error_in_plain_words(
    client: FakeClient, folders: dict[str, Path]
) -> None:
    client.container = FakeContainer(status=137, oom=True)
    with pytest.raises(ContainerError, match=r"ran out of memory \(SSBREPRO_MEMORY=32g allows"):
        run(folders)
    assert client.container.calls[-1] == "remove"


def test_removed_when_it_cannot_start(
    client: FakeClient, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start() -> None:
        raise APIError("500 Server Error", explanation="could not select device driver\nhint")

    monkeypatch.setattr(client.container, "start", start)
    with pytest.raises(ContainerError, match=r"^Docker: could not select device driver$"):
        run(folders)
    assert client.container.calls == ["attach", "stop", "remove"]


def test_removed_when_the_engine_goes_away(
    client: FakeClient, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait() -> None:
        raise docker.errors.DockerException("Connection reset")

    monkeypatch.setattr(client.container, "wait", wait)
    with pytest.raises(ContainerError, match=r"^Docker no longer answers: Connection reset$"):
        run(folders)
    assert client.container.calls[-2:] == ["stop", "remove"]


def test_removed_when_the_output_breaks(client: FakeClient, folders: dict[str, Path]) -> None:
    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    client.container = FakeContainer(output=[b"text"], obeys=True)
    with pytest.raises(BrokenPipeError):
        run_in_container([], image="ssbrepro:0.1.0", environment={}, output=Broken(), **folders)
    assert client.container.calls[-2:] == ["stop", "remove"]


def send_when_started(fake: FakeContainer, *numbers: int) -> None:
    def send() -> None:
        assert fake.started.wait(30)
        for sent, number in enumerate(numbers, 1):
            os.kill(os.getpid(), number)
            while len(fake.received) < sent and not fake.ended.is_set():
                time.sleep(0.005)  # two that wait at once would be one

    threading.Thread(target=send, daemon=True).start()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_are_forwarded_and_handlers_put_back(
    client: FakeClient, folders: dict[str, Path], number: int, status: int
) -> None:
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    client.container = FakeContainer(obeys=True)
    send_when_started(client.container, number)
    assert run(folders)[0] == status
    assert client.container.received == [number]
    assert client.container.calls[-1] == "remove"
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_signal_is_seen_that_does_not_wake_the_main_thread(
    client: FakeClient, folders: dict[str, Path]
) -> None:
    client.container = FakeContainer(obeys=True)
    send_when_started(client.container, signal.SIGTERM)  # from a thread that takes it itself
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        assert run(folders)[0] == 143
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    assert client.container.received == [signal.SIGTERM]


def test_a_container_deaf_to_signals_is_killed(
    client: FakeClient, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "_SIGNAL_GRACE", 1.0)  # the second is sent within it
    client.container = FakeContainer(obeys=False)
    send_when_started(client.container, signal.SIGINT, signal.SIGINT)
    assert run(folders)[0] == 130
    assert client.container.received == [signal.SIGINT, signal.SIGINT, None]
    assert client.container.calls[-1] == "remove"


def test_works_beside_the_main_thread_where_handlers_cannot_be_set(
    client: FakeClient, folders: dict[str, Path]
) -> None:
    results: list[tuple[int, str]] = []
    thread = threading.Thread(target=lambda: results.append(run(folders)))
    thread.start()
    thread.join(30)
    assert results == [(0, "")]


def test_removes_what_killed_runs_left_and_nothing_else(
    client: FakeClient, folders: dict[str, Path]
) -> None:
    host, pid, start = this_process().split(":")
    gone = FakeContainer(owner=f"{host}:{pid}:{int(start) + 1}")
    running = FakeContainer(owner=f"{host}:{pid}:{start}")
    elsewhere = FakeContainer(owner=f"elsewhere:{pid}:1")
    strange = [FakeContainer(owner=owner) for owner in ("", host, f"{host}:{pid}:")]
    client.others = [gone, running, elsewhere, *strange]
    run(folders)
    assert gone.calls == ["stop", "remove"]
    assert not any(other.calls for other in client.others[1:])


def test_describes_the_engine(client: FakeClient) -> None:
    assert reachable() == "Docker 28.0.1, linux/amd64, without GPUs"
    client.engine = {"Runtimes": {"nvidia": {}}}
    assert reachable() == "Docker 28.0.1, linux/amd64, with GPUs"


# --- with an engine ----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def image() -> str:
    """The built image: missing, it fails the tests only where it was asked for."""
    asked = os.environ.get("SSBREPRO_IMAGE_TAG")
    tag = asked or "ssbrepro:0.1.0"
    problem = None
    if reachable() is None:
        problem = "no Docker engine"
    elif subprocess.run(["docker", "image", "inspect", tag], capture_output=True).returncode:
        problem = f"no image {tag}"
    if problem and asked:
        pytest.fail(problem)
    if problem:
        pytest.skip(problem)
    return tag


@pytest.fixture(scope="session")
def python(image: str) -> Iterator[str]:
    """The built image with Python itself as its entry point."""
    tag = f"ssbrepro-test:{uuid.uuid4().hex}"
    build = f'FROM {image}\nENTRYPOINT ["python", "-c"]\n'
    subprocess.run(
        ["docker", "build", "-q", "-t", tag, "-"], input=build.encode(), check=True, timeout=120
    )
    yield tag
    subprocess.run(["docker", "image", "rm", "-f", tag], check=True, capture_output=True)


def containers_of(image: str) -> str:
    command = ["docker", "ps", "-aq", "--filter", f"ancestor={image}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.container
def test_real_repro_lists_the_manifests(image: str, folders: dict[str, Path]) -> None:
    folders["manifests"] = Path(__file__).parents[2] / "manifests"
    status, output = run(folders, "list", image=image)
    assert status == 0, output
    assert "li2022/fig8a" in output
    assert containers_of(image) == ""


@pytest.mark.container
def test_real_wrong_use_is_status_2(image: str, folders: dict[str, Path]) -> None:
    assert run(folders, "run", "no-such-figure", image=image)[0] == 2


@pytest.mark.container
def test_real_container_is_the_caller_and_can_do_little(
    python: str, folders: dict[str, Path]
) -> None:
    (folders["manifests"] / "mark").write_text("manifest")
    status, output = run(
        folders,
        textwrap.dedent("""
            import os, pathlib, socket
            def writable(folder):
                try:
                    pathlib.Path(folder, "probe").write_text("x")
                    return True
                except OSError:
                    return False
            status = pathlib.Path("/proc/self/status").read_text().split()
            print(os.getuid(), os.getgid())
            print(*[status[status.index(name) + 1] for name in ("CapEff:", "NoNewPrivs:")])
            print([writable(f) for f in ("/state", "/state/data", "/tmp")])
            print([writable(f) for f in ("/", "/opt/ssbrepro/manifests", "/var/tmp", "/etc")])
            print([name for _, name in socket.if_nameindex()])
            print(pathlib.Path("/opt/ssbrepro/manifests/mark").read_text())
            print(os.environ["SSBREPRO_IMAGE"])
            raise SystemExit(7)
        """),
        image=python,
    )
    lines = output.splitlines()
    assert status == 7
    assert lines[0] == f"{os.getuid()} {os.getgid()}"
    assert lines[1] == "0000000000000000 1"
    assert lines[2] == "[True, True, True]"
    assert lines[3] == "[False, False, False, False]"
    assert lines[4] == "['lo']"
    assert lines[5] == "manifest"
    assert lines[6].startswith("sha256:")
    probe = folders["home"] / "probe"
    assert probe.stat().st_uid == os.getuid()
    assert containers_of(python) == ""


@pytest.mark.container
def test_real_limits_hold_and_what_needs_more_is_told_so(
    python: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSBREPRO_MEMORY", "256m")
    monkeypatch.setenv("SSBREPRO_CPUS", "1")
    script = textwrap.dedent("""
        from repro import machine
        print(machine.num_cores(), machine.available_memory() <= 256 * 2**20, machine.memory_kills())
    """)
    assert run(folders, script, image=python) == (0, "1 True 0\n")
    with pytest.raises(ContainerError, match=r"ran out of memory \(SSBREPRO_MEMORY=32g allows"):
        run(folders, "x = b'x' * 2**30", image=python)
    monkeypatch.delenv("SSBREPRO_MEMORY")
    forks = textwrap.dedent("""
        import threading
        wait = threading.Event()
        started = 0
        try:
            while started < 5000:
                threading.Thread(target=wait.wait, daemon=True).start()
                started += 1
        except RuntimeError as error:
            print(error)
        wait.set()
        print(started < 4096)
    """)
    assert run(folders, forks, image=python) == (0, "can't start new thread\nTrue\n")
    assert containers_of(python) == ""


class Announces(io.StringIO):
    """Sends this process a signal as soon as the container says it is ready."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        if "ready" in text:
            os.kill(os.getpid(), self.number)
        return super().write(text)


WAITS = """
import signal, sys, time
def end(number, _):
    print("saved", flush=True)
    sys.exit(128 + number)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, end)
print("ready", end="", flush=True)
time.sleep(60)
"""


@pytest.mark.container
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_real_signals_reach_the_program(
    python: str, folders: dict[str, Path], number: int, status: int
) -> None:
    output = Announces(number)
    begun = time.monotonic()
    assert status == run_in_container(
        [WAITS], image=python, environment={}, output=output, **folders
    )
    assert output.getvalue() == "readysaved\n"
    assert time.monotonic() - begun < 20
    assert containers_of(python) == ""


@pytest.mark.container
def test_real_orphan_is_removed_by_the_next_run(python: str, folders: dict[str, Path]) -> None:
    script = """
        import json, pathlib, sys
        from repro.container import run_in_container
        program, image, folders = json.loads(sys.argv[1])
        folders = {name: pathlib.Path(path) for name, path in folders.items()}
        run_in_container([program], image=image, environment={}, **folders)
    """
    names = {name: str(path) for name, path in folders.items()}
    command = [sys.executable, "-c", textwrap.dedent(script), json.dumps([WAITS, python, names])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.read(5) == b"ready"
        process.kill()
    assert containers_of(python) != ""
    assert run(folders, "print('next')", image=python) == (0, "next\n")
    assert containers_of(python) == ""


@pytest.mark.container
def test_real_silence_longer_than_the_clients_timeout(
    python: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long stage may print nothing for minutes; the SDK's timeout is for answers alone."""
    from_env = docker.from_env
    monkeypatch.setattr(docker, "from_env", lambda: from_env(timeout=3))
    script = "import time; print('a', flush=True); time.sleep(7); print('b')"
    assert run(folders, script, image=python) == (0, "a\nb\n")
