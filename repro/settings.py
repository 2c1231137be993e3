"""Where things are, from the environment."""

import contextlib
import os
import re
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from repro import kernels
from repro.errors import UsageError
from repro.machine import num_threads

NO_TRACKING = "none"  # as MLFLOW_TRACKING_URI: record runs, send them nowhere
_DATABASE = "mlflow.db"
# What MLflow understands by itself besides addresses in the web and folders.
_NAMES = (NO_TRACKING, "databricks", "databricks-uc")
_SCHEMES = ("file", "sqlite", "postgresql", "mysql", "mssql", "databricks", "databricks-uc")
_CHECKOUT = Path(__file__).resolve().parent.parent
MANIFESTS = _CHECKOUT / "manifests"


@dataclass(frozen=True)
class Settings:
    """Folders and addresses of one invocation; ``data_url`` is a mirror of a dataset."""

    home: Path
    data: Path
    data_url: str | None
    manifests: Path
    tracking_uri: str

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the variables ``SSBREPRO_…`` and ``MLFLOW_TRACKING_URI``.

        Raises:
            UsageError: If one of them makes no sense, or another that commands go by:
                ``OMP_NUM_THREADS`` and those of :mod:`repro.kernels`.
        """
        num_threads()
        kernels.limits()
        home = _folder("SSBREPRO_HOME") or _CHECKOUT / ".ssbrepro"
        return cls(
            home=home,
            data=_folder("SSBREPRO_DATA") or home / "data",
            data_url=_mirror("SSBREPRO_DATA_URL"),
            manifests=_folder("SSBREPRO_MANIFESTS") or MANIFESTS,
            tracking_uri=_tracking("MLFLOW_TRACKING_URI") or _sqlite(home / _DATABASE),
        )

    @property
    def tracking_address(self) -> str:
        """Where runs are tracked, as it may be shown and kept: without a user's name and password."""
        return _without_password(self.tracking_uri)

    @property
    def local_tracking(self) -> bool:
        """Whether runs go to an SQLite file of this machine's."""
        return self.tracking_uri.startswith("sqlite:")

    @property
    def own_database(self) -> Path | None:
        """The SQLite file that is part of the home, if runs go there."""
        database = self.home / _DATABASE
        return database if self.tracking_uri == _sqlite(database) else None

    @property
    def artifacts(self) -> Path:
        """Where the artifacts of runs in an SQLite file are."""
        return self.home / "artifacts"


def _without_password(uri: str) -> str:
    # An "@" in a path is none of a server's, but may be of an SQLite file's.
    return re.sub(r"^(https?://).*@|(?<=://)[^/]*@", r"\1", uri)


def _sqlite(database: Path) -> str:
    return f"sqlite:///{database}"


def _folder(variable: str) -> Path | None:
    """A folder that is there, or may be made.

    Raises:
        UsageError: If it can be neither.
    """
    value = os.environ.get(variable)
    if not value:
        return None
    try:
        path = Path(value).expanduser().resolve()
        with contextlib.suppress(FileNotFoundError):
            os.close(os.open(path, os.O_PATH | os.O_DIRECTORY))
    except OSError as error:
        raise UsageError(f"{variable}={value}: is no folder: {error.strerror}") from error
    except RuntimeError as error:  # no such user, or links that lead to each other
        raise UsageError(f"{variable}={value}: is no folder: {error}") from error
    return path


def _mirror(variable: str) -> str | None:
    value = os.environ.get(variable)
    if value and not _is_web_address(value):
        raise UsageError(f"{variable}={value}: it is an address such as http://HOST/FOLDER")
    return value or None


def _tracking(variable: str) -> str | None:
    value = os.environ.get(variable)
    if not value or value in _NAMES or value.startswith(("/", "./", "../")):
        return value or None
    scheme = value.partition(":")[0].partition("+")[0] if ":" in value else ""
    if _is_web_address(value) or scheme in _SCHEMES or scheme in _plugins():
        return value
    raise UsageError(
        f"{variable}={_without_password(value)}: it is {NO_TRACKING}, or an address such as "
        f"http://HOST:5000 or sqlite:////FOLDER/mlflow.db"
    )


def _plugins() -> set[str]:
    """Kinds of addresses that other packages teach MLflow."""
    return {one.name for one in entry_points(group="mlflow.tracking_store")}


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False
