"""The stage ``small_network``: it fits what a linear unit can, and no more."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssbrepro.contract import Context, Input, NoProgress
from ssbrepro.data import cifar10
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.stages.small_network import Parameters as SmallParameters
from tests.oracles.progress import Interruption, Memory
from tests.oracles.trainings import TINY

TRAINING = replace(
    TINY, num_examples=40, batch_size=8, step_size=0.5, num_epochs=60, checkpoint_epochs=(0, 60)
)
INPUTS = torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
# The label is the sign of the mean over the image of its first channel, or of nothing in it.
SEPARABLE = INPUTS[:, 0].mean(dim=(1, 2)).sign()
RANDOM = torch.randint(2, (40,), generator=torch.Generator().manual_seed(1)) * 2.0 - 1


def train(monkeypatch, targets, progress=None, num_cells=1):
    # Means of 1,024 pixels, brought to order one.
    images = BinaryImages(32 * INPUTS, targets)
    monkeypatch.setattr(cifar10, "load", lambda *arguments: images)
    training = Input(TRAINING, {})
    given = Context(
        seed=0,
        device="cpu",
        data_root=Path("unused"),
        inputs={"training": training},
        progress=progress or NoProgress(),
    )
    return stage("li2022/small_network").run(SmallParameters(num_cells), given)


def test_what_a_linear_unit_can_tell_it_learns(monkeypatch):
    result = train(monkeypatch, SEPARABLE)
    assert result.numbers["final_accuracy"] > 0.95
    assert result.numbers["final_loss"] < 0.1
    assert result.numbers["examples_per_weight"] == 40 / 3
    assert result.arrays["loss"].shape == result.arrays["accuracy"].shape == (61,)
    assert result.arrays["loss"][0] > 3 * result.arrays["loss"][-1]


def test_labels_beyond_its_size_it_does_not_learn(monkeypatch):
    result = train(monkeypatch, RANDOM)
    # By Cover's count three weights realise 2 (1 + 39 + 741) of 2^40 labellings of 40 images.
    assert result.numbers["final_accuracy"] < 0.9
    assert result.numbers["final_loss"] > 0.3


def test_a_network_that_is_not_too_small_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="27 weights are not too few for 40 examples"):
        train(monkeypatch, RANDOM, num_cells=3)


def test_an_interrupted_training_continues_with_the_same_bytes(monkeypatch):
    expected = train(monkeypatch, RANDOM)
    progress = Memory(saves_until_interrupted=20)
    with pytest.raises(Interruption):
        train(monkeypatch, RANDOM, progress)
    continued = train(monkeypatch, RANDOM, progress)
    for name, values in expected.arrays.items():
        assert continued.arrays[name].tobytes() == values.tobytes(), name
