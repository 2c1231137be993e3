"""Copies of a network as controls: their signs, their examples, and what is said of their indices."""

import numpy as np
import pytest
import torch

from ssbrepro.contract import WITHOUT_POWER
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.networks import vgg12
from ssbrepro.papers.li2022.copies import copies
from ssbrepro.papers.li2022.placement import worst_index
from ssbrepro.probes.controls import breaking_indices
from ssbrepro.training.losses import within_margin

NUM_ACTIVE = 30


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def images():
    """More examples than copies look at together; about half of the labels are what nets say."""
    inputs = torch.randn(250, 3, 32, 32, generator=generator())
    return BinaryImages(inputs, torch.randn(250, generator=generator(1)).sign())


def network(seed, scale=1.0):
    """An untrained network, with outputs so many times as large."""
    model = vgg12(1 / 16, generator(seed))
    with torch.no_grad():
        list(model.parameters())[-1].mul_(scale)
    return model


@pytest.fixture(scope="module")
def made(images):
    return [*copies(network(0, 30.0), images, NUM_ACTIVE, 3, 2, seed=5)]


def signs(model):
    return [torch.signbit(weight) for weight in model.parameters()]


def test_intact_copies_come_first_and_then_broken_ones(made):
    expected = [("intact", 0), ("intact", 1), ("intact", 2), ("broken", 0), ("broken", 1)]
    assert [(one.kind, one.number) for one in made] == expected
    for one in made:
        negative = any(sign.any() for sign in signs(one.model))
        assert negative == (one.kind == "intact")


def test_all_have_as_many_examples_as_the_network_and_all_inside_the_margin(images, made):
    for one in made:
        assert len(one.inputs) == len(one.targets) == NUM_ACTIVE
        with torch.no_grad():
            assert within_margin(one.model(one.inputs), one.targets).all()
    # They are examples, each at most once, with their own labels.
    for one in made:
        places = [
            int((images.inputs == example).all((1, 2, 3)).nonzero()) for example in one.inputs
        ]
        assert places == sorted({*places})
        assert torch.equal(images.targets[places], one.targets)


def test_each_copy_looks_at_other_examples(made):
    assert not torch.equal(made[0].inputs, made[1].inputs)
    assert not torch.equal(made[3].inputs, made[4].inputs)  # all that tells broken copies apart


def test_a_copy_with_fewer_examples_inside_has_all_of_them(images):
    (one,) = copies(network(0, 30.0), images, len(images.inputs), 1, 0, seed=5)
    with torch.no_grad():
        inside = within_margin(one.model(images.inputs), images.targets)
    assert 0 < int(inside.sum()) < len(inside)  # else it would show nothing
    assert torch.equal(one.inputs, images.inputs[inside])
    learned = BinaryImages(images.inputs, one.model(images.inputs).detach().sign())
    (empty,) = copies(network(0, 1e9), learned, 5, 1, 0, seed=5)
    assert empty.inputs.shape == (0, 3, 32, 32)


def test_signs_are_the_same_at_all_checkpoints_and_others_in_another_copy_or_seed(images, made):
    later = [*copies(network(1), images, NUM_ACTIVE, 3, 2, seed=5)]
    for one, other in zip(made, later, strict=True):
        assert all(map(torch.equal, signs(one.model), signs(other.model)))
    (elsewhere,) = copies(network(0), images, NUM_ACTIVE, 1, 0, seed=6)
    for other in (made[1], elsewhere):
        assert not all(map(torch.equal, signs(made[0].model), signs(other.model)))


def test_a_copy_does_not_depend_on_how_many_there_are(images, made):
    (alone,) = copies(network(0, 30.0), images, NUM_ACTIVE, 0, 1, seed=5)
    same = made[3]
    assert all(map(torch.equal, alone.model.parameters(), same.model.parameters()))
    assert torch.equal(alone.inputs, same.inputs)


def test_a_share_of_the_weights_can_be_broken(images):
    (one,) = copies(network(0), images, NUM_ACTIVE, 0, 1, seed=5, share=0.5)
    positive = torch.cat([weight.reshape(-1) > 0 for weight in one.model.parameters()])
    # Five standard deviations of the half of the weights that toss a coin.
    assert abs(float(positive.double().mean()) - 0.75) < 5 * 0.25 * (2 / len(positive)) ** 0.5


EPOCHS = np.array([0, 10, 40])


def test_the_worst_index_has_its_noise_and_its_control_beside_it():
    generator = np.random.default_rng(0)
    intact, broken = generator.random((39, 3)), 5 + generator.random((5, 3))
    indices = breaking_indices([0.2, 1.0, np.nan], intact, broken)
    numbers, missing = worst_index("gradient", EPOCHS, indices)
    assert not missing
    assert numbers == {
        "gradient_index_max": indices.worst,
        "gradient_index_noise": indices.noise,
        "gradient_index_control": indices.control,
    }
    assert indices.worst == indices.index[1]  # not that of the checkpoint without a value


def test_one_checkpoint_without_power_leaves_no_index_and_is_named():
    intact, broken = np.arange(6.0).reshape(2, 3), np.array([[9.0, 1.0, 9.0]])
    numbers, missing = worst_index("gradient", EPOCHS, breaking_indices(np.ones(3), intact, broken))
    assert not numbers
    assert {*missing} == {f"gradient_index_{part}" for part in ("max", "noise", "control")}
    assert {*missing.values()} == {
        f"{WITHOUT_POWER}: at epoch 10 copies with every symmetry broken cannot be told from "
        "intact ones"
    }


def test_nothing_to_measure_is_no_lack_of_power():
    nothing = breaking_indices(np.full(3, np.nan), np.zeros((2, 3)), np.ones((1, 3)))
    numbers, missing = worst_index("gradient", EPOCHS, nothing)
    assert not numbers
    assert {*missing.values()} == {"there is nothing to measure at any checkpoint"}


def test_where_the_network_has_no_example_inside_its_margin_copies_have_none(images):
    (copy,) = copies(network(0), images, 0, 1, 0, seed=5)
    assert copy.inputs.shape == (0, 3, 32, 32)
    assert copy.targets.shape == (0,)
