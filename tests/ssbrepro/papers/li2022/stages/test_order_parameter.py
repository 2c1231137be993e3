"""The stage ``order_parameter`` on curves that were chosen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssbrepro.contract import Context, Input
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.figures import fig4b
from ssbrepro.papers.li2022.stages.order_parameter import Parameters as OrderParameterParameters
from tests.oracles.trainings import TINY

PARAMETERS = OrderParameterParameters(loss_above=1e-3, step="nominal", num_draws=99)
RATES = {
    "rank_correlation",
    "rank_correlation_control",
    "slope",
    "slope_permuted",
    "slope_coherent",
}


def steps(loss):
    """Of the stage ``one_step``, the second checkpoint empty."""
    return {
        "epoch": np.array([0, 1]),
        "loss": np.array(loss[:2], dtype=float),
        "coherent_square": np.full(2, 9.0),
        "random_square": np.full(2, 0.01),
        "share": np.array([0.01, 0.1]),
        "ratio": np.array([[0.999, 0.99], [np.nan, np.nan]]),
        "random_ratio": np.array([[0.01, 0.01], [np.nan, np.nan]]),
    }


def measure(loss, order_parameter, active_share=None, parameters=PARAMETERS):
    """The stage on these curves, with checkpoints at the first two epochs and a step size of 0.1."""
    loss = np.array(loss, dtype=float)
    training = {
        "epoch": np.arange(len(loss)),
        "loss": loss,
        "order_parameter": np.array(order_parameter, dtype=float),
        "active_share": np.sqrt(loss) if active_share is None else np.array(active_share),
        "step_size": np.full(len(loss), 0.1),
    }
    inputs = {
        "training": Input(replace(TINY, momentum=0.9), training),
        "one_step": Input(None, steps(loss)),
    }
    context = Context(seed=0, device="cpu", data_root=Path("unused"), inputs=inputs)
    return stage("li2022/order_parameter").run(parameters, context)


def test_a_tenth_of_the_loss_is_one_order_of_magnitude_below():
    loss = np.geomspace(2, 1e-2, 9)
    numbers = measure(loss, loss / 10).numbers
    # A quotient and a logarithm.
    assert numbers["log_ratio_median"] == pytest.approx(1, abs=1e-14)
    assert numbers["rank_correlation"] == pytest.approx(1, abs=1e-14)
    assert numbers["slope"] == pytest.approx(1, abs=1e-13)
    assert numbers["num_epochs"] == 9
    assert numbers["final_loss"] == loss[-1]
    assert numbers["final_order_parameter"] == loss[-1] / 10
    assert numbers["start_loss"] == 2
    assert numbers["start_order_parameter"] == 0.2


def test_a_power_law_has_its_slope_whatever_the_ranks_say():
    loss = np.geomspace(2, 1e-2, 9)
    numbers = measure(loss, loss**2, active_share=loss).numbers
    # Quotients of differences of logarithms.
    assert numbers["slope"] == pytest.approx(2, abs=1e-13)
    assert numbers["slope_coherent"] == pytest.approx(2, abs=1e-13)
    assert numbers["rank_correlation"] == numbers["rank_correlation_control"] == 1


def test_epochs_in_random_order_have_no_rate():
    loss = np.geomspace(2, 2e-3, 60)
    numbers = measure(loss, loss / 10).numbers
    # The slope of 60 shuffled points scatters by 1 / sqrt(60) or so, and this is its 95 % quantile.
    assert 0.1 < numbers["slope_permuted"] < 0.4


def test_an_effective_step_is_ten_times_as_long_at_momentum_nine_tenths():
    loss = np.geomspace(2, 1e-2, 9)
    nominal, effective = (
        measure(loss, loss / 100, parameters=replace(PARAMETERS, step=step)).numbers
        for step in ("nominal", "effective")
    )
    for name in ("log_ratio_median", "log_ratio_coherent", "log_ratio_random"):
        assert effective[name] == pytest.approx(nominal[name] - 1, abs=1e-13)
    assert effective["final_order_parameter"] == pytest.approx(loss[-1] / 10, rel=1e-13)
    assert effective["slope"] == pytest.approx(nominal["slope"], abs=1e-13)


def test_false_order_parameters_are_compared_at_the_checkpoints():
    loss = [1, 0.5, 0.2, 0.1]
    result = measure(loss, np.array(loss) / 10)
    assert result.arrays["coherent"].tolist() == pytest.approx([0.9, 0.9])
    assert result.arrays["random"].tolist() == pytest.approx([0.001, 0.001])
    expected = np.median(np.log10([1 / 0.9, 0.5 / 0.9]))
    assert result.numbers["log_ratio_coherent"] == pytest.approx(expected, abs=1e-14)
    expected = np.median(np.log10([1 / 0.001, 0.5 / 0.001]))
    assert result.numbers["log_ratio_random"] == pytest.approx(expected, abs=1e-14)


def test_without_a_checkpoint_among_the_epochs_there_is_no_false_order_parameter():
    result = measure([0, 0, 0.3, 0.2, 0.1], [0, 0, 0.03, 0.02, 0.01], [0, 0, 0.3, 0.2, 0.1])
    assert set(result.missing) == {"log_ratio_coherent", "log_ratio_random"}
    assert "no checkpoint" in result.missing["log_ratio_random"]


def test_the_correlation_is_that_of_the_ranks():
    # Ranks 1 2 3 4 5 against 2 1 3 5 4: 1 - 6 sum d² / (n (n² - 1)) = 1 - 6 * 4 / 120.
    numbers = measure([1, 2, 3, 4, 5], [20, 10, 30, 500, 400]).numbers
    assert numbers["rank_correlation"] == pytest.approx(0.8, abs=1e-14)
    # log10 of 1/20, 1/5, 1/10, 1/125, 1/100: the middle one is 1/20.
    assert numbers["log_ratio_median"] == pytest.approx(-np.log10(20), abs=1e-14)


def test_opposite_courses_have_correlation_minus_one():
    numbers = measure([1, 2, 3, 4], [0.4, 0.3, 0.2, 0.1]).numbers
    assert numbers["rank_correlation"] == pytest.approx(-1, abs=1e-14)


def test_epochs_of_zero_loss_or_zero_order_are_not_compared():
    loss = [1, 0.1, 0.01, 1e-3, 5e-4, 0.5, 0]
    order = [1e-2, 1e-3, 1e-4, 9, 9, 0, 0]
    numbers = measure(loss, order).numbers
    assert numbers["num_epochs"] == 3  # a loss of exactly the bound is not above it
    assert numbers["log_ratio_median"] == pytest.approx(2, abs=1e-14)
    assert numbers["rank_correlation"] == pytest.approx(1, abs=1e-14)
    assert numbers["final_loss"] == numbers["final_order_parameter"] == 0


def test_too_few_epochs_are_missing_with_their_number():
    result = measure([1, 0.1, 0, 0], [0.1, 0.01, 0, 0])
    ratios = {"log_ratio_median", "log_ratio_coherent", "log_ratio_random"}
    assert set(result.missing) == RATES | ratios
    assert all("2 epochs" in reason for reason in result.missing.values())
    assert result.numbers["num_epochs"] == 2


@pytest.mark.parametrize(("loss", "order"), [([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [1, 1, 1])])
def test_what_stays_the_same_has_no_rate(loss, order):
    result = measure(loss, order)
    assert set(result.missing) == RATES
    assert "log_ratio_median" in result.numbers


def test_both_curves_are_recorded_whole():
    result = measure([1, 0.5, 0], [0.1, 0.2, 0])
    assert result.arrays["loss"].tolist() == [1, 0.5, 0]
    assert result.arrays["order_parameter"].tolist() == [0.1, 0.2, 0]
    for series in result.series.values():
        assert result.arrays[series.epochs].shape == result.arrays[series.values].shape


@pytest.mark.parametrize("loss", [[1, 0.5, 0.2, 0], [1, 0, 0, 0]])
def test_the_figure_can_be_drawn(loss, tmp_path):
    arrays = {
        "order_parameter": measure(loss, np.array(loss) / 10).arrays,
        "one_step": steps(loss),
    }
    figure = fig4b.draw(arrays)
    figure.savefig(tmp_path / "fig4b.png")
    assert len(figure.axes) == 4  # both halves, the rate, the steps
