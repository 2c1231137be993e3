"""The stage ``one_step`` on small networks: against float64 risks and closed forms."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils import parameters_to_vector

from ssbrepro.contract import Context, Input, NoProgress
from ssbrepro.data import cifar10
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.networks import vgg12
from ssbrepro.networks.flattening import load_weights
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.stages import one_step
from ssbrepro.papers.li2022.stages.one_step import Parameters as OneStepParameters
from tests.oracles.progress import Memory, assert_continues
from tests.oracles.trainings import TINY

TRAINING = replace(TINY, checkpoint_epochs=(0, 2))
STEPS = OneStepParameters(num_examples=6, smallest=1e-4, largest=1e-2, num_steps=5)


def untrained(seed):
    model = vgg12(1 / 32, torch.Generator().manual_seed(seed))
    return parameters_to_vector(model.parameters()).detach().numpy()


ALIVE = [untrained(0), untrained(1)]


def exact(weights):
    model = vgg12(1 / 32)
    load_weights(model, weights)
    return model.double()


@pytest.fixture(scope="module")
def images():
    """Six random images in the place of CIFAR-10; the network of seed 0 is right about half of them."""
    inputs = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        signs = torch.sign(exact(ALIVE[0])(inputs.double())).float()
    images = BinaryImages(inputs, signs * torch.tensor([1.0, -1.0] * 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "load", lambda *arguments: images)
        yield images


def measure(weights=ALIVE, parameters=STEPS, progress=None):
    arrays = {
        "checkpoint_epoch": np.array([0, 2]),
        "checkpoint_weights": np.stack(weights),
        "loss": np.array([0.9, 0.8, 0.7]),
        "step_size": np.array([0.01, 0.01, 0.001]),
    }
    context = Context(
        seed=0,
        device="cpu",
        data_root=Path("unused"),
        inputs={"training": Input(TRAINING, arrays)},
        progress=progress or NoProgress(),
    )
    return stage("li2022/one_step").run(parameters, context)


@pytest.fixture(scope="module")
def measured(images):
    progress = Memory()
    return measure(progress=progress), progress


def risk_of(model, images):
    return torch.relu(1 - images.targets.double() * model(images.inputs.double())).mean()


def test_the_ratio_is_that_of_the_whole_risk(images, measured):
    arrays = measured[0].arrays
    np.testing.assert_allclose(arrays["share"], np.geomspace(1e-4, 1e-2, 5))
    for index, step_size in enumerate((0.01, 0.001)):
        model = exact(ALIVE[index])
        before = risk_of(model, images)
        gradient = torch.autograd.grad(before, list(model.parameters()))
        square = sum(part.square().sum() for part in gradient).item()
        for step, received in zip(step_size * arrays["share"], arrays["ratio"][index], strict=True):
            after = exact(ALIVE[index])
            with torch.no_grad():
                for weight, part in zip(after.parameters(), gradient, strict=True):
                    weight -= step * part
                taken = (before - risk_of(after, images)).item()
            # Float64 losses of order one, of which the step takes a millionth or more.
            assert received == pytest.approx(taken / (step * square), abs=1e-8)


def test_a_gradient_lies_between_what_its_examples_could_make_of_it(images, measured):
    arrays = measured[0].arrays
    for index, weights in enumerate(ALIVE):
        model, norms = exact(weights), []
        for image, target in zip(images.inputs.split(1), images.targets.split(1), strict=True):
            risk = risk_of(model, BinaryImages(image, target))
            parts = torch.autograd.grad(risk, list(model.parameters()))
            norms.append(sum(part.square().sum() for part in parts).sqrt().item())
        assert arrays["coherent_square"][index] == pytest.approx(np.mean(norms) ** 2, rel=1e-9)
        alone = np.mean(np.square(norms)) / 6
        assert arrays["random_square"][index] == pytest.approx(alone, rel=1e-9)
    assert arrays["loss"].tolist() == [0.9, 0.7]


def test_a_random_direction_takes_next_to_nothing(measured):
    numbers = measured[0].numbers
    assert numbers["slope_error_control"] == pytest.approx(1, abs=0.1)  # a defect that stays 1
    assert numbers["smallest_defect"] < 0.01


@pytest.mark.parametrize("power", [0.0, 1.0, 2.5])
def test_the_slope_of_a_power_law_is_its_power(power):
    shares = np.geomspace(1e-4, 1e-1, 7)
    defects = np.stack([3 * shares**power, 0.2 * shares])
    assert one_step._slope_error(shares, defects) == pytest.approx(abs(power - 1), abs=1e-12)


def test_one_example_stands_for_all_inside_the_margin(images):
    arrays = measure(parameters=replace(STEPS, num_examples=1)).arrays
    with torch.no_grad():
        margins = images.targets * exact(ALIVE[0])(images.inputs.double())
    share = (margins < 1).double().mean().item()
    # (share · norm)² over share · norm² / 6.
    ratio = arrays["coherent_square"][0] / arrays["random_square"][0]
    assert ratio == pytest.approx(6 * share, rel=1e-12)
    assert np.isfinite(arrays["ratio"]).all()


def test_a_checkpoint_without_a_gradient_is_empty(images, measured):
    result = measure([ALIVE[0], np.zeros_like(ALIVE[0])])
    assert result.numbers["num_empty"] == 1
    assert np.isnan(result.arrays["ratio"][1]).all()
    assert result.arrays["coherent_square"][1] == 0
    assert np.array_equal(result.arrays["ratio"][0], measured[0].arrays["ratio"][0])
    nothing = measure([np.zeros_like(ALIVE[0])] * 2)
    assert nothing.numbers == {"num_empty": 2}
    reasons = {"the gradient is exactly zero at every checkpoint"}
    assert set(nothing.missing.values()) == reasons


def test_steps_have_to_grow(images):
    with pytest.raises(ValueError, match="largest step"):
        measure(parameters=replace(STEPS, largest=1e-4))


def test_an_interrupted_measurement_continues_with_the_same_bytes(images, measured):
    expected, whole = measured
    assert whole.num_saves == 2
    assert_continues(lambda progress: measure(progress=progress), expected, whole)
