"""Imports that wait until what they import is used.

Declaring a stage needs neither NumPy nor PyTorch, running it does; with this, both stand in one module::

    with lazily():
        import torch

        from ssbrepro.probes.entries import bootstrap

A module is imported when one of its names is looked up for the first time. Names themselves cannot be
imported so, and nor can ``import a.b``: looking them up is what has to wait.
"""

import builtins
import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any


class _Waiting(ModuleType):
    """Stands for a module that nobody has used yet."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def _wait(
    name: str, _globals: object, _locals: object, fromlist: Sequence[str] | None, level: int
) -> Any:
    """In the place of ``__import__``.

    Raises:
        ImportError: If the import is of a form that cannot wait.
    """
    if level or ("." in name and not fromlist):
        raise ImportError(f"{name}: only `import a` and `from a.b import c` can wait")
    if fromlist:
        return SimpleNamespace(**{module: _Waiting(f"{name}.{module}") for module in fromlist})
    return _Waiting(name)


@contextlib.contextmanager
def lazily() -> Iterator[None]:
    """Let the imports in this block wait."""
    real = builtins.__import__
    builtins.__import__ = _wait  # type: ignore[assignment]
    try:
        yield
    finally:
        builtins.__import__ = real


def submodules(
    package: str, *names: str
) -> tuple[Callable[[str], ModuleType], Callable[[], list[str]]]:
    """A package's ``__getattr__`` and ``__dir__``, to import its modules when first named (PEP 562)."""

    def find(name: str) -> ModuleType:
        if name in names:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find, lambda: sorted({*vars(sys.modules[package]), *names})
