"""What docker-compose.yml promises: read as text, and, marked `container`, brought up for real."""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(params=["repro", "mlflow"])
def service(request: pytest.FixtureRequest, compose: dict[str, Any]) -> dict[str, Any]:
    return compose["services"][request.param]


def test_services_are_locked_down(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert service["tmpfs"] == ["/tmp:mode=1777"]
    assert not {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc"} & set(service)
    assert service.get("user", "1000:1000") != "0:0"


def test_services_share_one_image(compose: dict[str, Any]) -> None:
    repro, mlflow = compose["services"]["repro"], compose["services"]["mlflow"]
    assert repro["image"] == mlflow["image"] == "ssbrepro:${SSBREPRO_VERSION:-0.1.0}"
    assert repro["build"] == mlflow["build"]


def test_no_service_gets_the_engines_socket_or_folders_of_the_host(
    compose: dict[str, Any],
) -> None:
    assert "docker.sock" not in json.dumps(compose)
    volumes = [v for s in compose["services"].values() for v in s["volumes"]]
    assert sorted(volumes) == [
        "${SSBREPRO_DATA:-data}:/state/data",
        "mlflow:/mlflow",
        "state:/state",
    ]
    assert set(compose["volumes"]) == {"state", "data", "mlflow"}


def test_only_mlflow_listens_and_on_loopback_alone(compose: dict[str, Any]) -> None:
    assert "ports" not in compose["services"]["repro"]
    assert compose["services"]["mlflow"]["ports"] == ["127.0.0.1:${MLFLOW_PORT:-5000}:5000"]


def test_runs_report_to_mlflow_once_it_is_healthy(compose: dict[str, Any]) -> None:
    repro = compose["services"]["repro"]
    assert repro["environment"]["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert repro["depends_on"] == {"mlflow": {"condition": "service_healthy"}}
    assert repro["stop_grace_period"] == "30s"


def test_mlflow_is_one_process_that_answers_named_hosts_and_runs_nothing(
    compose: dict[str, Any],
) -> None:
    mlflow = compose["services"]["mlflow"]
    assert "--workers=1" in mlflow["command"]
    assert mlflow["environment"] == {
        "MLFLOW_SERVER_ALLOWED_HOSTS": "mlflow:5000,localhost:*,127.0.0.1:*",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def test_health_is_a_real_request_in_the_services_name(compose: dict[str, Any]) -> None:
    health = compose["services"]["mlflow"]["healthcheck"]
    program = health["test"][-1]
    assert health["test"][:-1] == ["CMD", "python", "-c"]
    assert "/api/2.0/mlflow/experiments/search" in program
    assert '"Host": "mlflow:5000"' in program
    compile(program, "healthcheck", "exec")


def test_only_the_gpu_file_asks_for_devices(compose: dict[str, Any]) -> None:
    assert not [s for s in compose["services"].values() if "deploy" in s or "gpus" in s]
    gpu = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text())
    device = {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    deploy = {"resources": {"reservations": {"devices": [device]}}}
    assert gpu == {"services": {"repro": {"deploy": deploy}}}


def run_compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "compose", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.container
@pytest.mark.skipif(
    not shutil.which("docker") or run_compose("version").returncode != 0,
    reason="needs docker compose (the command; no engine)",
)
@pytest.mark.parametrize("named", [True, False])
def test_compose_itself_accepts_both_files(tmp_path: Path, named: bool) -> None:
    files = ("-f", "docker-compose.yml", "-f", "docker-compose.gpu.yml")
    folder = str(tmp_path) if named else ""
    result = run_compose(*files, "config", "--format", "json", SSBREPRO_DATA=folder)
    assert result.returncode == 0, result.stderr
    services = json.loads(result.stdout)["services"]
    data = [v for v in services["repro"]["volumes"] if v["target"] == "/state/data"]
    mounted = [("bind", folder)] if named else [("volume", "data")]
    assert [(v["type"], v["source"]) for v in data] == mounted
    assert "deploy" not in services["mlflow"]


# --- with an engine ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """MLflow as compose runs it, with new volumes and a free port; its address on this machine."""
    project = ("-p", f"ssbrepro-test-{os.getpid()}")
    if run_compose("ls").returncode != 0:
        pytest.skip("no Docker engine")
    try:
        up = run_compose(
            *project, "up", "--detach", "--wait", "--no-build", "mlflow", MLFLOW_PORT="0"
        )
        assert up.returncode == 0, up.stderr
        yield "http://" + run_compose(*project, "port", "mlflow", "5000").stdout.strip()
    finally:
        run_compose(*project, "down", "--volumes", "--timeout", "5")


def ask(url: str, host: str | None = None) -> int:
    headers = {"Content-Type": "application/json"} | ({"Host": host} if host else {})
    request = urllib.request.Request(url, headers=headers)
    if "/api/" in url:
        request.data = b'{"max_results": 1}'
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.container
def test_real_server_answers_its_own_hosts_and_no_others(server: str) -> None:
    assert server.startswith("http://127.0.0.1:")
    api = server + "/api/2.0/mlflow/experiments/search"
    port = server.rpartition(":")[2]
    assert [ask(api), ask(api, "mlflow:5000"), ask(api, f"localhost:{port}")] == [200, 200, 200]
    assert [ask(api, "evil.example"), ask(api, "mlflow:80")] == [403, 403]
    assert ask(server + "/health", "evil.example") == 200
