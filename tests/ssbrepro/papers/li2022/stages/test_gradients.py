"""The stage ``gradients`` on small networks: against float64, empty, and interrupted."""

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
from ssbrepro.papers.li2022 import copies
from ssbrepro.papers.li2022.stages.gradients import Parameters as GradientsParameters
from ssbrepro.seeding import torch_generator
from ssbrepro.statistics.symmetry import reflection_asymmetry
from tests.oracles.progress import Memory, assert_continues
from tests.oracles.trainings import TINY

TRAINING = replace(
    TINY, step_size=0.1, momentum=0.0, batch_size=1, num_epochs=3, checkpoint_epochs=(0, 1, 3)
)
GRADIENTS = GradientsParameters(
    max_active=6,
    num_flips=19,
    num_intact=19,
    num_broken=2,
    num_bins=51,
    kernel_width=0.02,
    linear_share=0.1,
)


def untrained(seed):
    """A freshly initialised network's weights, (dim,)."""
    model = vgg12(1 / 32, torch.Generator().manual_seed(seed))
    return parameters_to_vector(model.parameters()).detach().numpy()


def outputs(weights, inputs):
    model = vgg12(1 / 32)
    load_weights(model, weights)
    with torch.no_grad():
        return model(inputs)


@pytest.fixture(scope="module")
def images():
    """Six random images, dark to light, in the place of CIFAR-10, labelled as a network would."""
    inputs = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    inputs += torch.linspace(-1.5, 1.5, 6)[:, None, None, None]
    images = BinaryImages(inputs, torch.sign(outputs(ALIVE[0], inputs)))
    assert len(images.targets.unique()) == 2  # so that no copy is right about all of them
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "load", lambda *arguments: images)
        yield images


def measure(weights, progress=None, parameters=GRADIENTS):
    arrays = {
        "checkpoint_epoch": np.array([0, 1, 3]),
        "checkpoint_weights": np.stack(weights),
    }
    context = Context(
        seed=0,
        device="cpu",
        data_root=Path("unused"),
        inputs={"training": Input(TRAINING, arrays)},
        progress=progress or NoProgress(),
    )
    return stage("li2022/gradients").run(parameters, context)


def learned(weights):
    """The same network with outputs so large that every example is outside the margin."""
    scaled = weights.copy()
    scaled[-16:] *= 1e6
    return scaled


ALIVE = [untrained(seed) for seed in (4, 10, 2)]
DEAD = np.zeros_like(ALIVE[0])


# The random signs of the six examples, the same ones at every checkpoint.
SIGNS = torch.randint(2, (19, 6), generator=torch_generator(0, "gradients", "flips")) * 2 - 1


def true_gradient(weights, images, dtype=torch.float64, signs=1):
    model = vgg12(1 / 32)
    load_weights(model, weights)
    model = model.to(dtype)
    margins = images.targets.to(dtype) * model(images.inputs.to(dtype))
    loss = (signs * torch.relu(1 - margins)).mean()
    parts = torch.autograd.grad(loss, list(model.parameters()))
    return torch.cat([part.reshape(-1) for part in parts]).numpy()


@pytest.fixture(scope="module")
def measured(images):
    progress = Memory()
    return measure(ALIVE, progress), progress


def test_each_checkpoint_is_judged_by_its_full_gradient(images, measured):
    result, _ = measured
    assert set(result.numbers) == set(stage("li2022/gradients").numbers)
    assert result.numbers["num_empty"] == 0
    assert result.arrays["epoch"].tolist() == [0, 1, 3]
    for index, weights in enumerate(ALIVE):
        truth = true_gradient(weights, images)
        received = {name: result.arrays[name][index] for name in result.series}
        # float32 products of twelve layers.
        assert received["asymmetry"] == pytest.approx(reflection_asymmetry(truth), abs=1e-4)
        assert received["median"] == pytest.approx(np.median(np.abs(truth)), rel=1e-4)
        # Shut gates give zeros exactly. In float32, since which gates are shut hangs on rounding.
        assert received["zero_share"] == (true_gradient(weights, images, torch.float32) == 0).mean()
        within = images.targets * outputs(weights, images.inputs) < 1
        assert received["num_active"] == int(within.sum()) > 0
        flips = [
            reflection_asymmetry(true_gradient(weights, images, signs=signs)) for signs in SIGNS
        ]
        np.testing.assert_allclose(result.arrays["flips"][index], flips, atol=1e-4)
        assert received["noise_95"] == np.quantile(result.arrays["flips"][index], 0.95)
        # Patterns that flip all examples or none tie with the measured value.
        as_extreme = sum(flip >= received["asymmetry"] - 1e-4 for flip in flips)
        assert received["p_value"] == (1 + as_extreme) / 20


def test_the_numbers_are_the_worst_over_the_checkpoints(measured):
    result, _ = measured
    worst = result.arrays["asymmetry"].argmax()
    assert result.numbers["asymmetry_max"] == result.arrays["asymmetry"][worst]
    worst_flips = result.arrays["flips"].max(axis=0)
    assert result.numbers["asymmetry_noise"] == np.quantile(worst_flips, 0.95)
    worst_broken = result.arrays["broken"].max(axis=0)
    assert result.numbers["asymmetry_control"] == np.quantile(worst_broken, 0.05) > 1
    assert result.numbers["zero_share_max"] == result.arrays["zero_share"].max()
    assert result.numbers["median_start"] == result.arrays["median"][0] > 0
    share = result.arrays["median"][2] / result.arrays["median"][0]
    assert result.numbers["median_final_share"] == share
    untrained = np.median(result.arrays["untrained_median"]) / result.arrays["median"][0]
    assert result.numbers["median_final_share_control"] == untrained > 0.01  # the claim's bound


def test_one_axis_holds_every_entry_that_is_not_zero(images, measured):
    result, _ = measured
    largest = max(np.abs(true_gradient(weights, images)).max() for weights in ALIVE)
    edges = result.arrays["edges"]
    # float32 products of twelve layers.
    assert edges[-1] == pytest.approx(largest, rel=1e-4)
    below = [
        (np.abs(gradient[gradient != 0]) < result.arrays["linear"]).mean()
        for gradient in (true_gradient(weights, images) for weights in ALIVE)
    ]
    # Which of some ten thousand entries float32 puts below a quantile.
    assert max(below) == pytest.approx(0.1, abs=2e-3)
    # Sums over 51 bins.
    np.testing.assert_allclose(result.arrays["histogram"].mean(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("end", [DEAD, learned(ALIVE[0])], ids=["dead", "learned"])
def test_a_gradient_of_zero_is_empty_and_judged_by_nobody(images, measured, end):
    whole, _ = measured
    result = measure([ALIVE[0], ALIVE[1], end])
    assert result.numbers["num_empty"] == 1
    assert result.numbers["median_final_share"] == 0
    for name in ("asymmetry", "noise_95", "p_value", "intact", "broken", "flips"):
        assert np.isnan(result.arrays[name]).reshape(3, -1).all(axis=1).tolist() == [
            False,
            False,
            True,
        ]
        np.testing.assert_array_equal(result.arrays[name][:2], whole.arrays[name][:2])
    assert result.arrays["zero_share"][2] == 1
    assert result.numbers["zero_share_max"] < 1
    assert not result.arrays["histogram"][2].any()
    if end.any():
        assert result.arrays["num_active"][2] == 0


def test_a_dead_start_leaves_nothing_to_compare_the_end_with(images):
    result = measure([DEAD, ALIVE[1], ALIVE[2]])
    assert result.numbers["median_start"] == 0
    assert set(result.missing) == {"median_final_share", "median_final_share_control"}


def test_a_run_of_empty_checkpoints_says_so(images):
    result = measure([DEAD, DEAD, DEAD])
    assert result.numbers == {"num_empty": 3, "median_start": 0}
    assert set(result.missing) == set(stage("li2022/gradients").numbers) - set(result.numbers)
    assert not result.arrays["histogram"].any()


def test_a_network_of_positive_weights_is_as_broken_as_its_broken_copies(images):
    result = measure([np.abs(weights) for weights in ALIVE])
    # It is its own broken copy, up to which examples the copy is judged on.
    broken = np.median(result.arrays["broken"], axis=1)
    np.testing.assert_allclose(result.arrays["asymmetry"], broken, rtol=0.1)
    assert result.numbers["asymmetry_index_max"] > 0.25  # the claim's bound


def test_a_copy_is_judged_by_its_own_gradient(images, measured):
    result, _ = measured
    model = vgg12(1 / 32)
    load_weights(model, ALIVE[0])
    active = int(result.arrays["num_active"][0])
    for copy in copies.copies(model, images, active, 2, 1, seed=0):
        weights = parameters_to_vector(copy.model.parameters()).detach().numpy()
        chosen = BinaryImages(copy.inputs, copy.targets)
        own = reflection_asymmetry(true_gradient(weights, chosen, torch.float32))
        # Sums in another order.
        assert result.arrays[copy.kind][0, copy.number] == pytest.approx(own, abs=1e-4)


def test_a_few_examples_stand_for_all_that_are_inside_the_margin(images, measured):
    whole, _ = measured
    result = measure(ALIVE, parameters=replace(GRADIENTS, max_active=1))
    assert whole.arrays["num_active"].min() > 1
    # Sizes are over all examples, of untrained networks too; sums in another order.
    for name in ("num_active", "median", "zero_share", "untrained_median"):
        np.testing.assert_allclose(result.arrays[name], whole.arrays[name], rtol=1e-4)
    for index, weights in enumerate(ALIVE):
        inside = np.flatnonzero(images.targets * outputs(weights, images.inputs) < 1)
        signs = [torch.from_numpy(np.arange(6) == place) for place in inside]
        alone = [reflection_asymmetry(true_gradient(weights, images, signs=one)) for one in signs]
        # float32 products of twelve layers.
        assert result.arrays["asymmetry"][index] in [pytest.approx(one, abs=1e-4) for one in alone]
        # A single example's sign changes nothing.
        flips = result.arrays["flips"][index]
        np.testing.assert_allclose(flips, result.arrays["asymmetry"][index], rtol=1e-4)


def test_untrained_networks_keep_the_gradient_that_training_lost(images):
    # The learned network is empty. Its copies are not, and theirs is a mean over all six examples.
    result = measure([ALIVE[0], ALIVE[1], learned(ALIVE[0])])
    model = vgg12(1 / 32)
    load_weights(model, learned(ALIVE[0]))
    for copy in copies.copies(model, images, 6, 5, 0, seed=0):
        weights = parameters_to_vector(copy.model.parameters()).detach().numpy()
        expected = np.median(np.abs(true_gradient(weights, images)))
        # float32 products of twelve layers, of which one output cancels to a part in a thousand.
        received = result.arrays["untrained_median"][copy.number]
        assert received == pytest.approx(expected, rel=1e-2)
    assert result.numbers["median_final_share"] == 0


def test_an_interrupted_measurement_continues_with_the_same_bytes(measured):
    expected, whole = measured
    assert whole.num_saves == 3
    assert_continues(lambda progress: measure(ALIVE, progress), expected, whole)


def test_progress_counts_up_to_the_total(measured):
    _, progress = measured
    assert [(done, total) for done, total, _ in progress.reports] == [(1, 3), (2, 3), (3, 3)]
