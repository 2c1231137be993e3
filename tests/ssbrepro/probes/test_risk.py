"""The mean hinge loss at fixed weights, and the examples it still depends on."""

import pytest
import torch

from ssbrepro.probes.risk import HingeRisk
from ssbrepro.training.losses import hinge
from tests.oracles.hessians import dense_derivatives
from tests.oracles.nets import NETS, problem

BACKENDS = ("autograd", "cached", "pyhessian")


def generator(seed) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def active(given) -> torch.Tensor:
    with torch.no_grad():
        return given.targets * given.model(given.inputs) < 1


@pytest.mark.parametrize("name", NETS)
def test_the_risk_knows_its_weights_layers_and_active_examples(name):
    given = problem(name)
    risk = HingeRisk(*given, torch.float64)
    assert torch.equal(risk.weights, given.weights)
    assert risk.layer_sizes == given.sizes
    assert risk.num_active == int(active(given).sum())
    assert 0 < risk.num_active < len(given.inputs)


def test_many_examples_are_run_in_parts_of_no_consequence():
    given = problem("two-layer", num_examples=1203)  # beyond what runs at once, and ragged
    risk = HingeRisk(*given, torch.float64)
    assert risk.num_active == int(active(given).sum())
    _, hessian = dense_derivatives(given.model, hinge, given.inputs, given.targets)
    vector = torch.ones(len(given.weights), dtype=torch.float64)
    product = risk.hessian("autograd").matvec(vector)
    # Sums of 1203 terms in another order.
    torch.testing.assert_close(product, hessian @ vector, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("active_only", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NETS)
def test_the_hessian_is_that_of_the_mean_over_all_examples(name, backend, active_only):
    given = problem(name)
    gradient, hessian = dense_derivatives(given.model, hinge, given.inputs, given.targets)
    operator = HingeRisk(*given, torch.float64).hessian(backend, active_only)
    vector = torch.randn(operator.dim, generator=generator(3), dtype=torch.float64)
    expected = hessian @ vector
    assert expected.norm() > 0.1
    # A few roundings of sums of 17 terms; a wrong share of active examples would be off by 1/17.
    assert ((operator.matvec(vector) - expected).norm() / expected.norm()).item() < 1e-13
    assert ((operator.gradient() - gradient).norm() / gradient.norm()).item() < 1e-13


def test_only_active_examples_are_run_again():
    given = problem("two-layer")
    seen = []
    given.model.register_forward_hook(lambda module, args, output: seen.append(len(output)))
    risk = HingeRisk(*given, torch.float64)
    vector = torch.ones(len(given.weights), dtype=torch.float64)
    for active_only, expected in ((True, risk.num_active), (False, 17)):
        operator = risk.hessian("autograd", active_only)
        seen.clear()
        operator.matvec(vector)
        assert set(seen) == {expected}


def test_without_active_examples_there_is_no_hessian_to_ask_for():
    model, inputs, _ = problem("two-layer")
    with torch.no_grad():
        outputs = model(inputs)
        list(model.parameters())[-1].mul_(2 / outputs.abs().min())
    risk = HingeRisk(model, inputs, outputs.sign(), torch.float64)
    assert risk.num_active == 0
    with pytest.raises(ValueError, match="no examples"):
        risk.hessian("autograd")
    operator = risk.hessian("autograd", active_only=False)
    assert not operator.matvec(torch.ones(operator.dim)).any()


def test_single_precision_is_the_default_and_leaves_the_model_alone():
    given = problem("two-layer")
    risk = HingeRisk(*given)
    assert risk.weights.dtype == torch.float32
    assert risk.hessian("autograd").gradient().dtype == torch.float32
    assert next(given.model.parameters()).dtype == torch.float64


def test_changing_the_model_later_does_not_change_the_risk():
    given = problem("two-layer")
    risk = HingeRisk(*given, torch.float64)
    weights = risk.weights.clone()
    gradient = risk.hessian("autograd").gradient()
    with torch.no_grad():
        for weight in given.model.parameters():
            weight.mul_(1.1)
    assert torch.equal(risk.weights, weights)
    assert torch.equal(risk.hessian("autograd").gradient(), gradient)


def test_a_thinned_risk_has_the_same_hessian_on_average():
    given = problem("two-layer")
    risk = HingeRisk(*given, torch.float64)
    vector = torch.randn(len(given.weights), dtype=torch.float64, generator=generator(3))
    inside = active(given)
    found = {}
    for seed in range(200):  # far more than it takes to draw each of some ten once
        one = risk.thinned(1, generator(seed))
        assert one.num_active == 1
        assert torch.equal(one.inputs, given.inputs[one.places])
        assert len(one.places) == 1 + int((~inside).sum())  # those outside stay
        (drawn,) = one.places[inside[one.places]].tolist()
        found[drawn] = one
    assert {*found} == {*inside.nonzero()[:, 0].tolist()}
    for active_only in (False, True):
        products = [one.hessian("cached", active_only).matvec(vector) for one in found.values()]
        expected = risk.hessian("cached").matvec(vector)
        torch.testing.assert_close(sum(products) / len(products), expected, rtol=1e-12, atol=1e-14)


def test_a_risk_is_thinned_to_as_many_examples_as_asked_and_never_to_none():
    given = problem("two-layer")
    risk = HingeRisk(*given, torch.float64)
    assert risk.thinned(risk.num_active, generator(0)) is risk
    one, other = (risk.thinned(risk.num_active - 2, generator(seed)) for seed in (0, 1))
    assert one.num_active == risk.num_active - 2
    assert len(one.inputs) == len(one.targets) == 17 - 2
    assert not torch.equal(one.places, other.places)
    with pytest.raises(ValueError, match="at least 1"):
        risk.thinned(0, generator(0))
