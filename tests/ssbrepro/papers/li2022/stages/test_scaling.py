"""The stage ``scaling``: its grid, its cells, and interruptions."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ssbrepro.contract import Context, NoProgress
from ssbrepro.data import cifar10
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.networks import vgg12
from ssbrepro.papers import stage
from ssbrepro.papers.li2022 import cells
from ssbrepro.papers.li2022.stages import scaling
from ssbrepro.papers.li2022.stages.scaling import Parameters
from ssbrepro.probes import gradients
from ssbrepro.probes.controls import broken_copy
from ssbrepro.statistics.symmetry import reflection_asymmetry
from tests.oracles.progress import Memory, assert_continues

SMALL = Parameters(
    positive_classes=(0,), negative_classes=(1,), input_scaling="standardised",
    num_convolutions=10, initialisation="he_normal", step_size=0.01, momentum=0.9, batch_size=16,
    max_steps=8, widths=(1 / 64, 1 / 40, 1 / 32, 3 / 64), num_ratio_widths=3,
    num_spectrum_widths=3, num_fixed=24, num_active=4, num_intact=3, num_draws=1, num_spectra=1,
    num_steps=20,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def images():
    """Noise in the place of CIFAR-10, and losses that few steps reach."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(120, 3, 32, 32, generator=generator)
    targets = torch.ones(120)
    targets[::3] = -1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            cifar10, "load", lambda *given: BinaryImages(inputs[: given[3]], targets[: given[3]])
        )
        patch.setattr(scaling, "LOSSES", (0.97, 1e-9))
        yield BinaryImages(inputs, targets)


def measure(progress=None):
    context = Context(
        seed=3, device="cpu", data_root=Path("unused"), progress=progress or NoProgress()
    )
    return stage("li2022/scaling").run(SMALL, context)


@pytest.fixture(scope="module")
def measured():
    progress = Memory()
    return measure(progress), progress


def test_the_grid_is_as_ordered(measured):
    arrays = measured[0].arrays
    assert arrays["num_examples"][0].tolist() == [24] * 4
    assert arrays["num_examples"][1].tolist()[-1] == 0  # no such cell
    assert arrays["num_examples"][1, 2] == 49
    assert np.isnan(arrays["gradient"][1, 3]).all()
    assert np.isfinite(arrays["weights"][:, :3, 0]).any()
    assert np.isnan(arrays["gradient"][..., 1]).all()  # no loss is that small
    assert np.isnan(arrays["spectrum_intact"][0, 3]).all()
    reached = np.isfinite(arrays["loss"])
    assert (arrays["active"][reached] > 0).all()


def test_an_interrupted_grid_continues_with_the_same_bits(measured):
    expected, whole = measured
    # Each cell was measured once, and each loss that it reached.
    assert whole.num_saves == 8 + np.isfinite(expected.arrays["loss"]).sum()
    assert_continues(measure, expected, whole, first=9)


def test_statistics_are_what_they_say(images):
    model = vgg12(1 / 16, torch.Generator().manual_seed(1))
    inside = BinaryImages(images.inputs[:4], -model(images.inputs[:4]).detach().sign())
    found = cells.statistics(model, inside, 20, torch.Generator().manual_seed(2))
    gradient = gradients.mean_gradient(model, *inside).numpy()
    assert found["gradient"] == reflection_asymmetry(gradient)
    assert 0 < found["weights"] < 0.2
    assert 0 <= found["spectrum"] < 1
    broken = broken_copy(model, images.inputs, 1.0, torch.Generator().manual_seed(3))
    broken_found = cells.statistics(broken, inside, 0, torch.Generator())
    assert broken_found["weights"] == 2  # every weight is positive
    assert np.isnan(broken_found["spectrum"])


def test_medians_leave_out_what_is_missing():
    values = np.array([[1.0, np.nan, 4.0], [np.nan] * 3, [5.0, 3.0, 8.0]])
    assert cells.medians(values) == pytest.approx([2.5, np.nan, 5.0], nan_ok=True)
