"""The stage ``circuits`` on random images: its draws, its verdict on symmetry, its picture."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ssbrepro.contract import Context, Input, NoProgress
from ssbrepro.data import cifar10
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.networks import vgg12
from ssbrepro.papers import stage
from ssbrepro.papers.li2022 import experiment
from ssbrepro.papers.li2022.figures import fig3b
from ssbrepro.papers.li2022.stages.circuits import Parameters as CircuitsParameters
from ssbrepro.probes.circuits import count_circuits, sample_circuits, sampling
from ssbrepro.probes.controls import broken_copy
from ssbrepro.seeding import torch_generator
from tests.oracles.progress import Memory, assert_continues
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


KINDS = ("", "broken_")


@pytest.fixture(scope="module")
def images():
    """Eight random images in the place of CIFAR-10."""
    inputs = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "load", lambda *arguments: BinaryImages(inputs, TARGETS))
        yield inputs


def network(index: int) -> nn.Sequential:
    """The network of that draw."""
    return vgg12(TRAINING.width, torch_generator(0, "circuits", "network", index))


def copy_of(index: int, inputs: torch.Tensor) -> nn.Module:
    signs = torch_generator(0, "circuits", "copy", index)
    return broken_copy(network(index), inputs, 1.0, signs)


def run(progress=None, parameters=CIRCUITS):
    context = Context(
        seed=0,
        device="cpu",
        data_root=Path("unused"),
        inputs={"training": Input(TRAINING, {})},
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
    for kind, ending in (("", ""), ("broken_", "_control")):
        for name in ("p_value", "asymmetry", "noise_95", "imbalance", "weight_imbalance"):
            assert arrays[f"{kind}{name}"].shape == (3, 4)
        p_values = arrays[f"{kind}p_value"]
        assert ((p_values >= 1 / 40) & (p_values <= 1)).all()
        for order in range(3):
            assert numbers[f"num_small_p_values_{order}{ending}"] == (p_values[order] < 0.2).sum()
            for name in ("imbalance", "weight_imbalance"):
                median = np.median(arrays[f"{kind}{name}"][order])
                assert numbers[f"{name}_{order}{ending}"] == median
    for order in range(3):
        assert numbers[f"asymmetry_{order}"] == np.median(arrays["asymmetry"][order])
    for index, example in enumerate(arrays["example"].tolist()):
        log_all, log_active = count_circuits(network(index), images[[example]])
        assert arrays["log10_active"][index] == pytest.approx(log_active.item() / math.log(10))
    share = np.median(arrays["log10_active"]) - log_all.item() / math.log(10)
    assert numbers["log10_active_share"] == pytest.approx(share, abs=1e-9)  # of numbers near 60
    assert -10 < share < -3


def test_draws_are_of_independent_networks_and_of_their_copies(measured, images):
    """The sampled values times the derivative of the loss, and their signs without the input's."""
    result, progress = measured
    for index in range(4):
        kept = progress.kept[f"draw-{index}"]
        for kind, model in zip(KINDS, (network(index), copy_of(index, images)), strict=True):
            example = int(result.arrays[f"{kind}example"][index])
            with torch.no_grad():
                assert TARGETS[example] * model(images[[example]]) < 1
            for order in range(3):
                generator = torch_generator(0, f"{kind}circuits", index, order)
                draw = {"order": order, "generator": generator}
                sample = sample_circuits(model, images[example], 60, **draw)
                generator.manual_seed(generator.initial_seed())
                bare = sample_circuits(model, images[example], 60, **draw, with_input=False)
                derivative = 1 if order == 0 else -TARGETS[example].item()
                # Gains are means whose roundings depend on the layout in memory.
                log_abs = kept[f"{kind}log_abs"][order]
                np.testing.assert_allclose(log_abs, sample.log_abs.numpy(), rtol=1e-6)
                signs = derivative * sample.sign.numpy()
                assert np.array_equal(kept[f"{kind}sign"][order], signs)
                off = abs((signs > 0).mean() - 0.5), abs((bare.sign.numpy() > 0).mean() - 0.5)
                received = (
                    kept[f"{kind}{name}"][order] for name in ("imbalance", "weight_imbalance")
                )
                assert tuple(received) == pytest.approx(off, abs=1e-12)


def test_circuits_of_positive_weights_have_one_sign(measured):
    numbers = measured[0].numbers
    for order in range(3):
        assert numbers[f"weight_imbalance_{order}_control"] == 0.5


def test_chance_is_that_of_fair_coins(measured):
    # The median distance of 60 tosses' share from one half is near 0.674 * 0.5 / sqrt(60) = 0.044; of
    # the medians of four draws the 95 % quantile is a little less than twice that.
    assert 0.06 < measured[0].numbers["imbalance_noise"] < 0.1


def test_histograms_hold_all_values_of_every_draw(measured):
    arrays = measured[0].arrays
    for kind in KINDS:
        edges, histogram = arrays[f"{kind}edges"], arrays[f"{kind}histogram"]
        assert edges.shape == (3, 52)
        assert histogram.shape == (3, 4, 51)
        # The mean over the bins is 1 by definition; smoothing reflects at the ends and loses nothing
        # but the kernel's tail beyond four standard deviations.
        np.testing.assert_allclose(histogram.mean(axis=2), 1, rtol=1e-3)
        np.testing.assert_array_equal(edges, -edges[:, ::-1])


def test_a_one_signed_law_is_found_out(images, monkeypatch):
    """All circuits of weights and inputs above zero are positive: every p-value is the smallest."""

    def positive(setting, generator):
        model = vgg12(setting.width, generator)
        with torch.no_grad():
            for weight in model.parameters():
                weight.abs_()
        return model

    monkeypatch.setattr(experiment, "network", positive)
    below = BinaryImages(images.abs(), -torch.ones(8))  # outputs above zero, labels below
    monkeypatch.setattr(cifar10, "load", lambda *arguments: below)
    numbers = run().numbers
    for order in range(3):
        assert numbers[f"num_small_p_values_{order}"] == 4
        assert numbers[f"asymmetry_{order}"] == pytest.approx(2)
        assert numbers[f"imbalance_{order}"] == numbers[f"weight_imbalance_{order}"] == 0.5


def test_an_interrupted_measurement_continues_with_the_same_bytes(measured):
    expected, whole = measured
    assert whole.num_saves == 4
    assert_continues(run, expected, whole)


def test_progress_counts_up_to_the_total(measured):
    _, progress = measured
    assert [report[:2] for report in progress.reports] == [(done, 4) for done in range(1, 5)]


def test_a_network_without_circuits_makes_all_numbers_missing(images, monkeypatch, tmp_path):
    right, made = experiment.network, []

    def dead_once(*arguments):
        model = right(*arguments)
        made.append(model)
        if len(made) == 3:  # the first is the one that was trained
            with torch.no_grad():
                for weight in model.parameters():
                    weight.zero_()
        return model

    monkeypatch.setattr(experiment, "network", dead_once)
    result = run()
    assert not result.numbers
    assert set(result.missing) == set(stage("li2022/circuits").numbers)
    (reason,) = set(result.missing.values())
    assert reason.startswith("only 3 of 4 networks and their copies")
    fig3b.draw({"circuits": result.arrays}).savefig(tmp_path / "fig3b.png")


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
    assert len(figure.axes) == 6  # orders 0, 1 and 2 of networks and copies
