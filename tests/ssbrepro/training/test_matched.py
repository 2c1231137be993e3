"""Matched loss: what is compared is a network of that loss, whenever its training gets there."""

import numpy as np
import pytest
import torch
from torch import nn

from ssbrepro.networks.flattening import load_weights
from ssbrepro.training import matched
from ssbrepro.training.losses import hinge
from ssbrepro.training.matched import crossings
from tests.oracles.progress import Interruption, Memory

SHARES = (0.5, 0.1)
INPUTS = torch.randn(40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = (INPUTS @ torch.arange(1.0, 7.0, dtype=torch.float64)).sign()  # separable


def network():
    model = nn.Sequential(nn.Linear(6, 1, bias=False, dtype=torch.float64), nn.Flatten(0))
    nn.init.constant_(model[0].weight, 0.01)
    return model


def trained(step_size, max_epochs=4000, batch_size=40, shares=SHARES):
    return crossings(
        network(), INPUTS, TARGETS, shares, step_size, 0.0, batch_size, max_epochs, seed=1
    )


def loss_of(weights):
    model = network()
    load_weights(model, weights)
    return hinge(model(INPUTS), TARGETS).item()


def test_what_is_measured_does_not_depend_on_the_epoch_at_which_it_is_reached():
    slow, fast = trained(0.05), trained(0.1)
    assert len(slow) == len(fast) == 2
    for late, early in zip(slow, fast, strict=True):
        # Half the step, twice the epochs: both follow one gradient flow up to the order of the step.
        assert late.epoch == pytest.approx(2 * early.epoch, rel=0.05)
        assert late.loss == pytest.approx(early.loss, rel=0.02)  # within 1 % of the level each
        assert np.linalg.norm(late.weights - early.weights) < 0.05 * np.linalg.norm(early.weights)


@pytest.mark.parametrize(("step_size", "batch_size"), [(0.1, 40), (1.0, 40), (0.05, 7)])
def test_the_loss_is_the_level_itself_however_far_an_epoch_falls(step_size, batch_size):
    initial = hinge(network()(INPUTS), TARGETS).item()
    found = trained(step_size, batch_size=batch_size)
    assert len(found) == len(SHARES)
    for share, crossing in zip(SHARES, found, strict=True):
        assert crossing.loss == pytest.approx(share * initial, rel=0.01)
        assert loss_of(crossing.weights) == pytest.approx(crossing.loss, rel=1e-12)


def test_losses_crossed_in_one_epoch_are_all_found():
    first, second = trained(0.05, batch_size=4, shares=(0.9, 0.8))
    assert 0 < first.epoch < second.epoch < 1


def test_a_training_is_given_up():
    both = trained(0.3)
    (only,) = trained(0.3, max_epochs=int(both[0].epoch) + 1)
    assert only.loss == both[0].loss
    assert trained(0.3, max_epochs=0) == []


def test_an_interrupted_training_continues_with_the_same_bits(monkeypatch):
    monkeypatch.setattr(matched, "_STEPS", 20)

    def run(progress=None):
        return crossings(
            network(), INPUTS, TARGETS, SHARES, 0.02, 0.9, 8, 300, seed=1, progress=progress
        )

    whole = run()
    progress = Memory(saves_until_interrupted=3)
    with pytest.raises(Interruption):
        run(progress)
    assert len(progress.kept["crossings"]["epochs"]) == 1  # between both losses
    again = run(progress)
    for one, other in zip(whole, again, strict=True):
        assert (one.epoch, one.loss) == (other.epoch, other.loss)
        assert np.array_equal(one.weights, other.weights)
