"""The names a user may write, and the right one nearest to a wrong one."""

import difflib
from collections.abc import Iterable

PROFILES = ("smoke", "desk", "paper")
DEVICES = ("cpu", "cuda")
NOT_COMPUTABLE = "not-computable"  # the kind, and the status, of a figure that nothing computes


def nearest_names(name: str, known: Iterable[str]) -> str:
    """A " (did you mean …?)" for a misspelt name, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(close)}?)" if close else ""
