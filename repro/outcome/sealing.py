"""JSON that carries the digest of its own bytes in its last field."""

import hashlib
from collections.abc import Mapping
from typing import Any

from repro import files

_FIELD = b'"seal": "'  # nowhere in a text of JSON, where its quotes would be escaped
_NONE = b"0" * 64


def sealed(content: Mapping[str, Any]) -> bytes:
    """Readable JSON (no NaN) with a last field ``seal``: SHA-256 of all, where the seal is zeros."""
    text = files.readable_json({**content, "seal": _NONE.decode()})
    head, tail = _parts(text.encode())
    return head + _digest(head, tail) + tail


def is_sealed(content: bytes) -> bool:
    """Whether bytes are just as :func:`sealed` made them."""
    head, tail = _parts(content)
    return content == head + _digest(head, tail) + tail


def _parts(content: bytes) -> tuple[bytes, bytes]:
    """What is before the seal, and after it."""
    before, field, rest = content.rpartition(_FIELD)
    return before + field, rest[len(_NONE) :]


def _digest(head: bytes, tail: bytes) -> bytes:
    return hashlib.sha256(head + _NONE + tail).hexdigest().encode()
