"""Cyclical against monotone: who was first."""

from pathlib import Path

import numpy as np
import pytest

from ssbrepro.contract import Context, Input
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018.stages.cyclical import Parameters, epochs_until

FAST, SLOW, NEVER = [2.0, 0.4, 1.0, 1.0, 0.3], [2.0, 1.0, 1.0, 0.5, 0.2], [2.0, 1.0, 1.0, 1.0, 1.0]


def run(cyclical_losses, monotone_losses, thresholds=(0.5, 0.25)):
    """Measure trainings made by hand."""
    arrays = {
        "cyclical_loss": np.array(cyclical_losses),
        "monotone_loss": np.array(monotone_losses),
    }
    inputs = {"cyclical_training": Input(None, arrays)}
    context = Context(seed=0, device="cpu", data_root=Path("unused"), inputs=inputs)
    parameters = Parameters(loss_threshold=0.5, threshold_range=thresholds, num_thresholds=2)
    return stage("ssb2018/cyclical").run(parameters, context)


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
    # Either schedule at 0.5: each of three FAST beats three of the other five, SLOW two that never come,
    # which decide nothing among each other. At 0.25 SLOW alone arrives, in each schedule once.
    assert result.numbers == pytest.approx({
        "first_share": 2 / 6,
        "alike_first_share": (3 * 3 + 2) / 30,
        "won_share": (2 + 1) / (5 + 2),
        "alike_won_share": (11 + 5) / (28 + 10),
        "undecided_share": (1 + 4) / 12,
        "alike_undecided_share": (2 + 20) / 60,
        "cyclical_epochs_median": 1,
        "monotone_epochs_median": 1,
        "num_cyclical_unreached": 2,
        "num_monotone_unreached": 2,
        "cyclical_loss_median": 0.3,
        "monotone_loss_median": 0.3,
    }, rel=1e-12)  # fmt: skip
    assert not result.missing
    np.testing.assert_array_equal(result.arrays["cyclical_epochs"], [1, 3, np.nan, 1, np.nan, 1])
    np.testing.assert_array_equal(result.arrays["monotone_epochs"], [3, 1, 1, np.nan, np.nan, 1])


def test_a_schedule_that_never_arrives_has_no_median():
    result = run([FAST, SLOW], [NEVER, NEVER])
    assert set(result.missing) == {"monotone_epochs_median"}
    assert result.numbers["first_share"] == 1
    assert result.numbers["alike_won_share"] == 0.5
    assert result.numbers["cyclical_epochs_median"] == 2
    assert result.numbers["num_monotone_unreached"] == 2
    result = run([NEVER, NEVER], [NEVER, NEVER])
    assert set(result.missing) == {
        "cyclical_epochs_median",
        "monotone_epochs_median",
        "won_share",
        "alike_won_share",
    }
    assert result.missing["won_share"] == "no network came down to a loss of 0.5"
    assert result.numbers["first_share"] == 0
    assert result.numbers["undecided_share"] == 1


def test_thresholds_lie_in_equal_ratios_and_each_is_decided_on_its_own():
    result = run([FAST, SLOW], [SLOW, FAST], thresholds=(1.0, 0.25))
    assert result.arrays["threshold"].tolist() == [1, 0.25]
    np.testing.assert_array_equal(result.arrays["cyclical_reached"], [[1, 1], [np.nan, 4]])
    # A tie twice at 1; at 0.25 the slow ones alone arrive, one in each schedule.
    assert result.numbers["won_share"] == 0.25
    assert result.numbers["undecided_share"] == 0


def test_between_trainings_of_one_schedule_half_of_what_is_no_tie_is_won():
    generator = np.random.default_rng(0)
    losses = np.exp(-generator.uniform(0.5, 1.5, (6, 1)) * np.arange(40.0) / 3)
    numbers = run(losses, losses, thresholds=(0.5, 0.01)).numbers
    epochs = np.stack([epochs_until(losses, value) for value in (0.5, 0.01)])
    pairs = ~np.eye(6, dtype=bool)
    ties = [(row[:, None] == row)[pairs].mean() for row in epochs]
    assert 0 < np.mean(ties) < 1
    assert numbers["alike_won_share"] == pytest.approx((1 - np.mean(ties)) / 2, rel=1e-12)
    assert numbers["won_share"] == 0
