"""The home's own MLflow database: an SQLite file that can be moved with the home it is in.

Locations in it are below ``mlflow-artifacts:/``, which is wherever the server that shows them
(``repro ui``) is told that artifacts are.
"""

import contextlib
import sqlite3
from pathlib import Path

ROOT = "mlflow-artifacts:/"


def holds(database: Path, run_id: object) -> bool:
    """Whether a run is in the home's own database, as its note says.

    The note may be of another home that the record was copied from, or of a database since deleted.
    MLflow itself would take seconds to answer, for each figure that is only shown again.
    """
    address, query = f"{database.as_uri()}?mode=ro", "SELECT 1 FROM runs WHERE run_uuid = ?"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as opened:
            return opened.execute(query, (run_id,)).fetchone() is not None
    except sqlite3.Error:  # no such file, or it will be MLflow's to say what is wrong with it
        return False


def make_movable(database: Path) -> None:
    """Put below ``ROOT`` what MLflow, or version 0.1, located by a path of the disk.

    That is the experiment that MLflow makes with the database, and all that version 0.1 sent: its files
    already lie where they would be written now.
    """
    absolute = """
        SELECT experiment_id, artifact_location, name FROM experiments
        WHERE artifact_location LIKE 'file:%/artifacts/' || name
    """
    with contextlib.closing(sqlite3.connect(database, timeout=20)) as opened, opened:
        opened.execute("PRAGMA secure_delete = ON")  # nor does an unused byte keep the path
        for experiment, location, name in opened.execute(absolute).fetchall():
            opened.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
                (ROOT + name, experiment),
            )
            opened.execute(
                "UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?) WHERE experiment_id = ?",
                (location, ROOT + name, experiment),
            )
        opened.execute(
            "UPDATE experiments SET artifact_location = ?"
            " WHERE experiment_id = 0 AND artifact_location NOT LIKE ?",
            (ROOT + "0", ROOT + "%"),
        )
