"""The stage ``order_parameter`` on curves that were chosen."""

from pathlib import Path

import numpy as np
import pytest

from ssbrepro.contract import Context, Input
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.stages.order_parameter import Parameters as OrderParameterParameters


def measure(loss, order_parameter):
    arrays = {
        "epoch": np.arange(len(loss)),
        "loss": np.array(loss, dtype=float),
        "order_parameter": np.array(order_parameter, dtype=float),
    }
    inputs = {"training": Input(None, arrays)}
    context = Context(seed=0, device="cpu", data_root=Path("unused"), inputs=inputs)
    return stage("li2022/order_parameter").run(OrderParameterParameters(loss_above=1e-3), context)


def test_a_tenth_of_the_loss_is_one_order_of_magnitude_below():
    loss = np.geomspace(2, 1e-2, 9)
    numbers = measure(loss, loss / 10).numbers
    # A quotient and a logarithm.
    assert numbers["log_ratio_median"] == pytest.approx(1, abs=1e-14)
    assert numbers["rank_correlation"] == pytest.approx(1, abs=1e-14)
    assert numbers["num_epochs"] == 9
    assert numbers["final_loss"] == loss[-1]
    assert numbers["final_order_parameter"] == loss[-1] / 10


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
    assert set(result.missing) == {"log_ratio_median", "rank_correlation"}
    assert all("2 epochs" in reason for reason in result.missing.values())
    assert result.numbers["num_epochs"] == 2


@pytest.mark.parametrize(("loss", "order"), [([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [1, 1, 1])])
def test_what_stays_the_same_has_no_correlation(loss, order):
    result = measure(loss, order)
    assert set(result.missing) == {"rank_correlation"}
    assert "log_ratio_median" in result.numbers


def test_both_curves_are_recorded_whole():
    result = measure([1, 0.5, 0], [0.1, 0.2, 0])
    assert result.arrays["loss"].tolist() == [1, 0.5, 0]
    assert result.arrays["order_parameter"].tolist() == [0.1, 0.2, 0]
    for series in result.series.values():
        assert result.arrays[series.epochs].shape == result.arrays[series.values].shape
