"""The stage ``dose_response``: its statistics one by one, planted answers, and interruptions."""

import dataclasses
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from ssbrepro.contract import WITHOUT_POWER, Context, Input, NoProgress
from ssbrepro.data import cifar10
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.networks import vgg12
from ssbrepro.networks.flattening import flat_weights
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.stages import dose_response
from ssbrepro.papers.li2022.stages.dose_response import SHARES, STATISTICS, Parameters
from ssbrepro.probes import gradients
from ssbrepro.statistics.symmetry import reflection_asymmetry
from ssbrepro.training.losses import hinge, within_margin
from tests.oracles.hessians import dense_derivatives
from tests.oracles.nets import problem
from tests.oracles.progress import Memory, assert_continues
from tests.oracles.trainings import TINY

SMALL = Parameters(
    widths=(1 / 32, 1 / 16),
    num_networks=3,
    num_detailed=2,
    num_examples=10,
    num_circuits=50,
    num_pairs=20,
    num_spectrum_widths=1,
    num_steps=20,
    num_replicates=19,
)
FEW = (0.0, 0.1, 0.3, 1.0)  # shares


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scaled(seed, factor):
    """Weights of an untrained network, with outputs so many times as large."""
    weights = flat_weights(vgg12(1 / 32, generator(seed)).parameters())
    weights[-16:] *= factor
    return weights


# Two with outputs within ±1, and one that has learned all labels but eight.
CHECKPOINTS = [scaled(0, 1.0), scaled(1, 0.1), scaled(2, 1e9)]


@pytest.fixture(scope="module")
def images():
    """Noise, labelled mostly as the last network would, in the place of CIFAR-10."""
    inputs = torch.randn(40, 3, 32, 32, generator=generator())
    with torch.no_grad():
        targets = vgg12(1 / 32, generator(2))(inputs).sign()
    targets[::5] *= -1
    images = BinaryImages(inputs, targets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "load", lambda *arguments: images)
        yield images


def measure(progress=None, parameters=SMALL):
    arrays = {
        "checkpoint_epoch": np.array([0, 4, 9]),
        "checkpoint_weights": np.stack(CHECKPOINTS),
    }
    context = Context(
        seed=3,
        device="cpu",
        data_root=Path("unused"),
        inputs={"training": Input(dataclasses.replace(TINY, num_examples=40), arrays)},
        progress=progress or NoProgress(),
    )
    return stage("li2022/dose_response").run(parameters, context)


@pytest.fixture(scope="module")
def watched(images):
    """A measurement at few shares, its progress, and which examples of each gradient were inside."""
    progress, seen = Memory(), []
    mean_gradient = gradients.mean_gradient

    def watch(model, inputs, targets):
        with torch.no_grad():
            seen.append(within_margin(model(inputs), targets).tolist())
        return mean_gradient(model, inputs, targets)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dose_response, "SHARES", FEW)
        patch.setattr(gradients, "mean_gradient", watch)
        return measure(progress), progress, seen


@pytest.fixture(scope="module")
def measured(watched):
    return watched[:2]


def test_each_statistic_is_measured_where_it_is_wanted(measured):
    result, _ = measured
    arrays = result.arrays
    assert arrays["shares"].tolist() == list(FEW)
    for statistic in STATISTICS:
        assert arrays[statistic].shape == (2, 3, 4)
        there = np.isfinite(arrays[statistic]).any(axis=2)
        assert there[:, 2].tolist() == [statistic == "gradient"] * 2  # only two are detailed
        assert there[1, 0] == (statistic != "spectrum")
        assert there[0, 0]
        assert arrays[f"{statistic}_intact"].shape == (2, 2)
    quartiles = np.quantile(arrays["gradient"], (0.25, 0.5, 0.75), axis=1)
    assert arrays["gradient_quartiles"].swapaxes(0, 1) == pytest.approx(quartiles, rel=1e-12)


def test_with_every_symmetry_broken_weights_and_circuits_have_one_sign(measured):
    result, _ = measured
    assert result.arrays["weights"][:, :2, -1] == pytest.approx(2.0, rel=1e-12)  # a weighted mean
    assert (result.arrays["circuits"][:, :2, -1] == 1).all()
    # Of a share p of positive weights, and fair ones: A is about 2 p, up to the chance of a few
    # thousand weights, which adds a tenth.
    weights = result.arrays["weights"][1, :2, :-1]
    assert weights == pytest.approx(np.broadcast_to(2 * np.array(FEW[:-1]), (2, 3)), abs=0.1)


def test_the_fan_in_leaves_out_the_first_layer_and_grows_with_width(measured):
    result, _ = measured
    channels = np.array([64, 64, 128, 128, 256, 256, 512, 512, 512, 512]) / 32
    expected = np.exp(np.mean(np.log([*(9 * channels[:9]), 16, 16])))
    assert result.arrays["fan_in"] == pytest.approx([expected, 2 * expected], rel=1e-12)


def test_the_run_is_measured_at_its_start_and_at_the_last_checkpoint_with_examples(measured):
    result, _ = measured
    assert result.arrays["run_epoch"].tolist() == [0, 4]
    assert result.arrays["run_width"] == TINY.width
    sizes = [weight.numel() for weight in vgg12(1 / 32).parameters()]
    layers = np.split(CHECKPOINTS[0], np.cumsum(sizes)[:-1])
    expected = np.average([reflection_asymmetry(layer) for layer in layers], weights=sizes)
    assert result.arrays["weights_run"][0] == pytest.approx(expected, rel=1e-12)
    for statistic in ("circuits", "gradient"):
        assert np.isfinite(result.arrays[f"{statistic}_run"]).all()


def test_all_is_measured_on_examples_inside_the_margin(watched):
    _, _, seen = watched
    assert len(seen) == 2 * 3 * len(FEW) + 2
    assert all(map(all, seen))
    numbers = [*map(len, seen)]
    assert max(numbers) == 10  # and fewer where a network has no more
    assert numbers.count(10) > len(numbers) / 2


def small(name, num_examples=60):
    """A small network in float32, and its examples inside the margin."""
    model, inputs, targets = problem(name, num_examples=num_examples)
    inside = within_margin(model(inputs), targets)
    return model.float(), BinaryImages(inputs[inside].float(), targets[inside].float())


@pytest.mark.parametrize("name", ["fully-connected", "max-pooled"])
def test_the_spectrum_is_that_of_the_outermost_eigenvalues(name):
    model, inside = small(name)
    _, hessian = dense_derivatives(model.double(), hinge, *inside)
    values = torch.linalg.eigvalsh(hessian).numpy()
    positive, negative = values[::-1][:10], -values[:10]
    expected = np.abs(positive - negative).sum() / (positive + negative).sum()
    found = dose_response._spectrum(model.float(), inside, len(values), generator())
    # Each of the twenty may be off by the square of the tolerance over the gap to the next.
    assert found == pytest.approx(expected, abs=0.02)


def test_entries_are_judged_over_the_examples_they_are_not_zero_for():
    model, inside = small("max-pooled")
    sizes = [weight.numel() for weight in model.parameters()]
    rows, columns = dose_response.sampling_of_pairs.draw_pairs(sizes, 40, np.random.default_rng(0))
    laws = []
    for example, target in zip(*inside, strict=True):
        _, hessian = dense_derivatives(model.double(), hinge, example[None], target[None])
        laws.append(hessian.numpy()[rows, columns])
    columns_of = [column[np.abs(column) > 1e-12] for column in np.array(laws).T]
    expected = np.median([reflection_asymmetry(one) for one in columns_of if len(one) >= 10])
    found = dose_response._entries(model.float(), inside, 40, np.random.default_rng(0))
    assert found == pytest.approx(expected, abs=1e-4)  # float32
    assert np.isnan(dose_response._entries(model, BinaryImages(*(p[:5] for p in inside)), 40,
                                           np.random.default_rng(0)))  # fmt: skip


def test_circuits_of_a_network_without_negative_weights_are_positive_and_of_a_dead_one_missing():
    model, inside = small("max-pooled")
    with torch.no_grad():
        for weight in model.parameters():
            weight.abs_()
    assert dose_response._circuits(model, inside.inputs, 100, generator()) == 1
    with torch.no_grad():
        list(model.parameters())[-1].mul_(-1)
    assert dose_response._circuits(model, inside.inputs, 100, generator()) == 1
    dead = -inside.inputs.abs()
    assert np.isnan(dose_response._circuits(model, dead, 100, generator()))


def planted(exponent):
    """S(p) that is half-way at 3 n^exponent, in the place of what networks show."""

    def answer(parameters, seed, model, images, name, wanted):
        weights = torch.cat([weight.reshape(-1) for weight in model.parameters()])
        share = max(2 * float((weights > 0).double().mean()) - 1, 0.0)
        middle = 3 * dose_response._fan_in(model) ** exponent
        jitter = 1 + 0.05 * np.sin(zlib.crc32(name.encode()))
        value = (share * jitter) ** 4 / ((share * jitter) ** 4 + middle**4)
        return dict.fromkeys(STATISTICS, np.nan) | dict.fromkeys(wanted, value)

    return answer


def test_a_planted_decline_comes_out_as_a_slope(images, monkeypatch):
    monkeypatch.setattr(dose_response, "_measure", planted(-0.5))
    result = measure(parameters=dataclasses.replace(SMALL, widths=(1 / 32, 1 / 16, 1 / 8)))
    assert result.arrays["shares"].tolist() == list(SHARES)
    # Straight lines between seven shares.
    assert result.numbers["gradient_slope"] == pytest.approx(-0.5, abs=0.1)
    assert result.numbers["gradient_slope_distance"] < 0.2
    assert result.numbers["gradient_slope_control"] > 0.2
    expected = 3 * result.arrays["fan_in"] ** -0.5
    assert result.arrays["gradient_half_share"] == pytest.approx(expected, rel=0.15)
    assert result.numbers["gradient_half_share"] == result.arrays["gradient_half_share"][-1]
    assert result.missing == {"spectrum_slope": "measured at one width only"}
    assert np.isnan(result.arrays["spectrum_slope"])


def test_a_statistic_that_does_not_answer_is_without_power(images, monkeypatch):
    monkeypatch.setattr(
        dose_response, "_measure", lambda *arguments: dict.fromkeys(STATISTICS, 0.3)
    )
    result = measure()
    assert not result.numbers
    assert {*result.missing} == {*dose_response.NUMBERS}
    assert all(reason.startswith(f"{WITHOUT_POWER}: at width 0.03125, 0.0625 ")
               for reason in result.missing.values())  # fmt: skip


def test_dead_networks_leave_nothing_to_measure(images, monkeypatch):
    monkeypatch.setattr(
        dose_response, "_measure", lambda *arguments: dict.fromkeys(STATISTICS, np.nan)
    )
    result = measure()
    assert not result.numbers
    assert {*result.missing.values()} == {"there is nothing to measure at any width"}


def test_an_interrupted_measurement_continues_with_the_same_bytes(measured, monkeypatch):
    monkeypatch.setattr(dose_response, "SHARES", FEW)
    expected, whole = measured
    assert whole.num_saves == 2 * 3 + 1
    assert_continues(measure, expected, whole, first=4)
