"""Operators as SciPy sees them, what takes the place of the fast backend, and what is refused."""

import math
import re

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh, lobpcg
from torch import nn
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

from ssbrepro.probes.operators import SlowBackendWarning, hessian_operator
from ssbrepro.probes.operators.operator import HessianOperator
from ssbrepro.probes.risk import HingeRisk
from ssbrepro.training.losses import hinge
from tests.oracles.hessians import dense_derivatives
from tests.oracles.nets import problem

BACKENDS = ("autograd", "cached", "pyhessian")


def operator(backend="cached", dtype=torch.float64):
    model, inputs, targets = problem("fully-connected")
    found = hessian_operator(model, hinge, inputs, targets, backend, dtype)
    return found, dense_derivatives(model, hinge, inputs, targets)[1].numpy()


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_scipy_finds_the_eigenvalues_of_the_dense_hessian(backend, dtype, rounding):
    hessian, dense = operator(backend, dtype)
    assert hessian.shape == dense.shape
    given = hessian.to_scipy()
    assert isinstance(given, LinearOperator)
    assert given.shape == dense.shape
    assert given.dtype == np.dtype(str(dtype).removeprefix("torch."))
    start = np.random.default_rng(0).normal(size=hessian.dim)
    values, vectors = eigsh(given, k=4, which="BE", v0=start.astype(given.dtype))
    true = np.linalg.eigvalsh(dense)
    expected = [true[0], true[1], true[-2], true[-1]]
    # Roundings of a product, of a matrix of the size of the largest eigenvalue.
    np.testing.assert_allclose(values, expected, atol=rounding * np.abs(true).max())
    assert vectors.dtype == given.dtype


def test_scipy_may_give_vectors_of_any_layout_that_it_does_not_let_be_written():
    hessian, dense = operator()
    given, rows = hessian.to_scipy(), np.random.default_rng(0).normal(size=(hessian.dim, 6))
    rows.setflags(write=False)
    np.testing.assert_allclose(given @ rows, dense @ rows, atol=1e-13)
    np.testing.assert_allclose(given.H @ rows[::-1, :1], dense @ rows[::-1, :1], atol=1e-13)
    np.testing.assert_allclose(given @ np.arange(hessian.dim), dense @ np.arange(hessian.dim))
    values, _ = lobpcg(given, rows, tol=1e-9, maxiter=200)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(dense)[:-7:-1], atol=1e-7)
    with pytest.raises(TypeError, match="complex128"):
        given @ (1j * rows)


class Elsewhere(HessianOperator):
    """The identity on a device whose memory no NumPy array sees; only shapes are there."""

    def __init__(self):
        super().__init__([torch.empty(3, device="meta")], 1)
        self.seen = []

    def matvec(self, vector):
        self.seen.append(vector.device.type)
        return self._matvec(vector)

    def _matvec(self, vector):
        return torch.ones(3)

    def gradient(self):
        raise NotImplementedError


def test_vectors_are_moved_to_the_operators_device():
    elsewhere = Elsewhere()
    product = elsewhere.to_scipy() @ np.zeros(3)
    assert elsewhere.seen == ["meta"]
    assert isinstance(product, np.ndarray)


@pytest.mark.parametrize("method", ["_matvec", "gradient"])
def test_a_backend_has_products_and_a_gradient(method):
    has = {"_matvec": Elsewhere._matvec, "gradient": Elsewhere.gradient}
    del has[method]
    with pytest.raises(TypeError, match=f"abstract method '?{method}"):
        type("Incomplete", (HessianOperator,), has)([torch.ones(3)], 1)


def test_an_operator_says_what_it_is_in_one_short_line():
    hessian, _ = operator(dtype=torch.float32)
    assert repr(hessian) == "<CachedOperator: 192 weights, 17 examples, float32 on cpu>"


def with_a_bias():
    return nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1, bias=False), nn.Flatten(0))


def test_a_model_that_the_fast_backend_does_not_take_gets_the_general_one_with_a_warning():
    generator = torch.Generator().manual_seed(0)
    model, inputs = with_a_bias().double(), torch.randn(4, 3, generator=generator).double()
    targets = torch.tensor([1.0, -1.0, 1.0, -1.0]).double()
    with pytest.warns(SlowBackendWarning, match=r"layer 0 \(Linear\) has a bias") as warned:
        found = hessian_operator(model, hinge, inputs, targets, dtype=torch.float64)
    assert warned[0].filename == __file__  # where the call is
    vector = torch.randn(found.dim, generator=generator).double()
    _, dense = dense_derivatives(model, hinge, inputs, targets)
    torch.testing.assert_close(found.matvec(vector), dense @ vector)
    hessian_operator(model, hinge, inputs, targets, "autograd")  # asked for: no warning
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):  # no backend's fault
        hessian_operator(model, hinge, inputs[:, :2], targets)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": "vgg12"}, TypeError, "model is a str"),
        ({"inputs": DataLoader(TensorDataset(torch.ones(2)))}, TypeError, "DataLoader.*torch.cat"),
        ({"inputs": np.ones((2, 3))}, TypeError, "inputs is a ndarray.*torch.as_tensor"),
        ({"targets": [1.0, -1.0]}, TypeError, "targets is a list, not a tensor"),
        ({"targets": torch.ones(3)}, ValueError, "2 inputs, but 3 targets"),
        ({"targets": torch.tensor(1.0)}, ValueError, "first axis"),
        ({"targets": torch.tensor([0.0, 1.0])}, ValueError, r"2 \* targets - 1"),
        ({"targets": torch.tensor([math.nan, 1.0])}, ValueError, "targets hold NaN"),
        ({"inputs": torch.full((2, 3), math.inf)}, ValueError, "inputs hold NaN or infinity"),
        ({"inputs": torch.ones(2, 3, device="meta")}, ValueError, r"inputs are on meta.*\.to\(cpu"),
        ({"inputs": torch.ones(0, 3), "targets": torch.ones(0)}, ValueError, "no examples"),
        ({"targets": torch.ones(2, 1)}, ValueError, r"\(examples\) and targets \(examples, 1\)"),
        ({"loss": lambda outputs, targets: outputs}, ValueError, r"shape \(2,\), not \(\)"),
        ({"dtype": torch.float16}, ValueError, "float16 are not supported; take float32"),
        ({"chunk_size": 0}, ValueError, "chunk_size must be at least 1"),
    ],
)
def test_what_would_be_no_hessian_is_refused_with_the_way_out(backend, change, error, message):
    model = nn.Sequential(nn.Linear(3, 1, bias=False), nn.Flatten(0))
    good = {
        "model": model,
        "loss": hinge,
        "inputs": torch.ones(2, 3),
        "targets": torch.tensor([1.0, -1.0]),
    }
    with pytest.raises(error, match=message):
        hessian_operator(**(good | {"backend": backend} | change)).gradient()


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_output_axis_too_many_is_refused_before_a_loss_broadcasts_it(backend):
    model, inputs = nn.Sequential(nn.Linear(3, 1, bias=False)), torch.ones(4, 3)
    with pytest.raises(ValueError, match=r"outputs \(examples, 1\) and targets \(examples\)"):
        hessian_operator(model, mse_loss, inputs, torch.ones(4), backend)


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.BatchNorm1d(3), (2, 3)), (nn.Dropout(0.1), (2, 3))]
)
def test_layers_that_mix_or_drop_in_training_need_evaluation_mode(layer, shape):
    model = nn.Sequential(layer, nn.Linear(3, 1, bias=False), nn.Flatten(0))
    given = hinge, torch.ones(shape), torch.ones(2), "autograd"
    message = rf"layer 0 \({type(layer).__name__}\) is in training mode.*model.eval\(\)"
    with pytest.raises(ValueError, match=message):
        hessian_operator(model.train(), *given)
    assert hessian_operator(model.eval(), *given).gradient().isfinite().all()


def test_a_dropout_that_drops_nothing_may_be_in_training():
    model, inputs, targets = problem("fully-connected")
    expected = hessian_operator(model, hinge, inputs, targets, "autograd", torch.float64).gradient()
    model.append(nn.Dropout(0.0)).train()
    given = hessian_operator(model, hinge, inputs, targets, "autograd", torch.float64)
    assert torch.equal(given.gradient(), expected)


def test_weights_that_are_not_finite_are_named():
    model, inputs, targets = problem("two-layer")
    with torch.no_grad():
        [*model.parameters()][1][0, 0] = math.nan
    with pytest.raises(ValueError, match=re.escape("3.weight hold NaN")):
        hessian_operator(model, hinge, inputs, targets)


@pytest.mark.parametrize(
    ("vector", "error", "message"),
    [
        (torch.ones(5), ValueError, r"shape \(5,\); give \(192,\)"),
        (torch.ones(192, 1), ValueError, r"shape \(192, 1\); give \(192,\)"),
        (torch.ones(192, dtype=torch.int64), TypeError, "int64; give float32 or float64"),
        (torch.ones(192, dtype=torch.float16), TypeError, "float16; give float32 or float64"),
        (torch.full((192,), math.inf), ValueError, "not finite in torch.float"),
        (
            torch.full((192,), math.nan, dtype=torch.float64),
            ValueError,
            "not finite in torch.float",
        ),
        (torch.ones(192, device="meta"), ValueError, r"on meta.*\.to\(cpu\)"),
        (np.ones(192), TypeError, r"ndarray; to_scipy\(\) takes NumPy arrays"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(vector, error, message):
    hessian, _ = operator()
    with pytest.raises(error, match=message):
        hessian.matvec(vector)


def test_a_hinge_risk_takes_no_other_labels():
    model, inputs, targets = problem("two-layer")
    with pytest.raises(ValueError, match="labels"):
        HingeRisk(model, inputs, (targets + 1) / 2)
