"""What docker-compose.yml promises: read as text, and, marked `container`, brought up for real."""

import base64
import configparser
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from repro import container

ROOT = Path(__file__).parents[2]
SEARCH = "/api/2.0/mlflow/experiments/search"


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


def test_services_have_limits_of_which_a_runs_are_variables(compose: dict[str, Any]) -> None:
    names = ("mem_limit", "memswap_limit", "cpus", "pids_limit")
    limits = [[compose["services"][one][name] for name in names] for one in ("repro", "mlflow")]
    memory = f"${{SSBREPRO_MEMORY:-{container._MEMORY}}}"  # as with --container
    assert limits[0] == [memory, memory, "${SSBREPRO_CPUS:-0}", container._MAX_PROCESSES]
    assert limits[1] == ["2g", "2g", 1, 256]


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
    assert SEARCH in program
    assert '"Host": "mlflow:5000"' in program
    compile(program, "healthcheck", "exec")


def test_only_the_gpu_file_asks_for_devices(compose: dict[str, Any]) -> None:
    assert not [s for s in compose["services"].values() if "deploy" in s or "gpus" in s]
    gpu = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text())
    device = {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    deploy = {"resources": {"reservations": {"devices": [device]}}}
    assert gpu == {"services": {"repro": {"deploy": deploy}}}


def test_the_file_with_passwords_has_none_and_publishes_nothing(compose: dict[str, Any]) -> None:
    override = yaml.safe_load((ROOT / "docker-compose.auth.yml").read_text())
    services = override["services"]
    assert {name: set(one) for name, one in services.items()} == {
        "repro": {"environment"},
        "mlflow": {"entrypoint", "environment", "configs"},
    }
    mlflow = services["mlflow"]
    assert mlflow["entrypoint"] == [
        *compose["services"]["mlflow"]["entrypoint"],
        "--app-name=basic-auth",
    ]
    admin = "${MLFLOW_ADMIN_PASSWORD:?of MLflow's user admin}"
    assert mlflow["configs"] == [*override["configs"]] == ["mlflow-auth.ini"]
    settings = configparser.ConfigParser()
    settings.read(ROOT / override["configs"]["mlflow-auth.ini"]["file"])
    assert settings["mlflow"]["admin_username"] == "admin"
    assert settings["mlflow"]["database_uri"].startswith("sqlite:////mlflow/")  # the volume
    assert "admin_password" not in settings["mlflow"]
    assert services["repro"]["environment"] == {
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": admin,
    }
    assert mlflow["environment"]["MLFLOW_AUTH_ADMIN_PASSWORD"] == admin
    assert mlflow["environment"]["MLFLOW_FLASK_SERVER_SECRET_KEY"].startswith(
        "${MLFLOW_SECRET_KEY:?"
    )
    hosts = compose["services"]["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"]
    assert mlflow["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].startswith(
        hosts + "${MLFLOW_HOST:+"
    )


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

PASSWORD = "pass word: 'of' a $1 test"
AUTH = {
    "MLFLOW_ADMIN_PASSWORD": PASSWORD,
    "MLFLOW_SECRET_KEY": "any",
    "MLFLOW_HOST": "mlflow.lab.test",
}


@contextmanager
def up(*files: str, **environment: str) -> Iterator[str]:
    """MLflow as compose runs it, with new volumes and a free port; its address on this machine."""
    if run_compose("ls").returncode != 0:
        pytest.skip("no Docker engine")
    project = ["-p", f"ssbrepro-test-{os.getpid()}"]
    for name in ("docker-compose.yml", *files):
        project += ["-f", name]
    environment |= {"MLFLOW_PORT": "0"}
    try:
        started = run_compose(
            *project, "up", "--detach", "--wait", "--no-build", "mlflow", **environment
        )
        assert started.returncode == 0, started.stderr
        yield (
            "http://"
            + run_compose(*project, "port", "mlflow", "5000", **environment).stdout.strip()
        )
    finally:
        run_compose(*project, "down", "--volumes", "--timeout", "5", **environment)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with up() as address:
        yield address


def ask(url: str, body: bytes | None = b'{"max_results": 1}', **headers: str) -> int:
    """The status of the answer to a request: a POST, or a GET without ``body``."""
    sent = {"Content-Type": "application/json", **headers}
    try:
        request = urllib.request.Request(url, body, sent)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.container
def test_real_server_answers_its_own_hosts_and_no_others(server: str) -> None:
    assert server.startswith("http://127.0.0.1:")
    api = server + SEARCH
    port = server.rpartition(":")[2]
    hosts = (
        "mlflow:5000",
        f"localhost:{port}",
        "evil.example",
        f"evil.example:{port}",
        "mlflow:80",
    )
    assert [ask(api, Host=host) for host in hosts] == [200, 200, 403, 403, 403]
    assert [ask(server, None, Host=host) for host in hosts] == [200, 200, 403, 403, 403]
    assert ask(server + "/health", None, Host="evil.example") == 200


@pytest.mark.container
def test_real_server_takes_nothing_from_other_sites_pages(server: str) -> None:
    create = server + "/ajax-api/2.0/mlflow/experiments/create"
    assert ask(create, b'{"name": "own"}', Origin=server) == 200
    for number, origin in enumerate(
        ("http://evil.example", "null", "https://127.0.0.1.evil.example")
    ):
        name = json.dumps({"name": f"foreign-{number}"}).encode()
        assert ask(create, name, Origin=origin) == 403
        assert ask(create, name, Origin=origin, **{"Content-Type": "text/plain"}) == 403
    # What a page may send without asking first is none of what these take.
    text = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    assert ask(server + "/graphql", b'{"query": "{ __typename }"}', **text) == 400
    assert ask(server + "/v1/traces", b"{}", **text) == 422
    # Nor may it read an answer, or ask to send more.
    for method in ("GET", "OPTIONS"):
        request = urllib.request.Request(server + "/graphql", method=method)
        request.add_header("Origin", "http://evil.example")
        request.add_header("Access-Control-Request-Method", "POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                given = answer.headers
        except urllib.error.HTTPError as error:
            with error:
                given = error.headers
        assert "Access-Control-Allow-Origin" not in given


@pytest.mark.container
def test_real_server_runs_no_jobs(server: str) -> None:
    job = b'{"job_name": "invoke_scorer", "params": {}}'
    assert ask(server + "/ajax-api/3.0/jobs/", job) >= 400


@pytest.mark.container
def test_real_server_with_passwords_wants_one() -> None:
    def basic(text: str) -> str:
        return "Basic " + base64.b64encode(text.encode()).decode()

    admin = basic(f"admin:{PASSWORD}")
    with up("docker-compose.auth.yml", **AUTH) as server:
        api, host = server + SEARCH, "mlflow.lab.test"
        assert server.startswith("http://127.0.0.1:")
        assert [ask(api), ask(server, None), ask(server + "/graphql", b"{}")] == [401, 401, 401]
        for wrong in ("admin:password1234", "admin:", "nobody:x"):
            assert ask(api, Authorization=basic(wrong)) == 401
        assert ask(api, Authorization=admin) == 200
        assert ask(api, Authorization=admin, Host=host, Origin=f"https://{host}") == 200
        assert ask(api, Authorization=admin, Host="evil.example") == 403
        assert ask(api, Authorization=admin, Origin="http://evil.example") == 403
