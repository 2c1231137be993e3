"""Power laws of size: found where they are planted, with intervals that hold what they say."""

import numpy as np
import pytest

from ssbrepro.networks import vgg12
from ssbrepro.papers.li2022.power_laws import FIXED, RATIO, fit, num_examples_at_ratio

WEIGHTS = np.array([9506, 37884, 151256, 604464] * 2)
EXAMPLES = np.array([500] * 4 + [49, 196, 783, 3127])
B, C = -0.3, 0.1
PAPER = (9_664_704, 50_000)


def law(weights, examples):
    return 2 + B * np.log(weights) + C * np.log(examples)


def test_a_power_law_is_found_as_it_is():
    found = fit(WEIGHTS, EXAMPLES, law(WEIGHTS, EXAMPLES))
    # The rounding of eight logarithms.
    assert found.slope(FIXED) == pytest.approx([B] * 3, abs=1e-10)
    assert found.slope(RATIO) == pytest.approx([B + C] * 3, abs=1e-10)
    assert found.predicted(*PAPER) == pytest.approx([law(*PAPER)] * 3, rel=1e-10)


def test_intervals_hold_what_they_say():
    generator = np.random.default_rng(0)
    truth = law(WEIGHTS, EXAMPLES)
    held = np.zeros(4)
    runs = 1000
    for _ in range(runs):
        found = fit(WEIGHTS, EXAMPLES, truth + 0.3 * generator.standard_normal(8))
        one_more = law(*PAPER) + 0.3 * generator.standard_normal()
        for place, (estimate, value) in enumerate(
            [
                (found.slope(FIXED), B),
                (found.slope(RATIO), B + C),
                (found.mean(*PAPER), law(*PAPER)),
                (found.predicted(*PAPER), one_more),
            ]
        ):
            held[place] += estimate.low <= value <= estimate.high
    # Three standard errors of a share of 95 % over so many runs are 2.1 %.
    assert np.abs(held / runs - 0.95).max() < 0.021


def test_chance_slopes_are_as_wide_as_chance_makes_them():
    generator = np.random.default_rng(1)
    below = 0
    for _ in range(400):
        found = fit(WEIGHTS, EXAMPLES, generator.standard_normal(8))  # nothing depends on size
        largest = max(found.slope(FIXED).value, found.slope(RATIO).value)
        drawn = found.null_slopes(generator, 199).max(axis=1)
        below += largest <= np.quantile(drawn, 0.95)
    assert abs(below / 400 - 0.95) < 0.035  # three standard errors


@pytest.mark.parametrize("kept", [[0, 1, 2, 3], [0, 4, 5], [0, 1, 5]])
def test_there_is_no_law_where_cells_do_not_tell_it(kept):
    assert fit(WEIGHTS[kept], EXAMPLES[kept], np.ones(len(kept))) is None


@pytest.mark.parametrize(
    ("width", "number"), [(1 / 32, 49), (1 / 16, 196), (1 / 4, 3127), (1, 50_000)]
)
def test_images_in_proportion_leave_the_papers_weights_an_image(width, number):
    size = sum(weight.numel() for weight in vgg12(width).parameters())
    assert num_examples_at_ratio(size, PAPER) == number
    assert size / number == pytest.approx(PAPER[0] / PAPER[1], rel=0.5 / number)  # rounded images
