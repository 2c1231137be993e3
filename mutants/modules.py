"""Which modules are changed, those whose faults would make wrong numbers or verdicts; their tests."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

# Most important first.
PATTERNS = (
    *(
        f"repro/outcome/{name}.py"
        for name in (
            "checks", "pooling", "intervals", "machines", "predictions", "references", "merging",
        )
    ),
    "ssbrepro/statistics/*.py",
    *(f"repro/{name}.py" for name in ("store", "arrays", "files", "plan", "code", "scheduler")),
    "ssbrepro/probes/**/*.py",
    "repro/engines/*.py",
)  # fmt: skip

_OPERATORS = ("operators/test_operators.py", "operators/test_interface.py")
_ENTRIES = ("entries/test_per_example.py", "entries/test_sampling.py", "entries/test_coupling.py")
_TASKS = ("test_worker.py", "test_inline.py", "test_local.py", "test_engine.py::TestInline")
# The tests of a module are those of its name in the same folder of tests/, but of these.
_ELSEWHERE: dict[str, dict[str, tuple[str, ...]]] = {
    "repro/outcome": {"references.py": ("test_references.py", "test_merging.py")},
    "ssbrepro/probes": {
        "arguments.py": ("test_arguments.py", "operators/test_interface.py"),
        **dict.fromkeys(
            (
                "operators/__init__.py", "operators/autograd.py", "operators/cached.py",
                "operators/linear_maps.py", "operators/operator.py", "operators/pyhessian.py",
            ),
            _OPERATORS,
        ),
        "entries/examples.py": _ENTRIES,
        "entries/tangents.py": _ENTRIES,
    },
    "repro/engines": {
        "cluster.py": ("test_slurm.py",),
        "compute.py": ("test_compute.py", *_TASKS),
        # What every engine has to do is tested of each, of Slurm's where its own is.
        "inline.py": ("test_inline.py", "test_engine.py::TestInline"),
        "local.py": ("test_local.py", "test_engine.py::TestLocal"),
        "nodes.py": ("test_slurm.py",),
        "nursery.py": ("test_nursery.py", "test_local.py"),
    },
}  # fmt: skip
TESTS = {
    f"{folder}/{name}": tuple(f"tests/{folder}/{test}" for test in tests)
    for folder, elsewhere in _ELSEWHERE.items()
    for name, tests in elsewhere.items()
}


def modules(checkout: Path = CHECKOUT) -> dict[str, tuple[str, ...]]:
    """The files of tests of each module, both relative to the checkout, in the order of their weight.

    A module that only re-exports others, as most ``__init__.py`` do, has nothing that could be changed.
    """
    found: dict[str, tuple[str, ...]] = {}
    for pattern in PATTERNS:
        for path in sorted(checkout.glob(pattern)):
            name = path.relative_to(checkout).as_posix()
            if path.name != "__init__.py" or name in TESTS:
                mirrored = (f"tests/{name.replace(path.name, f'test_{path.name}')}",)
                found[name] = TESTS.get(name, mirrored)
    return found
