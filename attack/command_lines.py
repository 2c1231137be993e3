"""Command lines that nobody should write, in places where nobody should: each ends, and says why."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from attack.attack import Attack, Trial
from attack.mutation import bounded
from attack.place import FIGURE, RUN, Place, Said, made

_SECONDS = 120.0  # twice what a command waits for what reads a pipe
_VERBS = (
    "run", "verify", "plan", "explain", "record", "predict", "compare", "references",
    "references import", "list", "report", "table", "verdicts", "export", "new", "new figure", "data",
    "data check", "data fetch", "store", "store export", "store import", "store check", "store clean",
    "track", "ui", "doctor",
)  # fmt: skip
_IDS = (
    "", " ", ".", "..", "../../etc/passwd", "*", "fig*", "ssb2018/*", "/", "/etc/passwd",
    "ssb2018/../li2022/fig5", "ssb2018//fig1", "ssb2018/fig1/", "ssb2018", "paper", "FIG1", "fig1\n",
    "fig1\x01", "\x1b[31mfig1", "fig1\u202e", "\udcff", "x" * 5000, "%s%n", "$(id)", "`id`",
    "fig1;id", "-", "--", "-1", "²", "{}",
)  # fmt: skip
_SEEDS = (
    "", " ", "-", "-1", "1-", "5-2", "0-", "a", "0,,1", ",", "0-9999999", "1e3", "0x10", "9" * 18,
    "9" * 5000, "0-0-0", "٣", "0 1", "+1", "0.5", "\n", "0," * 5000,
)  # fmt: skip
_SUBJECTS = (*_IDS, "@", "@@", ":", "+=", "fig1@smoke:0-", "/proc/self/mem", "fig1@smoke+x=1")
_BUDGETS = ("", "0", "-1m", "nan", "inf", "1e999", "9" * 400, "5 parsecs")
_SMALL_RUN = ("run", FIGURE, *RUN)
_CASES: tuple[tuple[str, ...], ...] = (
    *((verb, "--nonsense") for verb in _VERBS),
    *((verb, "\x1b[2J\r\n") for verb in _VERBS),
    *((one,) for one in _IDS),
    *(("plan", one, "--profile", "smoke") for one in _IDS),
    *(("store export", "x.zip", FIGURE, "--seeds", one) for one in _SEEDS),
    *(("record", FIGURE, "--profile", "none", "--seeds", one) for one in _SEEDS),
    *(("compare", one, f"{FIGURE}@smoke") for one in _SUBJECTS),
    ("run",),
    ("run", FIGURE, "--all", "--seed", "1", "--seeds", "0-1"),
    ("run", FIGURE, "--seed", "9" * 400),
    ("run", FIGURE, "--seed", "-1"),
    ("run", FIGURE, "--seed", "1.5"),
    ("run", FIGURE, "--jobs", "0"),
    (*_SMALL_RUN, "--jobs", "9" * 30),
    ("run", FIGURE, "--profile", ""),
    ("run", FIGURE, "--profile", "smoke\n"),
    ("run", FIGURE, "--profile"),
    ("run", FIGURE, "--device", "tpu"),
    ("run", FIGURE, "--device", "cuda:99"),
    ("run", FIGURE, "--engine", "../inline"),
    (*_SMALL_RUN, "--alternative", ""),
    (*_SMALL_RUN, "--alternative", "="),
    (*_SMALL_RUN, "--alternative", "x=" + "[" * 5000),
    (*_SMALL_RUN, "--alternative", "x=!!python/name:os.system"),
    (*_SMALL_RUN, "--alternative", "x=&a [*a]"),
    *((*_SMALL_RUN, "--budget", text) for text in _BUDGETS),
    *(("plan", FIGURE, "--seed", text) for text in ("", "0x1", "NaN", "٣")),
    ("list", "--json"),
    ("list", "--json", ""),
    ("list", "--json", "."),
    ("list", "--json", "/"),
    ("list", "--json", "/proc/nonexistent/b"),
    ("list", "--json", "/proc/self/x"),
    ("list", "--json", "x" * 5000),
    ("report", "--out", "/dev/null"),
    ("report", "--out", ""),
    ("report", "--out", "page.pdf"),
    ("report", "--out", "page.html/"),
    ("table", ""),
    ("table", "..", "--profile", "smoke"),
    ("table", "ssb2018", "--profile", "../smoke"),
    ("verdicts", "/dev/null"),
    ("verdicts", ""),
    ("export", FIGURE, "--crate", "/"),
    ("export", FIGURE, "--crate", ""),
    ("store import", "/dev/null"),
    ("store import", "/dev/zero"),
    ("store import", ""),
    ("store export", "/dev/full.zip"),
    ("store export", "x.zip", "--seeds", "0"),
    ("references import", "/dev/null"),
    ("references import", "."),
    ("references import", "/proc/self/environ"),
    ("new figure", "../x/y"),
    ("new figure", "x/../../y"),
    ("new figure", "no2026/fig1"),
    ("ui", "--port", "0"),
    ("ui", "--port", "65536"),
    ("predict", FIGURE),
    ("--install-completion", "nosuchshell"),
    ("--help", "--version"),
)  # fmt: skip


@dataclass(frozen=True)
class _Surroundings:
    """What a process meets: variables, and a line of a shell in which it is started."""

    line: str = '"$@"'
    variables: dict[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ("list",)
    statuses: Sequence[int] = (0, 1, 2, 3)


def _with(**variables: str) -> _Surroundings:
    return _Surroundings(variables=variables)


_PLACES: Mapping[str, _Surroundings] = {
    "no standard input": _Surroundings('"$@" <&-'),
    "no standard output": _Surroundings('"$@" >&-'),
    "no standard error": _Surroundings('"$@" 2>&-'),
    "no standard error, and a fault": _Surroundings('"$@" 2>&-', arguments=("plan", "nothing")),
    "nothing open": _Surroundings('"$@" <&- >&- 2>&-'),
    "a full disk for output": _Surroundings('"$@" >/dev/full', statuses=(1, 2, 3)),
    "a full disk for JSON": _Surroundings(
        '"$@" >/dev/full', arguments=("list", "--json", "-"), statuses=(1, 2, 3)),
    "a full disk for words": _Surroundings('"$@" 2>/dev/full'),
    "a reader that leaves": _Surroundings('"$@" | true', statuses=(0,)),
    "a removed folder": _Surroundings('mkdir gone && cd gone && rmdir ../gone && "$@"'),
    "a removed folder, and a file": _Surroundings(
        'mkdir gone && cd gone && rmdir ../gone && "$@"', arguments=("list", "--json", "x.json")),
    "the root": _Surroundings('cd / && "$@"'),
    "a folder of /proc": _Surroundings('cd /proc/self && "$@"'),
    "few files": _Surroundings('ulimit -n 20; "$@"'),
    "little memory": _Surroundings('ulimit -v 200000; "$@"'),
    "no files larger than nothing": _Surroundings(
        'ulimit -f 0; trap "" XFSZ; "$@"', arguments=("list", "--json", "x.json")),
    "no HOME": _Surroundings('unset HOME; "$@"'),
    "no PATH": _Surroundings('export PATH=/nowhere; "$@"'),
    "no variables": _Surroundings('env -i PYTHONPATH="$PYTHONPATH" "$@"'),
    "no language": _with(LC_ALL="C", PYTHONUTF8="0"),
    "a language that is none": _with(LC_ALL="xx_YY.NONE"),
    "ASCII": _with(PYTHONIOENCODING="ascii"),
    "a terminal of no width": _with(COLUMNS="0"),
    "a terminal of nonsense": _with(TERM="\x1b", COLUMNS="abc"),
    "a home that is a file": _with(SSBREPRO_HOME="/etc/passwd"),
    "a home that is a device": _with(SSBREPRO_HOME="/dev/null"),
    "a home of no user": _with(SSBREPRO_HOME="~nosuchuser/x"),
    "a home of a long name": _with(SSBREPRO_HOME="/tmp/" + "x" * 5000),
    "a home of odd characters": _with(SSBREPRO_HOME="/tmp/\x1b[31m\n"),
    "manifests that are a file": _with(SSBREPRO_MANIFESTS="/etc/passwd"),
    "manifests that are all": _with(SSBREPRO_MANIFESTS="/proc/self"),
    "no manifests": _with(SSBREPRO_MANIFESTS="/nonexistent"),
    "threads that are no number": _with(OMP_NUM_THREADS="1,2"),
    "many threads": _with(OMP_NUM_THREADS="9" * 30),
    "kernels of no kind": _with(SSBREPRO_KERNELS="\x1b"),
    "an address of nowhere": _with(MLFLOW_TRACKING_URI="gopher://x"),
    "an argument that is no text": _Surroundings('"$@" "$(printf "\\377")"', arguments=("plan",)),
    "a link to itself": _Surroundings('ln -s self self; SSBREPRO_HOME=$PWD/self "$@"'),
    "a pipe for JSON": _Surroundings('mkfifo x.json; "$@"', arguments=("list", "--json", "x.json")),
    "a pipe to import": _Surroundings('mkfifo x.zip; "$@"', arguments=("store", "import", "x.zip")),
    "a pipe to compare": _Surroundings('mkfifo x.json; "$@"', arguments=("compare", "x.json", "x.json")),
}  # fmt: skip


def _prepare(folder: Path) -> Place:
    return made(folder, FIGURE)


def _fault(said: Said) -> str | None:
    """What is wrong with how a command ended, if it is one that ran nothing."""
    if said.status not in (0, 1, 2, 3):
        return f"ends with {said.status}: {said.err[-300:]}"
    if "Traceback" in said.err + said.out:
        return f"a traceback: {said.err[-600:]}"
    if said.status > 1 and not said.err.strip():
        return f"ends with {said.status} without a word"
    if odd := re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said.err + said.out):
        return f"prints {odd.group()!r}"
    if len(said.err) > 20_000:
        return f"says {len(said.err)} characters: {said.err[:200]!r}"
    return None


def _in_process(prepared: object, one: Trial) -> str | None:
    """Give a command line in this process, in a folder of its own."""
    assert isinstance(prepared, Place)
    case = _CASES[one.number % len(_CASES)]
    words = [
        word for first in case[:1] for word in (first.split(" ") if first in _VERBS else [first])
    ]
    here = Path.cwd()
    shutil.copytree(prepared.manifests, one.folder / "manifests")  # commands may write there
    place = Place(one.folder / "home", one.folder / "manifests")
    os.chdir(one.folder)
    try:
        with (
            bounded(20, megabytes=2**15),
            mock.patch.dict(os.environ, {"COLUMNS": "100", "HOME": str(one.folder)}),
        ):
            fault = _fault(place.call(*words, *case[1:]))
    finally:
        os.chdir(here)
    return f"{' '.join(map(_short, case))}: {fault}" if fault else None


def _short(word: str) -> str:
    return repr(word if len(word) < 60 else word[:30] + "…")


def _in_odd_surroundings(prepared: object, one: Trial) -> str | None:
    """Give a command line in a process of its own that meets something odd."""
    assert isinstance(prepared, Place)
    name = [*_PLACES][one.number % len(_PLACES)]
    meets = _PLACES[name]
    variables = os.environ | {
        "SSBREPRO_HOME": str(one.folder / "home"),
        "SSBREPRO_MANIFESTS": str(prepared.manifests),
        "MLFLOW_TRACKING_URI": "none",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    command = [sys.executable, "-m", "repro", *meets.arguments]
    try:
        ended = subprocess.run(
            ["bash", "-c", meets.line, "bash", *command],
            env=variables | meets.variables,
            cwd=one.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"{name}: takes longer than {_SECONDS:.0f} seconds"
    out, err = (text.decode("utf-8", "replace") for text in (ended.stdout, ended.stderr))
    if ended.returncode not in meets.statuses:
        return f"{name}: ends with {ended.returncode}: {err[-600:]}"
    if "Traceback" in err or "Exception ignored" in err:
        return f"{name}: {err[-900:]}"
    if ended.returncode > 1 and "2>" not in meets.line and not err.strip():
        return f"{name}: ends with {ended.returncode} without a word"
    return f"{name}: prints an escape" if "\x1b" in out + err else None


ATTACKS = (
    Attack("command-lines", "odd words", len(_CASES), 40, _prepare, _in_process),
    Attack("surroundings", "odd places", len(_PLACES), 4, _prepare, _in_odd_surroundings),
)
