"""What a grid says, where it is known: planted slopes, planted growth, empty cells, no power."""

import numpy as np
import pytest

from ssbrepro.contract import WITHOUT_POWER
from ssbrepro.papers.li2022.sizes import Predicted, numbers_of

WEIGHTS = np.array([9506, 37884, 151256, 604464])
EXAMPLES = np.array([[500] * 4, [49, 196, 783, 3127]])
WANTED = Predicted(604464, (500, 9999), 1)
NUMBERS = [
    *(f"s_{name}{part}" for name in ("s0_slope", "index_growth") for part in ("", "_noise", "_control")),
    *(f"predicted_s_{kind}_{n}{end}" for kind in ("s0", "index") for n in (500, 9999)
      for end in ("", "_low", "_high")),
    *(f"s_{kind}_{n}" for kind in ("s0", "index") for n in (500, 9999)),
]  # fmt: skip


def grid(exponent=-0.3, growth=-0.1, noise=0.05, empty=()):
    """S₀ = P^exponent, S₁ = 2, and B from 0.2 at the smallest by ``growth`` to the largest width."""
    generator = np.random.default_rng(0)
    level = np.broadcast_to(5 * WEIGHTS[None, :, None] ** exponent, (2, 4, 3))
    intact = level[..., None] * np.exp(noise * generator.standard_normal((2, 4, 3, 39)))
    index = np.broadcast_to(0.2 + growth * np.arange(4)[None, :, None] / 3, (2, 4, 3))
    middle = np.median(intact, axis=-1)
    arrays = {
        "num_weights": WEIGHTS,
        "num_examples": EXAMPLES,
        "s": middle + index * (2 - middle),
        "s_intact": intact,
        "s_broken": np.full((2, 4, 3, 5), 2.0),
    }
    for name in ("s", "s_intact", "s_broken"):
        for cell in empty:
            arrays[name][cell] = np.nan
    return arrays


def numbers(arrays):
    return numbers_of(arrays, "s", WANTED, np.random.default_rng(1))


def test_what_is_planted_is_found():
    arrays = grid()
    found, missing = numbers(arrays)
    assert {*found, *missing} == {*NUMBERS}
    # Medians of 39 values that vary by 5 %, over sizes that differ by a factor of 64.
    assert found["s_s0_slope"] == pytest.approx(-0.3, abs=0.02)
    assert 0 < found["s_s0_slope_noise"] < 0.05
    assert found["s_s0_slope_control"] == pytest.approx(0, abs=1e-12)  # S₁ is 2 everywhere
    assert found["s_index_growth"] == pytest.approx(-0.1, abs=1e-12)
    assert 0 < found["s_index_growth_noise"] < 0.2 < found["s_index_growth_control"]
    assert found["s_index_500"] == pytest.approx(0.1)
    low, value, high = (found[f"predicted_s_s0_9999{end}"] for end in ("_low", "", "_high"))
    assert low < 5 * WEIGHTS[3] ** -0.3 < high
    assert low < value < high
    assert found["predicted_s_index_500"] == pytest.approx(
        0.1, abs=0.01
    )  # planted: linear in log P
    assert missing == {
        f"s_{kind}_9999": "the grid has no 604,464 weights with 9,999 images"
        for kind in ("s0", "index")
    }


def test_the_worst_loss_and_regime_count():
    arrays = grid()
    arrays["s"][1, 3, 0] += 0.5 * (2 - arrays["s"][1, 3, 0])
    found, _ = numbers(arrays)
    worst = arrays["s_index"][1, 3, 0] - arrays["s_index"][1, 0, 0]
    assert found["s_index_growth"] == pytest.approx(worst)
    assert worst > 0.2


def test_a_loss_with_too_few_widths_counts_for_nothing():
    arrays = grid(empty=[(1, 0, 2), (1, 1, 2)])
    arrays["s_intact"][:, 3, 2] *= 10  # would be a rise
    found, missing = numbers(arrays)
    assert found["s_s0_slope"] == pytest.approx(-0.3, abs=0.02)
    assert np.isnan(arrays["s_s0_slopes"][2]).all()
    assert "s_index_growth" in found
    assert len(missing) == 2


def test_nothing_is_said_of_an_empty_grid():
    found, missing = numbers(grid(empty=[(1,)]))
    assert "predicted_s_s0_500" in missing
    assert "s_s0_slope" in missing
    assert "three widths" in missing["s_s0_slope"]
    assert "s_index_growth" in found  # of the other regime
    found, missing = numbers(grid(empty=[()]))
    assert {*missing} == {*NUMBERS}


def test_growth_between_cells_without_power_is_none():
    arrays = grid()
    arrays["s_broken"][0, 3] = arrays["s_intact"][0, 3, :, :5]
    _, missing = numbers(arrays)
    assert all(
        missing[f"s_index_growth{part}"].startswith(WITHOUT_POWER)
        for part in ("", "_noise", "_control")
    )
