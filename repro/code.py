"""A digest of the code behind a stage that ignores comments, docstrings and layout."""

import ast
import hashlib
import importlib.util
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_PACKAGES = ("ssbrepro", "repro")
DIRTY = "-dirty"  # the end of a commit from which files differ
_CHECKOUT = Path(__file__).resolve().parent.parent


@cache
def module_digests(module: str) -> dict[str, str]:
    """SHA-256 of each of our modules that ``module`` imports, itself included."""
    digests: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in digests:
            continue
        path = source(name)
        if path is None:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        waiting += _imported(tree)
        _strip_docstrings(tree)
        digests[name] = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return dict(sorted(digests.items()))


def _imported(tree: ast.Module) -> Iterator[str]:
    """Modules of the science named in import statements; possibly names inside modules.

    Yields:
        Full names, with repetitions.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in _PACKAGES:
            modules = [
                name for alias in node.names if source(name := f"{node.module}.{alias.name}")
            ]
            yield from modules
            if len(modules) < len(node.names):  # what is no module is a name in the package
                yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (n.name for n in node.names if n.name.split(".")[0] in _PACKAGES)


def source(name: str) -> Path | None:
    """The file of a module of ours, or None if it is no module.

    Found by its path: ``find_spec`` would import the packages around it, and with them PyTorch.
    """
    package, *rest = name.split(".")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0])
    candidates = (folder.joinpath(*rest, "__init__.py"), folder.joinpath(*rest).with_suffix(".py"))
    return next((path for path in candidates if path.exists()), None)


def _strip_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (
            node.body
            and isinstance(node.body[0], ast.Expr)
            and isinstance(node.body[0].value, ast.Constant)
            and isinstance(node.body[0].value.value, str)
        ):
            node.body = node.body[1:] or [ast.Pass()]


@cache
def commit(checkout: Path = _CHECKOUT) -> str:
    """A checkout's commit, with "-dirty" if files differ from it; empty if there is none to name."""
    if not (checkout / ".git").exists():  # installed, and any repository around it is another one
        return ""
    describe = ["describe", "--always", f"--dirty={DIRTY}", "--abbrev=40", "--exclude=*"]
    command = ["git", "-C", str(checkout), *describe]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, or not ours to read
        return ""
    return done.stdout.strip()
