"""The stage ``spectrum`` on a small trained network, interrupted, empty, and on real images."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ssbrepro.contract import Context, Input, NoProgress
from ssbrepro.data import cifar10
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.stages.spectrum import Parameters as SpectrumParameters
from ssbrepro.probes.identities import IDENTITIES
from ssbrepro.probes.operators import remembered
from tests.oracles.progress import Interruption, Memory, assert_continues
from tests.oracles.trainings import TINY

TRAINING = TINY
SPECTRUM = SpectrumParameters(
    operator="cached",
    max_active=6,
    num_steps=4,
    num_pairs=1,
    num_extremes=2,
    tolerance=0.5,
    num_probes=1,
    num_draws=19,
    num_flips=19,
    kernel_width=0.02,
    linear_share=1e-3,
    num_grid_points=2001,
)


@pytest.fixture(scope="module")
def synthetic():
    """Six random images in the place of CIFAR-10."""
    inputs = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = BinaryImages(inputs, torch.tensor([1.0, -1.0] * 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "load", lambda *arguments: images)
        yield


def context(progress=None, inputs=None, root=Path("unused")):
    return Context(
        seed=0, device="cpu", data_root=root, inputs=inputs or {}, progress=progress or NoProgress()
    )


@pytest.fixture(scope="module")
def trained(synthetic):
    result = stage("li2022/training").run(TRAINING, context())
    return {"training": Input(TRAINING, result.arrays)}


def at_start(trained):
    """A training of its first checkpoint alone."""
    arrays = trained["training"].arrays
    first = {name: arrays[name][:1] for name in ("checkpoint_epoch", "checkpoint_weights")}
    return {"training": Input(TRAINING, arrays | first)}


@pytest.fixture(scope="module")
def measured(trained):
    """A whole measurement: its result and what it reported and saved."""
    progress = Memory()
    return stage("li2022/spectrum").run(SPECTRUM, context(progress, trained)), progress


def test_the_stage_measures_every_checkpoint_and_accounts_for_every_number(measured):
    result, _ = measured
    assert set(result.numbers) == set(stage("li2022/spectrum").numbers)
    assert not result.missing
    assert result.numbers["num_checkpoints"] == 3
    assert result.numbers["num_empty"] == 0
    assert result.arrays["epoch"].tolist() == [0, 1, 2]
    assert result.arrays["nodes"].shape == (3, 2, 4)
    assert result.arrays["outermost"].shape == (3, 2, 2)
    assert np.isfinite(result.arrays["traces"]).all()
    # Cauchy and Schwarz hold for the known pairs and the probes together.
    second, third, fourth = result.arrays["traces"].T
    assert (np.abs(third) <= np.sqrt(second * fourth) * (1 + 1e-6)).all()
    assert (result.arrays["asymmetry_bound"] >= result.arrays["asymmetry"]).all()
    np.testing.assert_allclose(result.arrays["weights"].sum(axis=-1), 1, rtol=1e-12)
    assert (result.arrays["standard_deviation"] > 0).all()
    for identity in IDENTITIES:
        # float32 products of twelve layers.
        assert 0 <= result.numbers[f"{identity}_residual_max"] < 1e-4
    assert result.numbers["asymmetry_max"] == result.arrays["asymmetry"].max()
    for series in result.series.values():
        assert result.arrays[series.epochs].shape == result.arrays[series.values].shape


def test_the_densities_integrate_to_one_on_the_common_axis(measured):
    arrays = measured[0].arrays
    assert np.array_equal(arrays["grid"], -arrays["grid"][::-1])
    for density in arrays["density"]:
        # What lies beyond twice the largest node, and the trapezoid's error.
        assert np.trapezoid(density, arrays["grid"]) == pytest.approx(1, abs=0.02)


def test_an_interrupted_measurement_continues_with_the_same_bytes(trained, measured):
    expected, whole = measured
    assert whole.num_saves >= 3
    assert_continues(
        lambda progress: stage("li2022/spectrum").run(SPECTRUM, context(progress, trained)),
        expected,
        whole,
    )


def test_a_measurement_cut_within_a_checkpoint_continues_with_the_same_bytes(
    trained, measured, monkeypatch
):
    monkeypatch.setattr(remembered, "_SECONDS", 0)  # every product is saved
    expected, _ = measured
    progress = Memory(saves_until_interrupted=6)  # of eight products of Lanczos steps
    with pytest.raises(Interruption):
        stage("li2022/spectrum").run(SPECTRUM, context(progress, trained))
    continued = stage("li2022/spectrum").run(SPECTRUM, context(progress, trained))
    assert continued.numbers == expected.numbers
    for name, values in expected.arrays.items():
        assert continued.arrays[name].tobytes() == values.tobytes(), name
    # Eight products a checkpoint and two of a probe, each computed and saved once.
    assert progress.num_saves == 3 * (8 + 2 + 1)


def test_progress_counts_up_to_the_total(measured):
    _, progress = measured
    done = [finished for finished, _, _ in progress.reports]
    (total,) = {total for _, total, _ in progress.reports}
    assert done == sorted(done)
    assert done[0] > 0
    assert done[-1] == total


@pytest.mark.parametrize("operator", ["autograd", "pyhessian"])
def test_all_operators_measure_the_same(trained, measured, operator):
    one, _ = measured
    parameters = dataclasses.replace(SPECTRUM, operator=operator)
    other = stage("li2022/spectrum").run(parameters, context(inputs=at_start(trained)))
    # float32 products, in Lanczos runs of four steps.
    for name in ("standard_deviation", "largest", "smallest", "outermost", "traces"):
        np.testing.assert_allclose(one.arrays[name][:1], other.arrays[name], rtol=1e-4)


def test_the_risk_is_compared_with_the_spectrum_over_the_checkpoints_that_are_not_empty(trained):
    weights = trained["training"].arrays["checkpoint_weights"][[0, 0, 0, 0, 0]].copy()
    # H of k times the weights is k^10 times as large while all examples stay inside the margin.
    weights *= np.array([1.0, 0.9, 0.8, 0.7, 0.0], dtype=np.float32)[:, None]
    arrays = {
        "checkpoint_epoch": np.array([0, 2, 3, 5, 6]),
        "checkpoint_weights": weights,
        "epoch": np.arange(7),
        "loss": np.array([1.0, 9.0, 0.7, 0.8, 9.0, 0.1, 0.0]),
    }
    result = stage("li2022/spectrum").run(
        SPECTRUM, context(inputs={"training": Input(TRAINING, arrays)})
    )
    assert result.arrays["loss"].tolist() == [1.0, 0.7, 0.8, 0.1, 0.0]
    # Ranks 4, 2, 3, 1 against 4, 3, 2, 1: 1 - 6 * 2 / (4 * 15).
    assert result.numbers["risk_correlation"] == pytest.approx(0.8, rel=1e-12)
    # Of the 24 orders of four one gives 1 and three give 0.8: chance reaches it in more than 5 %.
    assert result.numbers["risk_correlation_control"] >= 0.8 * (1 - 1e-12)


def test_two_checkpoints_have_no_rank_correlation(trained):
    arrays = trained["training"].arrays | {"loss": np.array([0.7, 0.7, 0.2])}
    result = stage("li2022/spectrum").run(
        SPECTRUM, context(inputs={"training": Input(TRAINING, arrays)})
    )
    for name in ("risk_correlation", "risk_correlation_control"):
        assert "fewer than 3 checkpoints of different loss" in result.missing[name]


def test_checkpoints_without_active_examples_are_empty_and_judged_by_nobody(trained):
    weights = trained["training"].arrays["checkpoint_weights"].copy()
    weights[1:] = 0  # dead networks: H = 0
    dead = {
        "training": Input(TRAINING, {**trained["training"].arrays, "checkpoint_weights": weights})
    }
    result = stage("li2022/spectrum").run(SPECTRUM, context(inputs=dead))
    assert result.numbers["num_empty"] == 2
    assert np.isnan(result.arrays["asymmetry"]).tolist() == [False, True, True]
    assert result.numbers["asymmetry_max"] == result.arrays["asymmetry"][0]
    assert result.numbers["standard_deviation_final_share"] == 0
    assert np.isfinite(result.arrays["density"]).all()


def test_a_run_of_empty_spectra_has_no_symmetry_and_says_why(trained):
    weights = np.zeros_like(trained["training"].arrays["checkpoint_weights"])
    dead = {
        "training": Input(TRAINING, {**trained["training"].arrays, "checkpoint_weights": weights})
    }
    result = stage("li2022/spectrum").run(SPECTRUM, context(inputs=dead))
    assert result.numbers["num_empty"] == 3
    assert "asymmetry_max" in result.missing
    assert "zero" in result.missing["asymmetry_max"]
    assert {*result.numbers, *result.missing} == set(stage("li2022/spectrum").numbers)


def test_a_few_examples_stand_for_all_that_are_inside_the_margin(trained):
    all_of_them, few = (
        dataclasses.replace(SPECTRUM, max_active=number, num_probes=20) for number in (6, 1)
    )
    whole, result = (
        stage("li2022/spectrum").run(one, context(inputs=at_start(trained)))
        for one in (all_of_them, few)
    )
    assert whole.arrays["num_active"].min() > 1
    assert np.array_equal(result.arrays["num_active"], whole.arrays["num_active"])
    for identity in IDENTITIES:  # of the estimate itself; float32 products of twelve layers
        assert 0 <= result.numbers[f"{identity}_residual_max"] < 1e-4
    # The standard deviation is that over all examples: tr H^2, twice by twenty probes.
    dim = trained["training"].arrays["checkpoint_weights"].shape[1]
    expected = np.sqrt(whole.arrays["traces"][:, 0] / dim)
    np.testing.assert_allclose(result.arrays["standard_deviation"], expected, rtol=0.3)
    assert not np.allclose(result.arrays["traces"], whole.arrays["traces"], rtol=0.3)


@pytest.mark.usefixtures("measured")
def test_the_weights_of_the_training_are_left_as_they_were(trained):
    before = stage("li2022/training").run(TRAINING, context()).arrays["checkpoint_weights"]
    assert np.array_equal(trained["training"].arrays["checkpoint_weights"], before)


def test_real_images_have_a_spectrum(data_root):
    training = stage("li2022/training").run(TRAINING, context(root=data_root))
    inputs = {"training": Input(TRAINING, training.arrays)}
    result = stage("li2022/spectrum").run(SPECTRUM, context(inputs=inputs, root=data_root))
    assert result.numbers["num_empty"] == 0
    assert result.numbers["euler_residual_max"] < 1e-4
