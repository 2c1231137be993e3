"""The stage ``spectrum_controls`` on networks whose symmetries are known to hold or to be broken."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils import parameters_to_vector

from ssbrepro.contract import WITHOUT_POWER, Context, Input, NoProgress
from ssbrepro.data import cifar10
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.networks import vgg12
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.stages.spectrum import Parameters as SpectrumParameters
from ssbrepro.papers.li2022.stages.spectrum_controls import Parameters as ControlsParameters
from ssbrepro.probes.spectra.extremes import extremes_asymmetry
from ssbrepro.probes.spectra.traces import odd_moment
from tests.oracles.progress import Memory, assert_continues
from tests.oracles.trainings import TINY

SPECTRUM = SpectrumParameters(
    operator="cached",
    max_active=6,
    num_steps=20,
    num_pairs=1,
    num_extremes=3,
    tolerance=1e-2,
    num_probes=2,
    num_draws=19,
    num_flips=19,
    kernel_width=0.02,
    linear_share=1e-3,
    num_grid_points=51,
)
CONTROLS = ControlsParameters(num_intact=3)
STATISTICS = ("extremes", "odd_moment")


@pytest.fixture(scope="module", autouse=True)
def synthetic():
    """Six random images in the place of CIFAR-10."""
    inputs = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = BinaryImages(inputs, torch.tensor([1.0, -1.0] * 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "load", lambda *arguments: images)
        yield


def context(inputs, progress=None):
    return Context(
        seed=0,
        device="cpu",
        data_root=Path("unused"),
        inputs=inputs,
        progress=progress or NoProgress(),
    )


def untrained():
    """The weights of a fresh network: every symmetry holds."""
    model = vgg12(TINY.width, torch.Generator().manual_seed(1))
    return parameters_to_vector(model.parameters()).detach().numpy()


def training_of(*weights):
    """A training that had come to these weights."""
    arrays = {
        "checkpoint_epoch": np.arange(len(weights)),
        "checkpoint_weights": np.stack(weights),
        "epoch": np.arange(len(weights)),
        "loss": np.linspace(1, 0, len(weights)),
    }
    return {"training": Input(TINY, arrays)}


def inputs_of(*weights):
    """What the stage builds on, for networks with these weights."""
    inputs = training_of(*weights)
    spectrum = stage("li2022/spectrum").run(SPECTRUM, context(inputs))
    return inputs | {"spectrum": Input(SPECTRUM, spectrum.arrays)}


OF_SPECTRUM = ("standard_deviation", "outermost", "traces")


def at(inputs, checkpoints):
    """What the stage reads of the spectra at these checkpoints, to be changed."""
    return {name: inputs["spectrum"].arrays[name][checkpoints].copy() for name in OF_SPECTRUM}


def run(inputs, progress=None):
    return stage("li2022/spectrum_controls").run(CONTROLS, context(inputs, progress))


@pytest.fixture(scope="module")
def given():
    """A symmetric network, one with every weight positive, and a dead one."""
    weights = untrained()
    return inputs_of(weights, np.abs(weights), np.zeros_like(weights))


@pytest.fixture(scope="module")
def measured(given):
    progress = Memory()
    return run(given, progress), progress


def test_the_stage_accounts_for_every_number_and_checkpoint(measured):
    result, _ = measured
    assert {*result.numbers, *result.missing} == set(stage("li2022/spectrum_controls").numbers)
    assert not result.missing
    for statistic in STATISTICS:
        assert result.arrays[statistic].shape == (3,)
        assert result.arrays[f"{statistic}_intact"].shape == (3, 3)
        assert result.arrays[f"{statistic}_broken"].shape == (3, 1)
        for name in (statistic, f"{statistic}_intact", f"{statistic}_broken", f"{statistic}_index"):
            empty = np.isnan(result.arrays[name]).reshape(3, -1).all(axis=1)
            assert empty.tolist() == [False, False, True]
    for series in result.series.values():
        assert result.arrays[series.epochs].shape == result.arrays[series.values].shape


def test_a_symmetric_network_is_placed_among_intact_copies_and_a_positive_one_among_broken(
    measured,
):
    result, _ = measured
    for statistic in STATISTICS:
        symmetric, positive, _ = result.arrays[f"{statistic}_index"]
        # Copies of a network of a few channels scatter widely, so that "not broken" is all there is.
        assert symmetric < 0.5
        # The broken copy of a positive network is that network: only the probes and starts differ.
        assert positive == pytest.approx(1, abs=0.1)
        assert result.numbers[f"{statistic}_index_max"] == max(symmetric, positive)
        assert result.numbers[f"{statistic}_index_control"] == pytest.approx(1)
        assert result.numbers[f"{statistic}_max"] == np.nanmax(result.arrays[statistic])


def test_the_statistics_are_those_of_what_was_measured_with_one_number_of_eigenvalues(
    given, measured
):
    result, _ = measured
    spectrum = given["spectrum"].arrays
    for checkpoint in (0, 1):
        outermost = [
            spectrum["outermost"][checkpoint],
            *result.arrays["outermost_intact"][checkpoint],
            *result.arrays["outermost_broken"][checkpoint],
        ]
        k = min(int(np.isfinite(values).all(axis=0).sum()) for values in outermost)
        assert result.arrays["num_converged"][checkpoint] == k >= 1
        expected = [extremes_asymmetry(values[:, :k]) for values in outermost]
        received = [
            result.arrays["extremes"][checkpoint],
            *result.arrays["extremes_intact"][checkpoint],
            *result.arrays["extremes_broken"][checkpoint],
        ]
        assert received == expected
        assert result.arrays["odd_moment"][checkpoint] == abs(
            odd_moment(spectrum["traces"][checkpoint])
        )
    assert np.isnan(result.arrays["num_converged"][2])


def test_bounds_of_the_networks_own_numbers_are_the_worst_of_the_copies(measured):
    numbers, arrays = measured[0].numbers, measured[0].arrays
    assert numbers["asymmetry_control"] == np.nanmax(arrays["asymmetry_broken"])
    assert numbers["extreme_ratio_control"] == np.nanmax(arrays["extreme_ratio_broken"])
    # The 95 % quantile of three is the largest.
    assert numbers["extreme_ratio_noise"] == np.nanmax(arrays["extreme_ratio_intact"])
    assert (numbers["extreme_ratio_control"] > numbers["extreme_ratio_noise"]) is True
    # At the last checkpoint the copy is as dead as its network.
    assert numbers["standard_deviation_final_share_control"] == 0


def test_the_copys_spectrum_does_not_vanish_with_the_networks(given):
    weights = untrained()
    # As if training had left no example within the margin.
    spectrum = at(given, [0, 2])
    assert spectrum["standard_deviation"][1] == 0
    result = run(training_of(weights, 1.2 * weights) | {"spectrum": Input(SPECTRUM, spectrum)})
    first, last = result.arrays["standard_deviation_intact"]
    assert result.numbers["standard_deviation_final_share_control"] == last / max(first, last) > 0.1
    assert np.isnan(result.arrays["extremes"]).tolist() == [False, True]


def test_without_a_converged_eigenvalue_the_index_is_missing_and_says_where(given):
    spectrum = at(given, [2, 1])
    spectrum["outermost"][1] = np.nan
    weights = untrained()
    training = training_of(np.zeros_like(weights), np.abs(weights))
    result = run(training | {"spectrum": Input(SPECTRUM, spectrum)})
    for part in ("max", "index_max", "index_noise", "index_control"):
        reason = result.missing[f"extremes_{part}"]
        assert "at epoch 1 no eigenvalue has converged" in reason
        assert not reason.startswith(WITHOUT_POWER)
        assert f"odd_moment_{part}" in result.numbers
    assert result.numbers["num_converged_min"] == 0


def test_a_run_of_empty_spectra_has_nothing_to_compare():
    result = run(inputs_of(*np.zeros((2, len(untrained())), dtype=np.float32)))
    assert set(result.missing) == set(stage("li2022/spectrum_controls").numbers)
    assert "zero at every checkpoint" in result.missing["asymmetry_control"]


def test_an_interrupted_measurement_continues_with_the_same_bytes(given, measured):
    expected, whole = measured
    assert whole.num_saves == 3 * 5  # four copies a checkpoint, and the checkpoint
    # Of the first checkpoint one copy is left to do.
    assert_continues(lambda progress: run(given, progress), expected, whole, first=3)


def test_progress_counts_up_to_the_total(measured):
    _, progress = measured
    assert [(done, total) for done, total, _ in progress.reports] == [
        (done, 12) for done in range(1, 13)
    ]
