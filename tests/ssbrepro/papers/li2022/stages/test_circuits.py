"""The stage ``circuits`` on random images: its draws, its verdict on symmetry, its picture."""

import dataclasses
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from ssbrepro.contract import Context, Input, NoProgress
from ssbrepro.data import cifar10
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.networks import vgg12
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.figures import fig3b
from ssbrepro.papers.li2022.stages.circuits import Parameters as CircuitsParameters
from ssbrepro.probes.circuits import count_circuits, sample_circuits, sampling
from ssbrepro.seeding import torch_generator
from tests.oracles.progress import Interruption, Memory
from tests.oracles.trainings import TINY

TRAINING = replace(TINY, num_examples=8, width=1 / 16, checkpoint_epochs=(0, 2))
CIRCUITS = CircuitsParameters(
    num_draws=4,
    num_circuits=60,
    num_flips=39,
    small_p_value=0.2,
    num_bins=51,
    kernel_width=0.02,
    linear_share=1e-9,
)
TARGETS = torch.tensor([1.0, -1.0] * 4)


@pytest.fixture(scope="module")
def images():
    """Eight random images in the place of CIFAR-10."""
    inputs = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "load", lambda *arguments: BinaryImages(inputs, TARGETS))
        yield inputs


def network(scale: float = 0.5) -> nn.Sequential:
    """The network at the first checkpoint; at half the usual weights all outputs are near zero."""
    model = vgg12(TRAINING.width, torch_generator(7, "weights"))
    with torch.no_grad():
        for weight in model.parameters():
            weight *= scale
    return model


def run(progress=None, parameters=CIRCUITS, model=None, epochs=(0, 2)):
    weights = parameters_to_vector((model or network()).parameters()).detach().numpy()
    arrays = {
        "checkpoint_epoch": np.array(epochs),
        "checkpoint_weights": np.stack([weights, np.zeros_like(weights)]),
    }
    context = Context(
        seed=0,
        device="cpu",
        data_root=Path("unused"),
        inputs={"training": Input(TRAINING, arrays)},
        progress=progress or NoProgress(),
    )
    return stage("li2022/circuits").run(parameters, context)


@pytest.fixture(scope="module")
def measured(images):
    """A whole measurement: its result and what it reported and saved."""
    progress = Memory()
    return run(progress), progress


def test_every_number_follows_from_the_arrays(measured, images):
    result, _ = measured
    assert not result.missing
    arrays, numbers = result.arrays, result.numbers
    for name in ("p_value", "asymmetry", "noise_95"):
        assert arrays[name].shape == (3, 4)
    assert ((arrays["p_value"] >= 1 / 40) & (arrays["p_value"] <= 1)).all()
    for order in range(3):
        assert numbers[f"num_small_p_values_{order}"] == (arrays["p_value"][order] < 0.2).sum()
        assert numbers[f"asymmetry_{order}"] == np.median(arrays["asymmetry"][order])
    assert len(set(arrays["example"].tolist())) == 4
    log_all, log_active = count_circuits(network(), images[arrays["example"]])
    np.testing.assert_allclose(arrays["log10_active"], log_active / math.log(10), rtol=1e-12)
    share = np.median((log_active - log_all) / math.log(10))
    # Differences of logarithms near 60, and float32 gates of other batches within rounding of zero.
    assert numbers["log10_active_share"] == pytest.approx(share, abs=1e-3)
    assert -10 < share < -3


def test_draws_are_the_sampled_values_times_the_derivative_of_the_loss(measured, images):
    result, progress = measured
    model = network()
    assert len(set(TARGETS[result.arrays["example"]].tolist())) == 2  # both signs of the derivative
    for index, example in enumerate(result.arrays["example"].tolist()):
        kept = progress.kept[f"draw-{index}"]
        for order in range(3):
            generator = torch_generator(0, "circuits", index, order)
            sample = sample_circuits(model, images[example], 60, order, generator=generator)
            derivative = 1 if order == 0 else -TARGETS[example].item()
            assert np.array_equal(kept["log_abs"][order], sample.log_abs.numpy())
            assert np.array_equal(kept["sign"][order], derivative * sample.sign.numpy())


def test_histograms_hold_all_values_of_every_draw(measured):
    arrays = measured[0].arrays
    assert arrays["edges"].shape == (3, 52)
    assert arrays["histogram"].shape == (3, 4, 51)
    # The mean over the bins is 1 by definition; smoothing reflects at the ends and loses nothing but
    # the kernel's tail beyond four standard deviations.
    np.testing.assert_allclose(arrays["histogram"].mean(axis=2), 1, rtol=1e-3)
    np.testing.assert_array_equal(arrays["edges"], -arrays["edges"][:, ::-1])


def test_examples_beyond_the_margin_are_not_drawn(images):
    model = network(scale=2.0)
    with torch.no_grad():
        within = TARGETS * model(images) < 1
    assert 1 < within.sum() < 8
    result = run(model=model, parameters=dataclasses.replace(CIRCUITS, num_draws=int(within.sum())))
    assert sorted(result.arrays["example"].tolist()) == within.nonzero().flatten().tolist()


def test_a_one_signed_law_is_found_out(images, monkeypatch):
    """All circuits of weights and inputs above zero are positive: every p-value is the smallest."""
    model = network()
    with torch.no_grad():
        for weight in model.parameters():
            weight.abs_()
    positive = BinaryImages(images.abs(), -torch.ones(8))  # outputs above zero, labels below
    monkeypatch.setattr(cifar10, "load", lambda *arguments: positive)
    result = run(model=model)
    for order in range(3):
        assert result.numbers[f"num_small_p_values_{order}"] == 4
        assert result.numbers[f"asymmetry_{order}"] == pytest.approx(2)


def test_an_interrupted_measurement_continues_with_the_same_bytes(measured):
    expected, whole = measured
    assert whole.num_saves == 4
    for saves in (1, 3):
        progress = Memory(saves_until_interrupted=saves)
        with pytest.raises(Interruption):
            run(progress)
        continued = run(progress)
        assert progress.num_saves == 4  # nothing finished is done again
        assert continued.numbers == expected.numbers
        for name, values in expected.arrays.items():
            assert continued.arrays[name].tobytes() == values.tobytes(), name


def test_progress_counts_up_to_the_total(measured):
    _, progress = measured
    assert [report[:2] for report in progress.reports] == [(done, 4) for done in range(1, 5)]


def test_circuits_are_those_before_training(images):
    with pytest.raises(ValueError, match="epoch 0; the first is of epoch 1"):
        run(epochs=(1, 2))


@pytest.mark.parametrize(
    ("scale", "num_draws", "found"), [(0.5, 9, 8), (0.0, 4, 0)], ids=["too few images", "dead"]
)
def test_too_few_examples_make_all_numbers_missing_with_the_reason(
    scale, num_draws, found, images, tmp_path
):
    parameters = dataclasses.replace(CIRCUITS, num_draws=num_draws)
    result = run(model=network(scale), parameters=parameters)
    assert not result.numbers
    assert set(result.missing) == set(stage("li2022/circuits").numbers)
    reason = f"only {found} examples inside the margin have circuits to draw"
    assert set(result.missing.values()) == {reason}
    fig3b.draw({"circuits": result.arrays}).savefig(tmp_path / "fig3b.png")


def test_the_scale_of_the_weights_changes_the_unit_alone(images):
    large, small = (run(model=network(2.0**-power)) for power in (1, 8))
    assert np.array_equal(large.arrays["p_value"], small.arrays["p_value"])
    factors = (large.arrays["log10_unit"] - small.arrays["log10_unit"]) / math.log10(2)
    np.testing.assert_allclose(factors, [7 * 12, 7 * 11, 7 * 10], rtol=1e-13)


def test_values_beyond_float64_do_not_underflow(measured, monkeypatch):
    """What a network of hundreds of layers would give."""

    def tiny(*arguments, **options):
        sample = sample_circuits(*arguments, **options)
        return sample._replace(log_abs=sample.log_abs - 2000)

    monkeypatch.setattr(sampling, "sample_circuits", tiny)
    result = run()
    assert np.array_equal(result.arrays["p_value"], measured[0].arrays["p_value"])
    # Their unit, 10^-900, is no float64 either, and the histograms do without it.
    np.testing.assert_allclose(
        result.arrays["histogram"], measured[0].arrays["histogram"], rtol=1e-9, atol=1e-9
    )


def test_the_figure_can_be_drawn(measured, tmp_path):
    figure = fig3b.draw({"circuits": measured[0].arrays})
    figure.savefig(tmp_path / "fig3b.png")
    assert len(figure.axes) == 3  # orders 0, 1 and 2
