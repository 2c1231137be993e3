"""What notebooks and other projects rely on: names, arguments, examples, and a light import."""

import doctest
import inspect
import pkgutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import repro
import ssbrepro
from repro.code import module_digests
from ssbrepro.papers import stages

# Arguments by name, with an "=" where they may be left out.
FUNCTIONS = {
    "networks.vgg12": "width= generator= num_convolutions= initialisation=",
    "probes.operators.hessian_operator": ("model loss inputs targets backend= dtype= chunk_size="),
    "probes.spectra.lanczos": "matvec start num_steps",
    "probes.spectra.top_eigenpairs": "operator k generator tolerance= max_steps=",
    "probes.spectra.moments": "operator powers= generator num_probes= known=",
    "probes.spectra.density": "operator generator num_vectors= num_steps= grid= sigma=",
    "training.losses.hinge": "outputs targets",
    "probes.circuits.count_circuits": "model inputs",
    "probes.circuits.sample_circuits": (
        "model input num_samples order= active= with_input= generator="
    ),
    "probes.entries.per_example_entries": "model loss inputs targets rows columns",
    "probes.controls.intact_copy": "model inputs generator",
    "probes.controls.broken_copy": "model inputs share generator",
    "probes.controls.breaking_index": "measured intact broken",
    "statistics.reflection_asymmetry": "values weights=",
    "statistics.sign_flip_test": "values generator num_flips= weights=",
}
FIELDS = {
    "probes.spectra.Quadrature": "nodes weights residuals",
    "probes.spectra.Eigenpairs": "values vectors residuals",
    "probes.spectra.Density": "grid values errors sigma",
    "probes.circuits.CircuitCounts": "log_all log_active",
    "probes.circuits.CircuitSample": "log_abs sign layers_removed units",
}
WITH_EXAMPLES = [
    *(name for name in FUNCTIONS if name.startswith("probes.")),
    "probes.operators.HessianOperator",
]


def public(name):
    package, _, attribute = name.rpartition(".")  # a module may have the name of its function
    return pkgutil.resolve_name(f"ssbrepro.{package}:{attribute}")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_their_arguments(name):
    parameters = inspect.signature(public(name)).parameters.values()
    written = [one.name + "=" * (one.default is not one.empty) for one in parameters]
    assert written == FUNCTIONS[name].split()


@pytest.mark.parametrize("name", FIELDS)
def test_results_have_their_fields(name):
    assert public(name)._fields == tuple(FIELDS[name].split())


@pytest.mark.parametrize("member", ["dim", "shape", "dtype", "matvec", "gradient", "to_scipy"])
def test_operators_have_their_members(member):
    documented = public("probes.operators.HessianOperator")
    assert hasattr(documented, member) or f"{member}:" in documented.__doc__


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run_and_print_what_they_say(name):
    given = public(name)
    found = [
        test
        for test in doctest.DocTestFinder().find(given, name, globs={given.__name__: given})
        if test.examples
    ]
    assert found, "there is no example"
    for test in found:
        assert doctest.DocTestRunner().run(test).failed == 0


def test_the_import_is_light_and_finds_packages_when_they_are_named():
    code = (
        "import sys, ssbrepro; "
        "assert not {'torch', 'numpy', 'scipy'} & {*sys.modules}; "
        "assert {'networks', 'probes'} <= {*dir(ssbrepro)}; "
        "assert not hasattr(ssbrepro, 'nothing'); "
        "assert {'circuits', 'spectra'} <= {*dir(ssbrepro.probes)}; "
        "print(ssbrepro.statistics.reflection_asymmetry.__name__); "
        "assert 'torch' not in sys.modules"
    )
    root = Path(ssbrepro.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout == "reflection_asymmetry\n"


def test_the_version_is_that_of_the_installed_project():
    assert version("ssbrepro") == ssbrepro.__version__


@pytest.mark.parametrize("package", [repro, ssbrepro])
def test_packages_say_that_they_are_typed(package):
    assert Path(package.__file__).with_name("py.typed").is_file()


@pytest.mark.parametrize("paper", ["li2022", "ssb2018"])
def test_no_key_of_a_stage_depends_on_the_version(paper):
    for stage in stages(paper):
        digests = module_digests(f"ssbrepro.papers.{paper}.stages.{stage}")
        assert digests
        assert not {"ssbrepro", "repro"} & {*digests}
