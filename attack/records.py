"""Records, results and archives that somebody forged: refused, or believed for just what they say."""

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attack.attack import Attack, Trial
from attack.mutation import altered, bounded, damaged
from attack.place import FIGURE, RUN, Place, made
from repro import archive, files, importing, store
from repro.archive import INDEX
from repro.errors import ReproError
from repro.inventory import Home
from repro.manifests.library import Library
from repro.outcome.reading import result_problem
from repro.outcome.record import RECORD, TRACKED, VERDICTS, Record, Run
from repro.outcome.references import RecordedRuns, recorded_run
from repro.outcome.report.contents import contents
from repro.outcome.report.page import write_page
from repro.outcome.tracking import rows, sender
from repro.store import META, RESULT

_WORDS = (
    "supported", "not supported", "inconclusive", "failed", "at_most", "../../../x", "/etc/passwd",
    "2026-01-02T03:04:05+00:00", "2026-01-02", "smoke", FIGURE, RECORD, "<script>", "a" * 64,
)  # fmt: skip


@dataclass(frozen=True)
class _Prepared:
    place: Place
    export: Path
    documents: Mapping[str, Any]

    @property
    def run(self) -> Path:
        return sorted(self.place.home.glob("runs/*/*/*"))[0]


_KINDS: Mapping[str, Any] = {
    RECORD: Record,
    "references": RecordedRuns,
    RESULT: store._Content,
    META: store._Meta,
    INDEX: archive._Index,
    TRACKED: sender._Sent,
}


def _prepare(folder: Path) -> _Prepared:
    """A home with a figure run for three seeds, and what was exported of it."""
    place = made(folder, FIGURE)
    if place.call("run", FIGURE, *RUN, "--seeds", "0-2").status:
        raise RuntimeError("the figure did not run")
    export = folder / "export.zip"
    place.call("store", "export", str(export), FIGURE, "--profile", "smoke")
    prepared = _Prepared(place, export, {})
    record = json.loads((prepared.run / RECORD).read_bytes())
    with zipfile.ZipFile(export) as members:
        index = json.loads(members.read(INDEX))
    (result,) = (place.home / "store").glob(f"{record['steps'][0]['key']}/{RESULT}")
    (meta,) = (place.home / "store").glob(f"{record['steps'][0]['key']}/{META}")
    documents = {
        META: json.loads(meta.read_bytes()),
        RECORD: record,
        "references": json.loads((place.references / "fig1.smoke.json").read_bytes()),
        RESULT: json.loads(result.read_bytes()),
        INDEX: index,
        TRACKED: {"layout": 2, "runs": {"mlflow.db": "0" * 32}},
    }
    return dataclasses.replace(prepared, documents=documents)


def _read_forged(prepared: object, one: Trial) -> str | None:
    """Read a document of which a part is another; what is believed is what it says."""
    assert isinstance(prepared, _Prepared)
    draw = one.random
    kind = draw.choice(list(_KINDS))
    data = prepared.documents[kind]
    if draw.random() < 0.4:
        text = damaged(json.dumps(data).encode(), draw)
    else:
        text = json.dumps(altered(data, draw, _WORDS)).encode()
    path = one.folder / kind
    path.write_bytes(text)
    with bounded():
        try:
            files.read_json(path)
        except ReproError:
            return None
        try:
            read = files.read_as(path, _KINDS[kind])
        except ReproError as error:
            return None if str(path) in str(error) else f"does not name the file: {error}"
        try:
            meant = json.loads(text)
        except (ValueError, RecursionError) as error:
            return f"reads as {kind} what is no JSON: {error}"
        problem = _differs(kind, dataclasses.asdict(read), meant)
        if isinstance(read, Record) and not problem:
            problem = _use(prepared, one, read)
    return problem


def _differs(place: str, read: Any, meant: Any) -> str | None:
    """Where what was read differs from what is written; fields may be left out, or added by default."""
    if isinstance(read, dict) and isinstance(meant, dict):
        both = [name for name in read if name in meant]
        found = (_differs(f"{place}.{name}", read[name], meant[name]) for name in both)
    elif isinstance(read, list | tuple) and isinstance(meant, list) and len(read) == len(meant):
        both = list(range(len(read)))
        found = (_differs(f"{place}.{i}", read[i], meant[i]) for i in both)
    else:
        # To read an integer as a float may round it.
        alike = float(meant) if type(meant) is int and type(read) is float else meant
        same = type(read) is type(alike) and read == alike
        return None if same else f"{place} is read as {read!r:.200}, and says {meant!r:.200}"
    return next((one for one in found if one), None)


def _use(prepared: _Prepared, one: Trial, record: Record) -> str | None:
    """Whatever uses a record with a seal that fits raises nothing but our own, and stays below."""
    home = prepared.place.home
    run = Run(home, prepared.run, record)
    below = [path for path in run.artifacts() if not path.resolve().is_relative_to(home)]
    try:
        record.declared()
        recorded_run(record)
        if one.number % 10 == 0:
            library = Library(prepared.place.manifests)
            write_page(contents(library, [FIGURE], [run]), one.folder / "page.html")
    except (ReproError, ValueError):
        return None
    try:
        found = [rows.figure_row(run), *rows.step_rows(run)]
    except ValueError:  # said in a line by whatever sends it
        found = []
    except FileNotFoundError:
        if result_problem(run) is None:
            raise
        found = []  # of a key that nothing is stored under: no command reads such a run
    below += [path for row in found for path in row.files if not path.is_relative_to(home)]
    return f"reaches beyond the home: {below[0]}" if below else None


def _command_on_forged(prepared: object, one: Trial) -> str | None:
    """Change one file of a home or of the manifests, and give a command that reads it."""
    assert isinstance(prepared, _Prepared)
    draw = one.random
    place = prepared.place.copy(one.folder / "place")
    run = place.home / prepared.run.relative_to(prepared.place.home)
    record = json.loads((run / RECORD).read_bytes())
    result = place.home / "store" / record["steps"][0]["key"]
    path = draw.choice(
        [
            *(run / name for name in (RECORD, RECORD, VERDICTS, TRACKED)),
            *(result / name for name in (META, RESULT)),
            *place.references.glob("*.smoke.json"),
        ]
    )
    content = path.read_bytes() if path.exists() else b'{"layout": 2, "runs": {}}'
    if draw.random() < 0.5:
        path.write_bytes(damaged(content, draw))
    else:
        path.write_text(json.dumps(altered(json.loads(content), draw, _WORDS)))
    command = draw.choice(
        [
            ("list", "--json", "-"),
            ("report", "--out", str(one.folder / "page.html")),
            ("compare", f"here:{FIGURE}@smoke", f"{FIGURE}@smoke"),
            ("compare", str(run), f"{FIGURE}@smoke"),
            ("plan", FIGURE, "--profile", "smoke"),
            ("explain", FIGURE, "--profile", "smoke"),
            ("table", "ssb2018", "--profile", "smoke"),
            ("store", "check"),
            ("store", "clean"),
            ("references", "import", str(path)),
            ("export", FIGURE, "--profile", "smoke", "--crate", str(one.folder / "crate")),
            ("run", FIGURE, *RUN, "--seed", "1"),
        ]
    )
    with bounded(20, megabytes=2**15):
        said = place.call(*command)
    shown = f"{path.name}, {' '.join(command[:2])}: status {said.status}"
    if said.status not in (0, 1, 2, 3):
        return shown
    if said.status > 1 and not said.err.strip():
        return f"{shown} without a word"
    if "Traceback" in said.err:
        return f"{shown}: {said.err[-500:]}"
    return None


def _import_forged(prepared: object, one: Trial) -> str | None:
    """Import an archive with a seal that fits, and with other members or another index."""
    assert isinstance(prepared, _Prepared)
    draw = one.random
    with zipfile.ZipFile(prepared.export) as members:
        names = {member.filename: members.read(member) for member in members.infolist()}
    name = draw.choice([INDEX, *names])
    if draw.random() < 0.3:
        names[name] = damaged(names[name], draw)
    elif name.endswith(".json"):
        names[name] = json.dumps(altered(json.loads(names[name]), draw, _WORDS)).encode()
    else:
        odd = draw.choice(("../x", "/tmp/x", "store/../../x", "runs/a/b/c/..", f"{name}\0", INDEX))
        names = {odd if old == name else old: content for old, content in names.items()}
    if draw.random() < 0.6 and name != INDEX:  # an index that fits
        entries = [
            {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for path, data in names.items()
            if path != INDEX
        ]
        index = prepared.documents[INDEX] | {"entries": entries}
        names = {path: data for path, data in names.items() if path != INDEX}
        names[INDEX] = json.dumps(index).encode()
    path = one.folder / "forged.zip"
    path.write_bytes(_sealed(names))
    home = Home(one.folder / "place" / "home")
    home.root.mkdir(parents=True)
    try:
        with bounded():
            importing.import_file(path, home, lambda text: None, lambda done, total: None)
    except ReproError as error:
        if [one for one in home.root.rglob("*") if one.is_file() and one.suffix != ".lock"]:
            return f"refused, and something came in: {error}"
        if str(path) not in str(error):
            return f"does not name the file: {error}"
    beyond = [one for one in one.folder.rglob("*") if one.is_file() and one != path]
    beyond = [one for one in beyond if not one.is_relative_to(home.root)]
    return f"reaches beyond the home: {beyond[0]}" if beyond else None


def _sealed(members: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as written:
        for name, data in members.items():
            written.writestr(zipfile.ZipInfo(name), data)
        written.comment = b"0" * 64
    body = content.getvalue()[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()


def _forge(prepared: object, one: Trial) -> str | None:
    """Mostly documents, which take a thousandth of a second."""
    kinds = (_read_forged, _import_forged, _command_on_forged)
    (attempt,) = one.random.choices(kinds, (80, 15, 5))
    return attempt(prepared, one)


ATTACKS = (Attack("forgeries", "records, results, exports", 13_000, 150, _prepare, _forge),)
