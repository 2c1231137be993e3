"""Cyclical against monotone: who was first."""

from pathlib import Path

import numpy as np

from ssbrepro.contract import Context, Input
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018.stages.cyclical import Parameters, epochs_until

FAST, SLOW, NEVER = [2.0, 0.4, 1.0, 1.0, 0.3], [2.0, 1.0, 1.0, 0.5, 0.2], [2.0, 1.0, 1.0, 1.0, 1.0]


def run(cyclical_losses, monotone_losses):
    """Measure trainings made by hand."""
    arrays = {
        "cyclical_loss": np.array(cyclical_losses),
        "monotone_loss": np.array(monotone_losses),
    }
    inputs = {"cyclical_training": Input(None, arrays)}
    context = Context(seed=0, device="cpu", data_root=Path("unused"), inputs=inputs)
    return stage("ssb2018/cyclical").run(Parameters(loss_threshold=0.5), context)


def test_the_first_epoch_at_the_threshold_counts():
    loss = np.array([[2, 0.5, 3, 0.1], [2, 0.6, 0.51, 0.4], [2, 2, 2, 0.6], [0.1, 1, 1, 1]])
    received = epochs_until(loss, 0.5)
    assert received[:2].tolist() == [1, 3]
    assert np.isnan(received[2])
    assert received[3] == 0


def test_a_tie_and_a_pair_that_never_arrives_are_not_first():
    result = run(
        [FAST, SLOW, NEVER, FAST, NEVER, FAST],
        [SLOW, FAST, FAST, NEVER, NEVER, FAST],
    )
    assert result.numbers == {
        "first_share": 2 / 6,
        "cyclical_epochs_median": 1,
        "monotone_epochs_median": 1,
        "num_cyclical_unreached": 2,
        "num_monotone_unreached": 2,
        "cyclical_loss_median": 0.3,
        "monotone_loss_median": 0.3,
    }
    assert not result.missing
    np.testing.assert_array_equal(result.arrays["cyclical_epochs"], [1, 3, np.nan, 1, np.nan, 1])
    np.testing.assert_array_equal(result.arrays["monotone_epochs"], [3, 1, 1, np.nan, np.nan, 1])


def test_a_schedule_that_never_arrives_has_no_median():
    result = run([FAST, SLOW], [NEVER, NEVER])
    assert set(result.missing) == {"monotone_epochs_median"}
    assert result.numbers["first_share"] == 1
    assert result.numbers["cyclical_epochs_median"] == 2
    assert result.numbers["num_monotone_unreached"] == 2
    result = run([NEVER, NEVER], [NEVER, NEVER])
    assert set(result.missing) == {"cyclical_epochs_median", "monotone_epochs_median"}
    assert result.numbers["first_share"] == 0
