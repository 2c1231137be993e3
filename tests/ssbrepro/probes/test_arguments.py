"""What circuits, entries, copies and quadratures refuse, and what their results say in one line."""

import math

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from ssbrepro.probes.circuits import count_circuits, sample_circuits
from ssbrepro.probes.controls import intact_copy
from ssbrepro.probes.entries import entry_grid, per_example_entries
from ssbrepro.probes.spectra import lanczos, top_eigenpairs
from ssbrepro.training.losses import hinge
from tests.oracles.nets import problem

LOADER = DataLoader(TensorDataset(torch.ones(2)))


def entries(model, inputs, targets, function=per_example_entries):
    return function(model, hinge, inputs, targets, torch.tensor([0]), torch.tensor([100]))


TAKE_A_MODEL = {
    "count_circuits": count_circuits,
    "sample_circuits": lambda model, inputs: sample_circuits(model, inputs, 1),
    "intact_copy": lambda model, inputs: intact_copy(model, inputs, torch.Generator()),
    "per_example_entries": lambda model, inputs: entries(model, inputs, torch.ones(2)),
    "entry_grid": lambda model, inputs: entries(model, inputs, torch.ones(2), entry_grid),
}


@pytest.mark.parametrize("name", TAKE_A_MODEL)
def test_what_is_no_tensor_and_no_module_is_refused(name):
    model, inputs, _ = problem("fully-connected")
    with pytest.raises(TypeError, match=r"inputs? is a DataLoader, not a tensor; join its batches"):
        TAKE_A_MODEL[name](model, LOADER)
    with pytest.raises(TypeError, match=r"inputs? is a ndarray, not a tensor; torch.as_tensor"):
        TAKE_A_MODEL[name](model, inputs.numpy())
    for neither in ([inputs], 3):
        with pytest.raises(
            TypeError, match=r"inputs? is a \w+, not a tensor; give one tensor whose"
        ):
            TAKE_A_MODEL[name](model, neither)
    with pytest.raises(TypeError, match=r"model is a function, not a torch.nn.Module"):
        TAKE_A_MODEL[name](hinge, inputs)


@pytest.mark.parametrize("function", [per_example_entries, entry_grid])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one._replace(targets=(one.targets + 1) / 2), "labels"),
        (lambda one: one._replace(targets=one.targets[:, None]), r"targets \(examples, 1\)"),
        (lambda one: one._replace(targets=one.targets[1:]), "17 inputs, but 16 targets"),
        (lambda one: one._replace(inputs=one.inputs * math.nan), "inputs hold NaN"),
        (lambda one: one._replace(inputs=one.inputs.float()), "float32 on cpu, the weights"),
        (lambda one: one._replace(model=one.model.half(), inputs=one.inputs.half()), "float16"),
    ],
)
def test_examples_without_entries_are_refused(function, change, message):
    with pytest.raises(ValueError, match=message):
        entries(*change(problem("fully-connected")), function)


def test_a_mean_over_no_examples_is_no_entry():
    model, inputs, targets = problem("fully-connected")
    with pytest.raises(ValueError, match="no examples"):
        entries(model, inputs[:0], targets[:0], entry_grid)


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        (np.ones(3), TypeError, "start is a ndarray"),
        (torch.ones(3, dtype=torch.int64), TypeError, "int64; give float32 or float64"),
        (torch.ones(3, 1), ValueError, r"shape \(3, 1\); give \(dim,\)"),
    ],
)
def test_start_vectors_are_vectors(start, error, message):
    with pytest.raises(error, match=message):
        lanczos(lambda vector: vector, start, 2)


def test_results_say_what_they_are_in_one_short_line():
    eigenvalues = torch.tensor([-2.0, 1.0, 3.0, 4.0]).double()
    generator = torch.Generator().manual_seed(0)
    rule = lanczos(lambda vector: eigenvalues * vector, torch.ones(4).double(), 4)
    assert repr(rule) == "Quadrature(4 nodes from -2 to 4)"
    model, inputs, _ = problem("fully-connected")
    counts = count_circuits(model, inputs)
    assert repr(counts).startswith("CircuitCounts(17 examples, log_all 8.12, log_active ")
    assert repr(count_circuits(model, inputs[:0])) == "CircuitCounts(no examples)"
    sample = sample_circuits(model, inputs[0], 7, order=2, active=False, generator=generator)
    zeros = int((sample.sign == 0).sum())
    assert repr(sample) == f"CircuitSample(7 of order 2, {zeros} of them zero)"


class Chosen:
    """A diagonal operator."""

    dim, dtype, device = 4, torch.float64, torch.device("cpu")

    def matvec(self, vector):
        return torch.tensor([-2.0, 1.0, 3.0, 4.0]).double() * vector


def test_eigenpairs_say_what_they_are_though_there_are_none():
    pairs = top_eigenpairs(Chosen(), 1, torch.Generator().manual_seed(0))
    assert repr(pairs).startswith("Eigenpairs(1 a side, from 4 and -2, residuals up to ")
    assert repr(pairs.converged(-1.0)) == "Eigenpairs(none)"
