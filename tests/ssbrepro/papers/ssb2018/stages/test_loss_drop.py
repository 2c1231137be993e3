"""The loss through the cut of the step size: ratios by hand, and what is missing."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ssbrepro.contract import Context, Input
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018.stages.loss_drop import Parameters as LossDropParameters

CUT = 3
# Before the cut each epoch leaves 3/4 of the loss, or all of it; at the cut 1/2, 1/4 or 1.
LOSS = np.array(
    [
        [8.0, 8.0, 4.0, 4.0, 2.0, 0.5],
        [64.0, 48.0, 36.0, 27.0, 6.75, 0.5],
        [16.0, 8.0, 4.0, 2.0, 2.0, 0.5],
    ]
)
# What the second epoch does without a cut: nothing, or a fall to 3/4 or 1/2.
UNCUT = np.array([[4.0, 4.0], [27.0, 20.25], [2.0, 1.0]])


def measure(loss=LOSS, drop_to=0.5, num_epochs_before=2, uncut=UNCUT):
    training = Input(
        parameters=SimpleNamespace(cut_epoch=CUT),
        arrays={
            "loss": np.array(loss),
            "epoch": np.arange(np.shape(loss)[1]),
        },
    )
    uncut_loss = np.array(loss)
    uncut_loss[:, CUT : CUT + 2] = uncut
    inputs = {
        "residual_training": training,
        "uncut_training": Input(parameters=None, arrays={"loss": uncut_loss}),
    }
    context = Context(0, "cpu", Path("unused"), inputs)
    parameters = LossDropParameters(drop_to=drop_to, num_epochs_before=num_epochs_before)
    return stage("ssb2018/loss_drop").run(parameters, context)


def test_the_losses_on_both_sides_of_the_first_epoch_after_the_cut_are_compared():
    result = measure()
    # Quotients of small powers of two and three: exact.
    assert result.arrays["ratio"].tolist() == [0.5, 0.25, 1]
    assert result.arrays["uncut_ratio"].tolist() == [1, 0.75, 0.5]
    assert result.arrays["ratio_before"].tolist() == [[0.5, 1], [0.75, 0.75], [0.5, 0.5]]
    assert result.numbers == {
        "drop_share": 2 / 3,  # a ratio equal to the bound is a drop
        "ratio_median": 0.5,
        "ratio_min": 0.25,
        "ratio_max": 1,
        "ratio_before_median": 0.625,
        "uncut_drop_share": 1 / 3,
        "uncut_ratio_median": 0.75,
    }
    assert not result.missing
    assert result.arrays["cut_epoch"] == CUT
    assert result.arrays["drop_to"] == 0.5


@pytest.mark.parametrize(("drop_to", "share"), [(0.49, 1 / 3), (0.2, 0.0), (0.5, 2 / 3)])
def test_only_ratios_up_to_the_bound_are_drops(drop_to, share):
    assert measure(drop_to=drop_to).numbers["drop_share"] == share


def test_what_happens_later_does_not_count():
    later = LOSS.copy()
    later[:, 5:] = 1e-9
    assert measure(later).numbers == measure().numbers
    earlier = LOSS.copy()
    earlier[:, 0] = 1e9
    assert measure(earlier).numbers == measure().numbers


def test_all_epochs_before_the_cut_can_be_asked_for():
    result = measure(num_epochs_before=3)
    assert result.arrays["ratio_before"].tolist()[0] == [1, 0.5, 1]
    with pytest.raises(
        ValueError, match="num_epochs_before is 4, but the step size is cut after 3"
    ):
        measure(num_epochs_before=4)


def test_a_loss_of_zero_leaves_no_ratio():
    zero = LOSS.copy()
    zero[1, 3] = 0
    result = measure(zero)
    assert set(result.missing) == set(stage("ssb2018/loss_drop").numbers)
    assert all("a network's loss is 0 before the cut" in text for text in result.missing.values())
    assert np.isnan(result.arrays["ratio"]).tolist() == [False, True, False]
    gone = measure(uncut=np.zeros_like(UNCUT))
    assert set(gone.missing) == set(result.missing)
    # A loss of zero after the cut is the largest drop there is.
    zero = LOSS.copy()
    zero[1, 4] = 0
    assert measure(zero).numbers["ratio_min"] == 0
