"""Where things are, from the environment."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from repro.machine import num_threads

NO_TRACKING = "none"  # as MLFLOW_TRACKING_URI: record runs, send them nowhere
_DATABASE = "mlflow.db"
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
            UsageError: If another variable that commands go by, ``OMP_NUM_THREADS``, makes no sense.
        """
        num_threads()
        home = _path("SSBREPRO_HOME") or _CHECKOUT / ".ssbrepro"
        return cls(
            home=home,
            data=_path("SSBREPRO_DATA") or home / "data",
            data_url=os.environ.get("SSBREPRO_DATA_URL") or None,
            manifests=_path("SSBREPRO_MANIFESTS") or MANIFESTS,
            tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or _sqlite(home / _DATABASE),
        )

    @property
    def tracking_address(self) -> str:
        """Where runs are tracked, as it may be shown and kept: without a user's name and password."""
        # An "@" in a path is none of a server's, but may be of an SQLite file's.
        return re.sub(r"^(https?://).*@|(?<=://)[^/]*@", r"\1", self.tracking_uri)

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


def _sqlite(database: Path) -> str:
    return f"sqlite:///{database}"


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser().resolve() if value else None
