"""A client of MLflow that believes a server no more than it has to."""

import contextlib
import functools
import os
import re
from base64 import b64encode
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

from repro.errors import TrackingError
from repro.outcome.tracking.database import ROOT
from repro.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

_AT_THE_SERVER = re.compile(r"mlflow-artifacts:/(?!/)")  # and at no other host


def load() -> None:
    """Import MLflow, which takes a second, and settle what it reads then."""
    _configure()
    import mlflow.entities  # noqa: F401
    from mlflow import MlflowClient  # noqa: F401


def _configure() -> None:
    """Settle what MLflow reads when it is imported."""
    os.environ.update(
        {
            # A request is made once: MLflow would make it again though the server has taken it, which
            # begins a second run, and would wait for as long as the server says.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            # A server has no say in where else what it is sent goes.
            "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
            "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
            "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
        }
    )
    for name, value in {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # The address a container knows the server by is of no use to a browser.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",  # not each table it creates
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }.items():
        os.environ.setdefault(name, value)


@functools.cache
def schema_revision() -> str:
    """Of the databases that the MLflow which is installed works with; it refuses any other."""
    _configure()
    from alembic.script import ScriptDirectory
    from mlflow.store import db_migrations

    (scripts,) = db_migrations.__path__
    return str(ScriptDirectory(scripts).get_current_head())


def connected(settings: Settings) -> "MlflowClient":
    """A client that writes files nowhere but to the server, or to where ``repro ui`` serves them from.

    MLflow's own writes them to wherever the server says, be it any folder of this machine; and it would
    hand those of an SQLite file, located below ``ROOT``, to a server that need not run.
    """
    _configure()
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    @functools.lru_cache(maxsize=1)  # a run's files are sent one after the other
    def repository(client: MlflowClient, run_id: str) -> "ArtifactRepository":
        location = client.get_run(run_id).info.artifact_uri
        if settings.local_tracking:
            location = location.replace(ROOT, f"{settings.artifacts.as_uri()}/")
        elif not _AT_THE_SERVER.match(location):
            raise TrackingError(
                f"it wants files at {location}; only a server that takes them itself is sent any "
                f"(`mlflow server --serve-artifacts`, and an experiment that was made there)"
            )
        return get_artifact_repository(location, tracking_uri=settings.tracking_uri)

    class Client(MlflowClient):
        def log_artifact(
            self, run_id: str, local_path: str, artifact_path: str | None = None
        ) -> None:
            repository(self, run_id).log_artifact(local_path, artifact_path)

    return Client(settings.tracking_uri)


@contextlib.contextmanager
def as_tracking_error(settings: Settings) -> Iterator[None]:
    """Make one line of whatever goes wrong, from name resolution to a full disk on the server.

    Raises:
        TrackingError: If anything does.
    """
    try:
        yield
    except Exception as error:
        reason = str(error)
        if (
            not isinstance(error, OSError | TrackingError)
            and "mlflow" not in type(error).__module__
        ):
            reason = f"{type(error).__name__}: {reason}"  # of what an answer makes of a client
        if MemoryError in (type(error), type(error.__context__)):  # which says nothing of itself
            reason = "it answers with more than there is room for"
        for secret in _secrets(settings.tracking_uri):
            reason = reason.replace(secret, "***")
        line = " ".join("".join(c if c.isprintable() else " " for c in reason).split())[:300]
        raise TrackingError(f"MLflow at {settings.tracking_address}: {line}") from error


def _secrets(uri: str) -> list[str]:
    """What a server knows a user by, as far as it could repeat it in an answer; the longest first."""
    written = uri.partition("://")[2].rpartition("@")[0]
    name, _, password = written.partition(":")
    words, pairs = {written, password}, [(unquote(name), unquote(password))]
    with contextlib.suppress(Exception):  # where MLflow finds none, or is not there, it sends none
        from mlflow.utils.credentials import get_default_host_creds

        known = get_default_host_creds(uri)
        words.add(known.token)
        pairs.append((known.username, known.password))
    for user, own in pairs:
        words |= {own, b64encode(f"{user}:{own}".encode()).decode()}
    return sorted(filter(None, words), key=len, reverse=True)
