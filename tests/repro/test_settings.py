"""Where things are, from the environment."""

import re
from pathlib import Path

import pytest

from repro.errors import UsageError
from repro.settings import Settings
from tests.fakes import CHECKOUT

VARIABLES = (
    "SSBREPRO_HOME",
    "SSBREPRO_DATA",
    "SSBREPRO_DATA_URL",
    "SSBREPRO_MANIFESTS",
    "MLFLOW_TRACKING_URI",
)


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def test_without_variables_all_is_in_the_checkout() -> None:
    settings = Settings.from_environment()
    assert settings.home == CHECKOUT / ".ssbrepro"
    assert settings.data == settings.home / "data"
    assert settings.data_url is None
    assert settings.manifests == CHECKOUT / "manifests"
    assert settings.tracking_uri == f"sqlite:///{settings.home}/mlflow.db"
    assert settings.local_tracking
    assert settings.own_database == settings.home / "mlflow.db"


def test_variables_decide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSBREPRO_HOME", "state")
    monkeypatch.setenv("SSBREPRO_MANIFESTS", str(tmp_path / "m"))
    settings = Settings.from_environment()
    assert settings.home == tmp_path / "state"
    assert settings.data == tmp_path / "state" / "data"
    assert settings.manifests == tmp_path / "m"
    monkeypatch.setenv("SSBREPRO_DATA", "~/images")
    monkeypatch.setenv("SSBREPRO_DATA_URL", "http://mirror/data")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    settings = Settings.from_environment()
    assert settings.data == Path.home() / "images"
    assert settings.data_url == "http://mirror/data"
    assert not settings.local_tracking
    assert settings.own_database is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    settings = Settings.from_environment()
    assert settings.local_tracking
    assert settings.own_database is None
    assert settings.artifacts == settings.home / "artifacts"


@pytest.mark.parametrize("variable", VARIABLES)
def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    expected = Settings.from_environment()
    monkeypatch.setenv(variable, "")
    assert Settings.from_environment() == expected


@pytest.mark.parametrize("text", ["abc", "0", "-1", "1.5", "²", "0,2", "1234567"])
def test_threads_that_make_no_sense_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    with pytest.raises(UsageError, match="at least 1"):
        Settings.from_environment()


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://bob:secret@host/mlflow", "https://host/mlflow"),
        ("http://bob:p@ss/word@host", "http://host"),
        ("postgresql://bob:secret@host/runs", "postgresql://host/runs"),
        ("sqlite:////home/me@here/mlflow.db", "sqlite:////home/me@here/mlflow.db"),
        ("none", "none"),
    ],
)
def test_an_address_is_shown_without_passwords(
    monkeypatch: pytest.MonkeyPatch, uri: str, address: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert Settings.from_environment().tracking_address == address


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("SSBREPRO_HOME", "~nosuchuser"),
        ("SSBREPRO_HOME", "loop"),
        ("SSBREPRO_HOME", "file"),
        ("SSBREPRO_DATA", "file/below"),
        ("SSBREPRO_MANIFESTS", "x" * 300),
        ("SSBREPRO_DATA_URL", "nonsense"),
        ("SSBREPRO_DATA_URL", "http://"),
        ("SSBREPRO_KERNELS", "fast"),
        ("MLFLOW_TRACKING_URI", "nonsense"),
        ("MLFLOW_TRACKING_URI", "htp://127.0.0.1"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:port"),
    ],
)
def test_a_variable_that_makes_no_sense_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    Path("file").touch()
    monkeypatch.setenv(variable, text)
    with pytest.raises(UsageError, match=rf"^{variable}={re.escape(text)}: [^\n]+$"):
        Settings.from_environment()


@pytest.mark.parametrize("text", ["none", "databricks", "/folder", "postgresql+psycopg2://h/d"])
def test_whatever_mlflow_understands_is_taken(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", text)
    assert Settings.from_environment().tracking_uri == text
