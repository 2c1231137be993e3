"""Manifests that are no files, that are large or oddly named: refused at once, in a few lines."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from attack.attack import Attack, Trial
from attack.manifests import Prepared, prepare
from attack.mutation import bounded
from repro.errors import ManifestError, UsageError
from repro.manifests.library import Library


def _many(entry: Callable[[int], str], number: int, head: str = "") -> bytes:
    return (head + "".join(map(entry, range(number)))).encode()


_HEAD = "schema_version: 1\nkind: figure\ntitle: t\ncaption: c\n"
_LARGE: dict[str, bytes] = {
    "unknown fields": _many(lambda i: f"field{i}: 1\n", 9900, _HEAD),
    "duplicate keys": _many(lambda i: "a: 1\n", 9900, _HEAD),
    "unknown metrics": _many(
        lambda i: f"  - {{metric: no.number{i}, resolution: 1, why: w}}\n",
        2000,
        _HEAD + "references:\n",
    ),
    "wrong entries": _many(lambda i: "0,", 19_000, _HEAD + "claims: [") + b"]",
    "one long line": _HEAD.encode() + b"note: " + b"x" * 250_000,
    "one long key": b"x" * 1000 + b": 1\n" + b"y" * 250_000 + b": 1",
    "blank lines": b"\n" * 250_000,
    "comments": b"#\n" * 125_000,
    "keys of questions": b"? " * 100_000,
    "brackets": b"[" * 250_000,
    "braces": b"{a: " * 60_000,
    "dashes": b"- " * 125_000,
    "quotes": b'"' * 250_000,
    "escapes": b'a: "' + b"\\x41" * 60_000 + b'"',
    "aliases": b"a: &a [x]\nb: [" + b"*a," * 60_000 + b"]",
    "laughs": b"".join(b"a%d: &a%d [%s]\n" % (i, i, b"*a%d," % (i - 1) * 9) for i in range(1, 60)),
    "tags": b"a: [" + b"!!python/object/apply:os.system x," * 6000 + b"]",
    "directives": b"%TAG ! tag:x,2000:\n" * 10_000,
    "documents": b"---\n" * 60_000,
    "folded text": b"a: >\n" + b"  x\n" * 60_000,
    "more bytes than one reads": b"#" + b"x" * 50_000_000,
    "UTF-16": _HEAD.encode("utf-16"),
    "nothing": b"",
    "a million digits": _HEAD.encode() + b"x: " + b"9" * 200_000,
}


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


_FILES: dict[str, Callable[[Path], None]] = {
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to zeros": lambda path: path.symlink_to("/dev/zero"),
    "a link to a terminal": lambda path: path.symlink_to("/dev/ptmx"),
    "a sparse terabyte": _sparse,
}
_NAMES = (
    "a\nb", "\x1b[31mred", "*", "[a-z]", "a b", "-x", "..", ". ", "ü", "x" * 200, "\udcff", "%s",
    "fig8a ", "FIG8A", "fig٣", "²", "paper.yaml", "fig8a\u202e", "{0}", "$HOME", "~",
)  # fmt: skip


def _odd_file(prepared: object, one: Trial) -> str | None:
    """A file that is no file, a file that is made to take long, or one of an odd name."""
    assert isinstance(prepared, Prepared)
    kinds = [*_FILES, *_NAMES, *_LARGE]
    kind = kinds[one.number % len(kinds)]
    name = one.random.choice(("fig5", "paper", "experiment")) if kind not in _NAMES else kind
    path = one.folder / "manifests" / "li2022" / f"{name}.yaml"
    path.parent.mkdir(parents=True)
    for other in (
        "profiles.yaml",
        "li2022/paper.yaml",
        "li2022/experiment.yaml",
        "li2022/fig5.yaml",
    ):
        shutil.copy(prepared.root / other, one.folder / "manifests" / other)
    if kind in _NAMES:
        shutil.copy(prepared.root / "li2022" / "fig5.yaml", path)
    else:
        path.unlink()
        path.write_bytes(_LARGE[kind]) if kind in _LARGE else _FILES[kind](path)
    library = Library(one.folder / "manifests")
    figure = f"li2022/{name}" if name not in ("paper", "experiment") else "li2022/fig5"
    try:
        with bounded(10):
            library.not_computable()
            library.load(library.resolve(figure))
    except (ManifestError, UsageError) as error:
        lines = str(error).count("\n") + 1
        if not str(error).replace("\n", "").isprintable() or lines > (
            1001 if kind in _LARGE else 1
        ):
            return f"{kind} as {name}: {lines} lines, {str(error)[:300]!r}"
        return None
    if kind in ("a link to itself", "a link to nothing") and name == "experiment":
        return None  # no figure needs one
    return f"{kind} as {name}: is accepted"


ATTACKS = (
    Attack(
        "odd-manifests", "files that are none, large ones, odd names", 54, 30, prepare, _odd_file
    ),
)
