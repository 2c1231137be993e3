"""What can happen to files: the ways in which each try of an attack on the disk does harm."""

import random
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from attack.place import Said

# How commands call what is not as it was written.
_DAMAGE = re.compile(
    r"damaged|missing|does not match|cannot be read|another|is not what|other files|no result"
    r"|not about|is none|is no |not listed|not in its|lacks"
)


@dataclass(frozen=True)
class Harm:
    """What was done, to which files or folders; ``gone`` if one of these was removed whole."""

    words: str
    places: tuple[Path, ...]
    gone: bool = False

    def is_named(self, said: Said) -> bool:
        """Whether a line of what a command said calls one of these damaged."""
        names = [name for place in self.places for name in _names(place)]
        return any(
            _DAMAGE.search(line) and any(name in line for name in names) for line in said.lines
        )


def files_below(*folders: Path) -> list[Path]:
    """All files but locks, which are empty, in one order."""
    found = (path for folder in folders for path in folder.rglob("*"))
    return sorted(path for path in found if path.is_file() and path.suffix != ".lock")


def to_a_file(draw: random.Random, root: Path, files: Sequence[Path]) -> Harm:
    """Harm one of some files, or two of them; words name them from ``root`` on."""
    path, *rest = draw.sample(list(files), min(2, len(files)))
    how = draw.choice([*_ALONE, *(_TOGETHER if rest else ())])
    if how in _TOGETHER:
        return _together(how, root, path, rest[0])
    _ALONE[how](draw, path)
    return Harm(f"{how} {path.relative_to(root)}", (path,))


def to_a_folder(draw: random.Random, root: Path, folders: Sequence[Path]) -> Harm:
    """Remove one of some folders, exchange two of them, or put one in the place of another."""
    path, *rest = draw.sample(list(folders), min(2, len(folders)))
    how = draw.choice(["remove", *(_TOGETHER if rest else ())])
    if how in _TOGETHER:
        return _together(how, root, path, rest[0])
    shutil.rmtree(path)
    return Harm(f"remove {path.relative_to(root)}", (path,), gone=True)


def _together(how: str, root: Path, path: Path, other: Path) -> Harm:
    _TOGETHER[how](path, other)
    words = f"{how} {path.relative_to(root)} and {other.relative_to(root)}"
    return Harm(words, (path, other))


def _names(place: Path) -> list[str]:
    """What a line may call it: its own name, or that of the result or the run that it is a part of."""
    parent = place.parent.name
    return [place.name[:12] if len(place.name) == 64 else place.name, *_folder_names(parent)]


def _folder_names(name: str) -> list[str]:
    if len(name) == 64:  # a key, which is named by its beginning
        return [name[:12]]
    return [name] if "-seed" in name else []


def _changed(change: Callable[[random.Random, bytearray], None]) -> Callable[..., None]:
    """Harm that changes bytes; of an empty file there are none, and one is added."""

    def harm(draw: random.Random, path: Path) -> None:
        content = bytearray(path.read_bytes() or b"\0")
        change(draw, content)
        path.write_bytes(content)

    return harm


def _flip(draw: random.Random, content: bytearray) -> None:
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def _other_digit(draw: random.Random, content: bytearray) -> None:
    """What is changed this way is most likely to be believed."""
    found = [place for place, byte in enumerate(content) if byte in b"0123456789"]
    if not found:
        return _flip(draw, content)
    place = draw.choice(found)
    content[place] = draw.choice([byte for byte in b"0123456789" if byte != content[place]])
    return None


def _zeros(draw: random.Random, content: bytearray) -> None:
    """From somewhere on, or a block: what was never flushed is so after a loss of power."""
    start = draw.randrange(len(content))
    end = draw.choice((len(content), min(len(content), start + 512)))
    content[start:end] = bytes(end - start)


def _truncate(draw: random.Random, content: bytearray) -> None:
    del content[draw.choice((0, draw.randrange(len(content)), len(content) - 1)) :]


def _append(draw: random.Random, content: bytearray) -> None:
    number = draw.choice((1, 16, 4096))
    content += draw.choice((bytes(number), draw.randbytes(number), b"\n" * number))


def _double(draw: random.Random, content: bytearray) -> None:
    start = draw.randrange(len(content))
    content[start:start] = content[start:]


def _swap(path: Path, other: Path) -> None:
    aside = path.with_name(f"{path.name}.swapped")
    path.rename(aside)
    other.rename(path)
    aside.rename(other)


def _overwrite(path: Path, other: Path) -> None:
    """Put a copy of the other in its place."""
    if path.is_dir():
        shutil.rmtree(path)
        shutil.copytree(other, path)
    else:
        shutil.copy(other, path)


_ALONE: dict[str, Callable[[random.Random, Path], None]] = {
    "flip a bit of": _changed(_flip),
    "change a digit of": _changed(_other_digit),
    "fill with zeros": _changed(_zeros),
    "truncate": _changed(_truncate),
    "append to": _changed(_append),
    "double the end of": _changed(_double),
    "delete": lambda draw, path: path.unlink(),
}
_TOGETHER: dict[str, Callable[[Path, Path], None]] = {
    "exchange": _swap,
    "overwrite": _overwrite,
}
