"""The home's own MLflow database: an SQLite file that can be moved with the home it is in.

Locations in it are below ``mlflow-artifacts:/``, which is wherever the server that shows them
(``repro ui``) is told that artifacts are. Everything in it follows from the records, so one that this
release cannot go on with is set aside and filled anew.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = "mlflow-artifacts:/"
_FORMER_TAG = "ssbrepro.digest"  # of runs that lie in an experiment for each figure


def holds(database: Path, run_id: object) -> bool:
    """Whether a run is in the home's own database, as its note says.

    The note may be of another home that the record was copied from, or of a database since deleted.
    MLflow itself would take seconds to answer, for each figure that is only shown again.
    """
    try:
        with _opened(database, "ro") as opened:
            query = "SELECT 1 FROM runs WHERE run_uuid = ?"
            return opened.execute(query, (run_id,)).fetchone() is not None
    except sqlite3.Error:  # no such file, or it will be MLflow's to say what is wrong with it
        return False


def set_aside(database: Path, revision: str) -> tuple[Path, str] | None:
    """Rename a database that cannot be gone on with.

    Args:
        database: The home's own.
        revision: Of the schema that this release of MLflow works with; it refuses any other.

    Returns:
        What the file is called now, and why; None if there is no reason to, or no database.
    """
    if not database.exists():
        return None
    reason = _reason(database, revision)
    if reason is None:
        return None
    aside = database.with_name(f"{database.name}.{time.time_ns()}")
    database.rename(aside)
    return aside, reason


def _reason(database: Path, revision: str) -> str | None:
    try:
        with _opened(database, "rw") as opened:
            tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
            if not {"alembic_version", "tags"} <= tables:  # as a killed process left it, for MLflow
                return None
            if opened.execute("SELECT version_num FROM alembic_version").fetchall() != [
                (revision,)
            ]:
                return "is of another version of MLflow"
            if opened.execute("SELECT 1 FROM tags WHERE key = ?", (_FORMER_TAG,)).fetchone():
                return "has an experiment for each figure, as earlier releases sent them"
    except sqlite3.OperationalError:  # in use
        raise
    except sqlite3.DatabaseError:
        return "is damaged"
    return None


def make_movable(database: Path) -> None:
    """Put below ``ROOT`` what MLflow located by a path of the disk.

    That is the experiment that MLflow makes with the database.
    """
    with _opened(database, "rw") as opened, opened:
        opened.execute("PRAGMA secure_delete = ON")  # nor does an unused byte keep the path
        opened.execute(
            "UPDATE experiments SET artifact_location = ?"
            " WHERE experiment_id = 0 AND artifact_location NOT LIKE ?",
            (ROOT + "0", ROOT + "%"),
        )


@contextlib.contextmanager
def _opened(database: Path, mode: str) -> Iterator[sqlite3.Connection]:
    address = f"{database.as_uri()}?mode={mode}"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=20)) as opened:
        yield opened
