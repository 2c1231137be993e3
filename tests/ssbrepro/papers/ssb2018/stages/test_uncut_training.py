"""Training without the cut: the same networks up to it, and measured as those with it."""

from dataclasses import replace

import numpy as np
import pytest

from ssbrepro.contract import Context, Input
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018 import residual_networks
from ssbrepro.papers.ssb2018.stages.uncut_training import Parameters
from ssbrepro.papers.ssb2018.stages.uncut_zero_modes import Parameters as UncutZeroModesParameters
from ssbrepro.papers.ssb2018.stages.zero_modes import Parameters as ZeroModesParameters
from tests.oracles.images import random_images
from tests.oracles.residual_family import TINY, context_of, random_paths, tiny_images


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The stage with the cut, and the one without it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residual_networks, "load_classes", random_images)
        context = Context(0, "cpu", tmp_path_factory.mktemp("data"))
        cut = stage("ssb2018/residual_training").run(TINY, context)
        inputs = {"residual_training": Input(TINY, cut.arrays)}
        uncut = stage("ssb2018/uncut_training").run(Parameters(), replace(context, inputs=inputs))
    return cut, uncut


def test_up_to_the_cut_both_are_the_same_to_the_last_bit(trained):
    cut, uncut = trained
    epochs = TINY.cut_epoch + 1
    for name in ("loss", "accuracy", "weight_norm", "gradient_mean"):
        np.testing.assert_array_equal(
            uncut.arrays[name][..., :epochs], cut.arrays[name][..., :epochs]
        )
    assert uncut.numbers["difference_before_cut"] == 0
    assert uncut.arrays["checkpoint_epoch"].tolist() == [2, 3]
    np.testing.assert_array_equal(
        uncut.arrays["checkpoint_weights"][:, 0], cut.arrays["checkpoint_weights"][:, 2]
    )
    assert (uncut.arrays["loss"][:, -1] != cut.arrays["loss"][:, -1]).all()


def test_after_it_the_step_size_stays(trained):
    _, uncut = trained
    # A cut to the whole is none: the same training by the other stage.
    steady = replace(TINY, cut_factor=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residual_networks, "load_classes", random_images)
        expected = stage("ssb2018/residual_training").run(steady, Context(0, "cpu", None))
    np.testing.assert_array_equal(uncut.arrays["loss"], expected.arrays["loss"])
    assert uncut.numbers["final_loss_median"] == expected.numbers["final_loss_median"]


def test_another_training_before_the_cut_is_told(trained):
    cut, _ = trained
    other = {**cut.arrays, "loss": cut.arrays["loss"] + 0.25}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residual_networks, "load_classes", random_images)
        inputs = {"residual_training": Input(TINY, other)}
        context = Context(0, "cpu", None, inputs)
        numbers = stage("ssb2018/uncut_training").run(Parameters(), context).numbers
    assert numbers["difference_before_cut"] == pytest.approx(0.25)


ZERO_MODES = ZeroModesParameters(
    operator="cached", num_examples=4, num_vectors=2, num_steps=4, zero_below=0.01, scale="before"
)


def uncut_zero_modes(weights):
    """The stage on uncut networks with these weights at the cut and at the end."""
    context = context_of(random_paths())
    uncut = Input(None, {"checkpoint_epoch": np.array([2, 3]), "checkpoint_weights": weights})
    inputs = {
        **context.inputs, "uncut_training": uncut, "zero_modes": Input(ZERO_MODES, {}),
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residual_networks, "images", tiny_images)
        measured = stage("ssb2018/uncut_zero_modes").run(
            UncutZeroModesParameters(), replace(context, inputs=inputs)
        )
        cut = stage("ssb2018/zero_modes").run(ZERO_MODES, context)
    return measured, cut


def test_uncut_networks_are_measured_as_those_with_the_cut():
    weights = random_paths()[:, 2:]
    measured, cut = uncut_zero_modes(weights)
    assert measured.numbers == cut.numbers
    np.testing.assert_array_equal(measured.arrays["nodes"], cut.arrays["nodes"])
    still, cut = uncut_zero_modes(weights[:, [0, 0]])
    assert still.numbers["growth_median"] == 0 != cut.numbers["growth_median"]
    assert still.numbers["share_before_median"] == cut.numbers["share_before_median"]
