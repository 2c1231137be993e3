"""Who may import whom, and what nobody may call."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import repro
import ssbrepro
from repro.code import module_digests
from ssbrepro.contract import Context, Result
from ssbrepro.papers import stages

SCIENCE = Path(ssbrepro.__file__).parent
HARNESS = Path(repro.__file__).parent

PAPERS = sorted(path.parent.name for path in SCIENCE.glob("papers/*/__init__.py"))

# What the harness may know of the science, and where it may know more.
DOOR = {
    "ssbrepro.papers.stage",
    "ssbrepro.papers.stages",
    "ssbrepro.contract",
    "ssbrepro.domains",
}
ALSO = {
    "ssbrepro.memory": "compute.py",
    "ssbrepro.papers.style": "picture.py",  # the look that all pictures share
    "ssbrepro.data": "",  # anywhere: `repro data`, `repro doctor`, a stage's data error
}
ONLY_IN = {
    "mlflow": {"outcome/tracking/connecting.py", "outcome/tracking/sending.py"},
    "docker": {"container.py"},
}


def modules(package: Path) -> list[Path]:
    found = sorted(package.rglob("*.py"))
    assert len(found) > 10, "this is not the whole package"
    return found


def imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Full names of what a module imports, wherever in it, as far as syntax tells."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: 1 - node.level or None], base]).strip(".")
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("__import__", "importlib.import_module", "import_module") and node.args:
                argument = node.args[0]
                if isinstance(argument, ast.Constant):
                    yield str(argument.value)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports_of(path: Path, root: Path) -> set[str]:
    package = ".".join([root.name, *path.relative_to(root).parts[:-1]])
    return set(imported(parsed(path), package))


def imports(root: Path) -> list[tuple[Path, str]]:
    """Every module of a package with each of its imports."""
    return [(path, name) for path in modules(root) for name in sorted(imports_of(path, root))]


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def test_imports_are_found_wherever_they_hide():
    tree = ast.parse(
        """
import mlflow.entities as e
def late():
    from repro import plan
    if True:
        import yaml
    from ..sibling import thing
    importlib.import_module("docker")
"""
    )
    assert set(imported(tree, "a.b")) == {
        "mlflow.entities",
        "repro.plan",
        "yaml",
        "a.sibling.thing",
        "docker",
    }


def test_the_science_knows_nothing_of_the_harness():
    theirs = {"repro", "mlflow", "docker", "yaml", "typer", "pydantic"}
    assert [one for one in imports(SCIENCE) if one[1].split(".")[0] in theirs] == []


def test_tools_know_no_paper_and_papers_not_each_other():
    for path, name in imports(SCIENCE):
        place, *rest = path.relative_to(SCIENCE).parts
        paper = f"ssbrepro.papers.{rest[0]}" if place == "papers" and len(rest) > 1 else None
        if place != "papers":
            assert not within(name, "ssbrepro.papers"), path
        elif any(within(name, f"ssbrepro.papers.{one}") for one in PAPERS):
            assert paper is not None, f"{path} imports {name}"
            assert within(name, paper), path


FLOORS = {"data": 0, "networks": 0, "statistics": 0, "training": 1, "probes": 2, "papers": 3}


def test_tools_use_what_is_below_them():
    for path, name in imports(SCIENCE):
        place = path.relative_to(SCIENCE).parts[0]
        _, _, other = name.partition("ssbrepro.")
        other = other.split(".")[0]
        if other in FLOORS and other != place:
            assert FLOORS[other] < FLOORS.get(place, -1), f"{path} imports {name}"


def test_figures_draw_and_compute_nothing():
    libraries = {"numpy", "matplotlib", "mpl_toolkits", "ssbrepro"} | sys.stdlib_module_names
    light = ("ssbrepro.contract", "ssbrepro.domains", "ssbrepro.papers")
    figures = sorted(SCIENCE.glob("papers/*/figures/*.py"))
    assert len(figures) > 10
    for path in figures:
        assert {name.split(".")[0] for name in imports_of(path, SCIENCE)} <= libraries, path
        module = ".".join(["ssbrepro", *path.relative_to(SCIENCE).with_suffix("").parts])
        for name in module_digests(module):  # all of ours that is imported, by whomever
            assert any(within(name, one) for one in light), path
            assert ".stages." not in name, path


def test_the_harness_enters_the_science_by_its_door():
    for path, name in imports(HARNESS):
        if not within(name, "ssbrepro") or name == "ssbrepro.__version__":
            continue
        if any(within(name, module) for module in DOOR):
            continue
        places = [place for module, place in ALSO.items() if within(name, module)]
        assert places, f"{path.name} imports {name}"
        assert path.name.startswith(places[0])


def test_the_door_is_used():
    names = {name for _, name in imports(HARNESS)}
    assert {"ssbrepro.papers.stages", "ssbrepro.contract.Result"} <= names


@pytest.mark.parametrize("package", ONLY_IN)
def test_outside_services_are_each_imported_in_one_place(package):
    importers = {
        path.relative_to(HARNESS).as_posix()
        for path, name in imports(HARNESS)
        if within(name, package)
    }
    assert importers == ONLY_IN[package]


UNSAFE = {
    "torch.load",
    "joblib.load",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "dill.load",
    "marshal.load",
    "marshal.loads",
    "shelve.open",
    "yaml.load",
    "yaml.load_all",
    "yaml.unsafe_load",
    "yaml.full_load",
    "eval",
    "exec",
}


def unsafe_calls(tree: ast.Module) -> Iterator[str]:
    """Calls that could run what they read, by their names in full, renamed imports included."""
    renamed = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                renamed[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                renamed[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        head, dot, rest = ast.unparse(node.func).partition(".")
        name = renamed.get(head, head) + dot + rest
        if name in UNSAFE:
            yield f"{name}, line {node.lineno}"
        for keyword in node.keywords:
            safe = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if keyword.arg == "allow_pickle" and not safe:
                yield f"{name}(allow_pickle), line {node.lineno}"


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(p)",
        "from torch import load as read\nread(p)",
        "import pickle as p\np.loads(b)",
        "import yaml\nyaml.load(t, Loader=yaml.SafeLoader)",
        "import numpy as np\nnp.load(p, allow_pickle=True)",
        "import numpy as np\nnp.load(p, allow_pickle=flag)",
        "eval(text)",
    ],
)
def test_an_unsafe_call_is_found_under_any_name(source):
    assert len(list(unsafe_calls(ast.parse(source)))) == 1


def test_safe_calls_pass():
    source = "import numpy as np\nnp.load(p, allow_pickle=False)\nmodel.eval()\nnp.load(p)"
    assert not list(unsafe_calls(ast.parse(source)))


def test_nothing_is_unpickled_or_evaluated():
    for path in (*modules(SCIENCE), *modules(HARNESS)):
        assert not list(unsafe_calls(parsed(path))), path


def test_the_door_is_light():
    # A command that only reads manifests does not wait for PyTorch.
    code = (
        f"import sys; from ssbrepro.papers import stages; [stages(paper) for paper in {PAPERS}]; "
        "print({'torch', 'numpy', 'matplotlib', 'scipy'} & set(sys.modules) or 'light')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SCIENCE.parent
    )
    assert done.stdout.strip() == "light"


@pytest.mark.parametrize("paper", PAPERS)
def test_every_stage_is_the_module_of_its_name(paper):
    found = stages(paper)
    folder = SCIENCE / "papers" / paper / "stages"
    assert {*found} == {path.stem for path in folder.glob("*.py")} - {"__init__"}
    for name, stage in found.items():
        assert (stage.name, stage.module) == (name, f"ssbrepro.papers.{paper}.stages.{name}")
        assert stage.numbers
        assert set(stage.needs) <= set(found) - {name}
    order = list(found)
    assert all(
        order.index(needed) < order.index(name) for name in order for needed in found[name].needs
    )


def test_a_stage_that_measures_what_cannot_be_is_refused():
    stage = stages("li2022")["surfaces"]
    context = Context(seed=0, device="cpu", data_root=Path("unused"))
    numbers = dict.fromkeys(stage.numbers, 1.0)

    def measured(**changes):
        def wrong(parameters, context):
            return Result({}, numbers | changes)

        wrong.__module__ = stage.module
        return replace(stage, function=wrong).run(None, context)

    assert measured().numbers == numbers
    assert measured(gradient_max=-1e-12).numbers["gradient_max"] < 0  # rounding
    with pytest.raises(RuntimeError, match=r"surfaces: gradient_max = -1.0, not in \[0, inf\]"):
        measured(gradient_max=-1.0)
    with pytest.raises(RuntimeError, match="surfaces measured"):
        measured(another=1.0)
