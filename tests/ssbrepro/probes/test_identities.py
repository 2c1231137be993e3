"""The identities of bias-free ReLU nets under hinge loss, on dense Hessians and through the checks."""

import functools

import pytest
import torch
from torch import nn

from ssbrepro.probes.identities import IDENTITIES, identity_residuals
from ssbrepro.probes.risk import HingeRisk
from ssbrepro.training.losses import hinge
from tests.oracles.hessians import dense_derivatives
from tests.oracles.nets import NETS, problem

# Relative, in float64: sums of at most a few hundred terms of rounding 1e-16 each.
EXACT = 1e-12

SEEDS = (0, 1, 2)
ANY_NET = pytest.mark.parametrize(("name", "seed"), [(n, s) for n in NETS for s in SEEDS])


@functools.cache
def derivatives_of(name, seed):
    """Of a network that nobody changed."""
    return derivatives(problem(name, seed))


def derivatives(given):
    gradient, hessian = dense_derivatives(given.model, hinge, given.inputs, given.targets)
    assert gradient.norm() > 0.1
    assert hessian.norm() > 0.1
    return gradient, hessian


def operator_of(given):
    return HingeRisk(*given, torch.float64).hessian("autograd")


@ANY_NET
def test_euler_the_hessian_takes_the_weights_to_l_minus_one_gradients(name, seed):
    given = problem(name, seed)
    gradient, hessian = derivatives_of(name, seed)
    expected = (len(given.sizes) - 1) * gradient
    for product in (hessian @ given.weights, operator_of(given).matvec(given.weights)):
        assert (product - expected).norm() < EXACT * expected.norm()


@ANY_NET
def test_the_weights_of_one_layer_go_to_the_gradient_without_that_layer(name, seed):
    given = problem(name, seed)
    gradient, hessian = derivatives_of(name, seed)
    operator = operator_of(given)
    for block in given.blocks():
        alone = torch.zeros_like(gradient)
        alone[block] = given.weights[block]
        expected = gradient.clone()
        expected[block] = 0
        for product in (hessian @ alone, operator.matvec(alone)):
            assert (product - expected).norm() < EXACT * gradient.norm()


@ANY_NET
def test_blocks_within_a_layer_vanish_and_with_them_the_trace(name, seed):
    given = problem(name, seed)
    _, hessian = derivatives_of(name, seed)
    operator = operator_of(given)
    generator = torch.Generator().manual_seed(seed)
    for block in given.blocks():
        assert hessian[block, block].abs().max() < EXACT * hessian.norm()
        inside = torch.zeros(len(hessian), dtype=torch.float64)
        inside[block] = torch.randn(
            block.stop - block.start, generator=generator, dtype=torch.float64
        )
        product = operator.matvec(inside)
        assert product[block].norm() < EXACT * product.norm()
    assert abs(hessian.trace().item()) < EXACT * hessian.norm()


def channel_generator(given, layer: int, channel: int) -> torch.Tensor:
    """Tangent of scaling a channel's incoming weights by c and its outgoing ones by 1/c, at c = 1."""
    weights = [weight.detach() for weight in given.model.parameters()]
    tangent = [torch.zeros_like(weight) for weight in weights]
    tangent[layer][channel] = weights[layer][channel]
    following = weights[layer + 1]
    # A linear layer behind a flattened convolution sees each channel as a run of units.
    units = following.shape[1] // weights[layer].shape[0]
    out = slice(channel * units, (channel + 1) * units)
    tangent[layer + 1][:, out] = -following[:, out]
    return torch.cat([part.reshape(-1) for part in tangent])


@ANY_NET
def test_the_generator_of_rescaling_a_channel_goes_to_minus_the_gradient_in_and_out(name, seed):
    given = problem(name, seed)
    gradient, hessian = derivatives_of(name, seed)
    operator = operator_of(given)
    live = 0
    for layer in range(len(given.sizes) - 1):
        for channel in range(len(list(given.model.parameters())[layer])):
            tangent = channel_generator(given, layer, channel)
            touched = tangent.sign() * given.weights.sign()  # +1 incoming, -1 outgoing, 0 elsewhere
            # R is constant along exp(t D) θ with D = diag(touched); the derivative of D g = 0 along
            # the orbit, H D θ = -D g.
            assert abs((tangent @ gradient).item()) < EXACT * tangent.norm() * gradient.norm()
            for product in (hessian @ tangent, operator.matvec(tangent)):
                assert (product + touched * gradient).norm() < EXACT * gradient.norm()
            live += bool((touched * gradient).norm() > 1e-6 * gradient.norm())
    assert live >= 3


@pytest.mark.parametrize("factor", [2.0, 0.3])
@pytest.mark.parametrize("layer", [0, 1])
def test_rescaling_a_channel_leaves_the_outputs(layer, factor):
    given = problem("max-pooled")
    before = given.model(given.inputs)
    weights = list(given.model.parameters())
    with torch.no_grad():
        weights[layer][1].mul_(factor)
        weights[layer + 1][:, 1].div_(factor)
    # One rounding a weight.
    torch.testing.assert_close(given.model(given.inputs), before, rtol=1e-13, atol=1e-14)


@ANY_NET
def test_examples_beyond_the_margin_contribute_nothing(name, seed):
    given = problem(name, seed)
    gradient, hessian = derivatives_of(name, seed)
    kept = given.targets * given.model(given.inputs) < 1
    share = int(kept.sum()) / len(kept)
    assert 0 < share < 1
    fewer = dense_derivatives(given.model, hinge, given.inputs[kept], given.targets[kept])
    assert (share * fewer[0] - gradient).norm() < EXACT * gradient.norm()
    assert (share * fewer[1] - hessian).norm() < EXACT * hessian.norm()


@pytest.mark.parametrize("factor", [3.0, 1e-20])
@pytest.mark.parametrize("name", NETS)
def test_a_factor_on_the_risk_is_a_factor_on_its_derivatives(name, factor):
    given = problem(name)
    plain = derivatives(given)
    scaled = dense_derivatives(
        given.model, lambda outputs, targets: factor * hinge(outputs, targets), *given[1:]
    )
    for one, other in zip(plain, scaled, strict=True):
        assert (other - factor * one).norm() < EXACT * factor * one.norm()


@pytest.mark.parametrize("seed", SEEDS)
def test_two_layers_have_an_exactly_symmetric_spectrum(seed):
    _, hessian = derivatives(problem("two-layer", seed))
    values = torch.linalg.eigvalsh(hessian)
    assert (values + values.flip(0)).abs().max() < EXACT * values.abs().max()
    # At most min(96, 8) = 8 pairs are not zero.
    assert int((values > 1e-3 * values.abs().max()).sum()) in range(4, 9)


def test_more_layers_do_not():
    _, hessian = derivatives(problem("fully-connected"))
    values = torch.linalg.eigvalsh(hessian)
    assert (values + values.flip(0)).abs().max() > 1e-3 * values.abs().max()


# The checks that every run makes of itself.


@ANY_NET
def test_all_residuals_vanish_in_float64(name, seed):
    given = problem(name, seed)
    risk = HingeRisk(*given, torch.float64)
    for layer in range(len(given.sizes)):
        residuals = identity_residuals(risk, risk.hessian("autograd"), layer, seed)
        assert set(residuals) == set(IDENTITIES)
        assert max(residuals.values()) < EXACT, residuals


@pytest.mark.parametrize("name", NETS)
def test_residuals_are_float32_rounding_in_float32(name):
    risk = HingeRisk(*problem(name))
    residuals = identity_residuals(risk, risk.hessian("autograd"), 0, 0)
    # Hundreds of roundings of 6e-8 at most; and not float64 in disguise.
    assert 1e-9 < max(residuals.values()) < 1e-5, residuals


def test_residuals_depend_on_the_seed_alone():
    risk = HingeRisk(*problem("fully-connected"))
    first, again, other = (
        identity_residuals(risk, risk.hessian("autograd"), 1, seed) for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other


class Spoilt:
    """A Hessian with an error added to its products."""

    def __init__(self, operator, error):
        self._operator = operator
        self._error = error
        self.dim = operator.dim

    def matvec(self, vector):
        vector = vector.to(torch.float64)
        return self._operator.matvec(vector) + self._error(vector)

    def gradient(self):
        return self._operator.gradient()


def penalised(given, vector):
    """Weight decay of 1e-6 too much."""
    return 1e-6 * vector


def lopsided(given, vector):
    """Not symmetric."""
    return 1e-6 * vector.roll(1)


@pytest.mark.parametrize("error", [penalised, lopsided])
@pytest.mark.parametrize("name", NETS)
def test_a_wrong_hessian_is_found_out(name, error):
    given = problem(name)
    risk = HingeRisk(*given, torch.float64)
    right = risk.hessian("autograd")
    wrong = Spoilt(right, lambda vector: error(given, vector))
    residuals = identity_residuals(risk, wrong, 0, 0)
    found = {identity for identity, residual in residuals.items() if residual > 1e-9}
    expected = set(IDENTITIES)
    if error is penalised:
        expected -= {"symmetry"}  # a multiple of the unit matrix is symmetric
    assert found == expected, residuals


def test_the_residual_of_symmetry_has_no_unit():
    given = problem("max-pooled")
    risk = HingeRisk(*given, torch.float64)
    right = risk.hessian("autograd")
    wrong, larger = (
        Spoilt(right, lambda v, c=c: c * (right.matvec(v) + lopsided(given, v)) - right.matvec(v))
        for c in (1, 100)
    )
    residual, same = (identity_residuals(risk, one, 0, 0)["symmetry"] for one in (wrong, larger))
    assert residual > 1e-9
    assert same == pytest.approx(residual, rel=1e-6)  # rounding is 1e-9 of it


def test_a_wrong_gradient_is_found_out():
    risk = HingeRisk(*problem("max-pooled"), torch.float64)

    class WrongGradient(Spoilt):
        def gradient(self):
            return self._operator.gradient() * (1 + 1e-6)

    wrong = WrongGradient(risk.hessian("autograd"), torch.zeros_like)
    residuals = identity_residuals(risk, wrong, 0, 0)
    # Relative to a gradient that is 1e-6 too long, H θ is 1e-6 too short.
    assert residuals["euler"] == pytest.approx(1e-6, rel=1e-3)
    assert residuals["layers"] == pytest.approx(1e-6, rel=1e-3)


def test_an_example_that_is_left_out_of_the_active_ones_is_found_out():
    risk = HingeRisk(*problem("max-pooled"), torch.float64)
    risk._active[risk._active.nonzero()[0]] = False
    residuals = identity_residuals(risk, risk.hessian("autograd"), 0, 0)
    # One of at most 17; all other identities hold for any examples.
    assert residuals.pop("active_only") > 1e-3
    assert max(residuals.values()) < EXACT, residuals


def test_a_bias_breaks_eulers_identity():
    given = problem("two-layer")
    biased = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 1, bias=False), nn.Flatten(0)
    )
    torch.manual_seed(0)
    for parameter in biased.parameters():
        nn.init.normal_(parameter)
    risk = HingeRisk(biased, given.inputs, given.targets, torch.float64)
    residuals = identity_residuals(risk, risk.hessian("autograd"), 0, 0)
    assert residuals["euler"] > 1e-3
