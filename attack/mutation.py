"""Damage to texts and to plain data, and bounds on what reading them may take."""

import contextlib
import copy
import random
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

_ODD_TEXTS = (
    "", " ", "\t", "\n", "\r\n", "\x00", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u202eevil", "\ufeff",
    "\ud800", "e\u0301", "\U0001f600", "ﬁ", "٣", "*", "?", "[a-z]", "..", "../../etc/passwd", "/",
    "/dev/zero", "a/../b", "~", "%s", "{0}", "${HOME}", "null", "true", "1", "1e999", "-", "0" * 5000,
    "x" * 70_000, "__proto__", "__class__",
)  # fmt: skip
_ODD_NUMBERS = (
    0, -0.0, -1, 1, 2, 0.5, 1e-320, 1e308, -1e308, 2**31, 2**53 + 1, 2**63, 10**18, -(10**19), 10**400,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
_ODD_BYTES = (
    b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1b[2J", b"\r", b"\n", b"\t",
    b'"', b"'", b"{", b"}", b"[", b"]", b":", b",", b"-", b"\\", b"#", b"&a ", b"*a",
    b"!!python/name:os.system ",
    b"<<: ", b"? ", b"| ", b">", b"%YAML 1.1\n", b"---\n", b"...\n", b"NaN", b"Infinity", b"1e999",
    b"9" * 30, b"9" * 5000, b"[" * 50, b"[" * 20_000, b'{"a":' * 20_000, b"- " * 3000, b"\\ud800",
    b"\\U00110000",
)  # fmt: skip
_WAIT_SECONDS = 60.0


class _TooLong(BaseException):
    """No handler of what is attacked may take it for a failure of its own."""


@contextlib.contextmanager
def bounded(seconds: float = 5.0, megabytes: int = 1024) -> Iterator[None]:
    """Ends what computes for longer, waits for a minute, or takes more memory beside what is in use.

    It is for the main thread only.

    Raises:
        TimeoutError: If it takes longer. What takes more memory meets a ``MemoryError``.
    """

    def expired(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    timers = (
        (signal.ITIMER_PROF, signal.SIGPROF, seconds),  # of this process: others may compute too
        (signal.ITIMER_REAL, signal.SIGALRM, _WAIT_SECONDS),
    )
    handlers = [signal.signal(number, expired) for _, number, _ in timers]
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, limits[1]))
    for timer, _, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield
    except _TooLong:
        raise TimeoutError(f"it computes for {seconds:g} seconds or waits for a minute") from None
    finally:
        for (timer, number, _), handler in zip(timers, handlers, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def damaged(content: bytes, draw: random.Random) -> bytes:
    """A file whose bytes, lines or words are not what they were, in one to three places."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        content = draw.choice((_bytes, _bytes, _lines, _lines, _words))(content, draw)
    return content


def _bytes(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content) + 1)
    upto = min(len(content), at + draw.choice((0, 1, 1, 2, 8, 100)))
    new = draw.choice((b"", draw.randbytes(draw.randint(1, 4)), draw.choice(_ODD_BYTES)))
    if draw.random() < 0.1:  # what a broken copy leaves
        return content[:at]
    if draw.random() < 0.3 and content:  # one bit
        at = min(at, len(content) - 1)
        return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
    return content[:at] + new + content[upto:]


def _lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines(keepends=True) or [b""]
    at, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    line = lines[at]
    match draw.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, line)
        case 2:
            lines[at], lines[other] = lines[other], line
        case 3:
            lines[at] = b" " * draw.choice((1, 2, 4, 40)) + line
        case 4:
            lines[at] = line.lstrip()
        case 5:
            lines[at : at + 1] = [line] * draw.choice((2, 2, 3, 200))
    return b"".join(lines)


def _words(content: bytes, draw: random.Random) -> bytes:
    words = content.split(b" ")
    at, other = draw.randrange(len(words)), draw.randrange(len(words))
    words[at] = draw.choice((b"", words[other], words[at] + words[other], draw.choice(_ODD_BYTES)))
    return b" ".join(words)


def altered(data: Any, draw: random.Random, words: tuple[str, ...] = ()) -> Any:
    """Plain data of which one to three values or names are others; the rest is as it was.

    ``words`` are texts that mean something to whoever reads it, such as names of other numbers.
    """
    data = copy.deepcopy(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = list(_places(data))
        if not places:
            break
        holder, key = draw.choice(places)
        _alter(holder, key, draw.choice(places), draw, words)
    return data


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    items: Any = ()
    if isinstance(data, dict):
        items = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    for key, value in items:
        yield data, key
        yield from _places(value)


def _alter(
    holder: Any, key: Any, other: tuple[Any, Any], draw: random.Random, words: tuple[str, ...]
) -> None:
    value = holder[key]
    match draw.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            del holder[key]
            name = draw.choice((f"{key}s", str(key)[:-1], str(key).upper(), *_ODD_TEXTS, *words))
            holder[name] = value
        case 1:
            holder.insert(key, copy.deepcopy(value))
        case 2:
            holder[key] = copy.deepcopy(
                other[0].get(other[1]) if isinstance(other[0], dict) else None
            )
        case 3:
            holder[key] = _of_another_type(value, draw)
        case _:
            holder[key] = draw.choice((_odd(draw), _close_to(value, draw), *words[:1]))
            if words and draw.random() < 0.3:
                holder[key] = draw.choice(words)


def _odd(draw: random.Random) -> Any:
    deep: Any = 0
    for _ in range(draw.choice((3, 30, 300))):
        deep = [deep] if draw.random() < 0.5 else {"a": deep}
    return draw.choice(
        (draw.choice(_ODD_TEXTS), draw.choice(_ODD_NUMBERS), None, True, [], {}, deep)
    )


def _close_to(value: Any, draw: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return draw.choice((-value, value + 1, value * 10, float(value), value / 3))
    if isinstance(value, str):
        at = draw.randrange(len(value) + 1)
        return value[:at] + draw.choice(("", *_ODD_TEXTS)) + value[at + 1 :]
    return value


def _of_another_type(value: Any, draw: random.Random) -> Any:
    return draw.choice((str(value), [value], {"value": value}, bool(value), None, 7))
