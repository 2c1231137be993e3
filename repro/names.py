"""The names a user may write, and the right one nearest to a wrong one."""

import difflib
from collections.abc import Iterable

from repro.errors import UsageError

DEVICES = ("cpu", "cuda")
AUTO = "auto"  # the device, and the profile, that suits the machine
NOT_COMPUTABLE = "not-computable"  # the kind, and the status, of a figure that nothing computes


def nearest_names(name: str, known: Iterable[str]) -> str:
    """A " (did you mean …?)" for a misspelt name, or nothing."""
    close = nearest(name, known)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def require(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise unless a name is known.

    Raises:
        UsageError: Which says what there is.
    """
    names = list(known)
    if name not in names:
        hint = nearest_names(name, names)
        raise UsageError(f"no {kind} {name!r}{hint}; there are {', '.join(names)}")


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """At most three known names that a misspelt one may stand for, the most likely first."""
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)


def plot_module(figure_id: str) -> str:
    """The module that draws a figure, found from its id: ``li2022/fig8a``, ``ssb2018/lr-drop``."""
    paper, _, figure = figure_id.partition("/")
    return f"ssbrepro.papers.{paper}.figures.{figure.replace('-', '_')}"
