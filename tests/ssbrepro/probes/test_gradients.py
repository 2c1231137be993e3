"""Gradients of the hinge loss against automatic differentiation, example by example."""

import pytest
import torch

from ssbrepro.probes import gradients
from ssbrepro.training.losses import hinge
from tests.oracles.nets import NETS, problem


def of_one(model, inputs, targets):
    parts = torch.autograd.grad(hinge(model(inputs), targets), list(model.parameters()))
    return torch.cat([part.reshape(-1) for part in parts])


@pytest.fixture(params=sorted(NETS))
def given(request):
    return problem(request.param)


def by_example(given):
    pairs = zip(given.inputs.split(1), given.targets.split(1), strict=True)
    return torch.stack([of_one(given.model, *pair) for pair in pairs])


def test_every_example_has_its_own_gradient(given, monkeypatch):
    expected = by_example(given)
    assert (expected == 0).all(dim=1).any()  # those outside the margin
    for at_once in (64, 5):
        monkeypatch.setattr(gradients, "_MOST", at_once)
        parts = [*gradients.example_gradients(given.model, given.inputs, given.targets)]
        assert [len(part) for part in parts] == [len(p) for p in expected.split(at_once)]
        # Sums of some ten products of order one in float64.
        torch.testing.assert_close(torch.cat(parts), expected, rtol=1e-12, atol=1e-14)


def test_the_mean_is_that_of_the_examples(given, monkeypatch):
    expected = of_one(given.model, given.inputs, given.targets)
    for chunk in (256, 4):
        monkeypatch.setattr(gradients, "_CHUNK", chunk)
        mean = gradients.mean_gradient(given.model, given.inputs, given.targets)
        torch.testing.assert_close(mean, expected, rtol=1e-12, atol=1e-14)
        assert not mean.requires_grad


def test_signs_are_those_of_the_examples(given, monkeypatch):
    generator = torch.Generator().manual_seed(1)
    signs = torch.randint(2, (7, len(given.targets)), generator=generator).double() * 2 - 1
    signs[0] = 1
    expected = signs @ by_example(given) / len(given.targets)
    for numbers in (1 << 26, 1):  # all examples at once, and one after the other
        monkeypatch.setattr(gradients, "_NUMBERS", numbers)
        signed = gradients.signed_gradients(given.model, given.inputs, given.targets, signs)
        torch.testing.assert_close(signed, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(signed[0], of_one(given.model, given.inputs, given.targets))
    few = gradients.signed_gradients(given.model, given.inputs, given.targets, signs, at_once=20)
    torch.testing.assert_close(few, expected, rtol=1e-12, atol=1e-14)  # two columns at once


def test_without_an_example_inside_the_margin_there_is_no_gradient(given):
    with torch.no_grad():
        targets = given.model(given.inputs).sign()
        list(given.model.parameters())[-1].mul_(1e6)
    signed = gradients.signed_gradients(
        given.model, given.inputs, targets, torch.ones(2, 17).double()
    )
    assert signed.shape == (2, sum(given.sizes))
    assert not signed.any()


def test_a_network_with_biases_is_refused():
    model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0))
    with pytest.raises(ValueError, match="bias"):
        [*gradients.example_gradients(model, torch.ones(2, 3), torch.ones(2))]
