"""Copies with known symmetries, and the breaking index against its definition."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from torch import nn

from ssbrepro.networks import vgg12
from ssbrepro.networks.residual import residual_net
from ssbrepro.probes.controls import (
    Copier,
    breaking_index,
    breaking_indices,
    broken_copy,
    intact_copy,
    resigned,
)
from ssbrepro.statistics.symmetry import reflection_asymmetry
from tests.oracles.nets import NETS, problem

# Twelve layers of sums of up to 600 terms, whose rounding adds up as a random walk: some 80 eps.
ROUNDING = {torch.float32: 1e-5, torch.float64: 2e-14}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def residual():
    """A residual network whose last layer, zero at the start, has been trained."""
    model = residual_net(4, 1, num_classes=1, generator=generator())
    nn.init.normal_(list(model.parameters())[-1], generator=generator(1))
    return model


def images(number=20):
    return torch.randn(number, 3, 32, 32, generator=generator(2))


def network(name):
    """A network and examples, in float64."""
    if name == "vgg":
        return vgg12(1 / 16, generator()).double(), images().double()
    if name == "residual":
        return residual().double(), images().double()
    model, inputs, _ = problem(name)
    return model, inputs


EVERY = [*NETS, "vgg", "residual"]


def gains(model, inputs):
    """Root mean square out over in, layer by layer in the order of the parameters."""
    found = {}

    def note(module, given, result):
        out, into = (float(np.square(one.detach().numpy()).mean()) for one in (result, given[0]))
        found[id(module.weight)] = math.sqrt(out / into)

    layers = [one for one in model.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    model(inputs)
    for hook in hooks:
        hook.remove()
    return [found[id(weight)] for weight in model.parameters()]


def weights(model):
    return [weight.detach().clone() for weight in model.parameters()]


def test_signs_are_fair_and_independent_of_their_neighbours():
    weight = torch.randn(300, 400, generator=generator())
    signs = resigned(weight, 0.0, generator(1)).sign()
    for coins in (
        signs,
        signs[:, 1:] * signs[:, :-1],
        signs[1:] * signs[:-1],
        signs * weight.sign(),
    ):
        # Beyond five standard deviations of a binomial count: once in a million fair generators.
        assert abs(float(coins.sum())) < 5 * math.sqrt(coins.numel())


@given(
    arrays(np.float32, st.integers(1, 40), elements=st.floats(-(2.0**100), 2.0**100, width=32)),
    st.floats(0, 1),
    st.integers(0, 2**40),
)
def test_magnitudes_stay_to_the_bit_and_the_share_is_positive_at_least(values, share, seed):
    before = torch.from_numpy(values)
    after = resigned(before, share, generator(seed))
    assert torch.equal(after.abs(), before.abs())
    assert after.dtype == before.dtype
    forced = round(share * len(values))
    assert int((~torch.signbit(after)).sum()) >= forced


@pytest.mark.parametrize("share", [0.03, 0.25, 0.5])
def test_exactly_the_share_is_forced_and_the_others_stay_fair(share):
    size = 20_001
    ones = torch.ones(size)
    # Which are forced shows where the coin would have said otherwise: the coins are drawn first.
    fair, mixed = (resigned(ones, p, generator(3)) for p in (0.0, share))
    turned = int((fair != mixed).sum())
    assert not ((fair == 1) & (mixed == -1)).any()
    forced = round(share * size)
    # Half of the forced ones were positive anyway, to five standard deviations of fair coins.
    assert abs(turned - forced / 2) < 5 * math.sqrt(forced) / 2
    positive = int((mixed > 0).sum())
    assert abs(positive - (forced + (size - forced) / 2)) < 5 * math.sqrt(size - forced) / 2


@pytest.mark.parametrize(("size", "share"), [(10, 0.64), (10, 0.66), (7, 0.5), (3, 0.1), (4, 1.0)])
def test_a_share_is_a_whole_number_of_weights(size, share):
    draws = [resigned(torch.ones(size), share, generator(seed)) for seed in range(300)]
    # At most four coins are tossed: of 300 draws one has all tails but once in 10^8.
    assert min(int((one > 0).sum()) for one in draws) == round(share * size)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(ValueError, match="share"):
        resigned(torch.ones(3), share, generator())


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_copies_have_the_networks_gains(name, share, dtype):
    model, inputs = network(name)
    model, inputs = model.to(dtype), inputs.to(dtype)
    made = broken_copy(model, inputs, share, generator(5))
    assert {weight.dtype for weight in made.parameters()} == {dtype}
    expected = gains(model, inputs)
    assert Copier(model, inputs).gains == pytest.approx(expected, rel=ROUNDING[dtype])
    assert gains(made, inputs) == pytest.approx(expected, rel=ROUNDING[dtype])


@pytest.mark.parametrize("name", EVERY)
def test_each_layer_keeps_its_magnitudes_up_to_one_factor(name):
    model, inputs = network(name)
    made = broken_copy(model, inputs, 0.3, generator(5))
    for before, after in zip(model.parameters(), made.parameters(), strict=True):
        factors = (after / before).abs().detach()
        assert factors == pytest.approx(float(factors.mean()), rel=1e-12)  # one product each


@pytest.mark.parametrize("name", EVERY)
def test_with_every_symmetry_broken_no_weight_is_negative_and_nothing_is_chance(name):
    model, inputs = network(name)
    one, other = (broken_copy(model, inputs, 1.0, generator(seed)) for seed in (0, 1))
    for mine, yours in zip(one.parameters(), other.parameters(), strict=True):
        assert (mine > 0).all()
        assert torch.equal(mine, yours)


@pytest.mark.parametrize("name", EVERY)
def test_the_network_is_not_changed_and_the_generator_decides_every_bit(name):
    model, inputs = network(name)
    before = weights(model)
    one, again, other = (intact_copy(model, inputs, generator(seed)) for seed in (4, 4, 5))
    assert all(map(torch.equal, before, weights(model)))
    assert all(map(torch.equal, weights(one), weights(again)))
    assert not any(map(torch.equal, weights(one), weights(other)))
    assert not any(module._forward_hooks for net in (model, one) for module in net.modules())


def test_both_precisions_get_the_same_signs():
    weight = torch.randn(1000, generator=generator())
    single, double = (resigned(one, 0.3, generator(1)) for one in (weight, weight.double()))
    assert torch.equal(single.double(), double)


def test_a_layer_of_zeros_stays_and_all_others_get_their_gains():
    model = residual_net(4, 1, num_classes=1, generator=generator())
    made = intact_copy(model, images(), generator(1))
    *others, last = made.parameters()
    assert not last.any()
    assert math.isnan(Copier(model, images()).gains[-1])
    found, expected = (gains(net, images())[: len(others)] for net in (made, model))
    assert found == pytest.approx(expected, rel=ROUNDING[torch.float32])


def fully_connected(*sizes):
    layers = [
        part for pair in pairwise(sizes) for part in (nn.Linear(*pair, bias=False), nn.ReLU())
    ]
    model = nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(generator=generator(weight.numel()))
    return model


def test_what_a_dead_layer_feeds_keeps_its_size():
    model, inputs = fully_connected(6, 5, 4, 1), torch.randn(9, 6, generator=generator())
    with torch.no_grad():
        model[0].weight.copy_(-model[0].weight.abs())
    inputs = inputs.abs()  # so no gate of the first layer is open
    copier = Copier(model, inputs)
    assert [math.isnan(gain) for gain in copier.gains] == [False, True, True]
    made = copier.intact(generator())
    for before, after in zip(weights(model)[1:], weights(made)[1:], strict=True):
        assert torch.equal(before.abs(), after.abs())
    nothing = broken_copy(model, torch.zeros_like(inputs), 1.0, generator())
    assert all(map(torch.equal, [one.abs() for one in weights(model)], weights(nothing)))


class Scaled(nn.Module):
    """A layer with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6, bias=False)
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, inputs):
        return self.scale * self.layer(inputs)


class Shared(nn.Module):
    """Two layers that are one weight."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6, bias=False)
        self.second = nn.Linear(6, 6, bias=False)
        self.second.weight = self.first.weight

    def forward(self, inputs):
        return self.second(torch.relu(self.first(inputs)))


class Idle(nn.Module):
    """A layer that nothing passes through."""

    def __init__(self):
        super().__init__()
        self.used = nn.Linear(6, 6, bias=False)
        self.spare = nn.Linear(6, 6, bias=False)

    def forward(self, inputs):
        return self.used(inputs)


REUSED = nn.Linear(6, 6, bias=False)


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (nn.Sequential(nn.Linear(6, 1)), "0.bias"),
        (nn.Sequential(nn.Linear(6, 4, bias=False), nn.BatchNorm1d(4)), "1.weight, 1.bias"),
        (nn.Sequential(nn.Linear(6, 4, bias=False), nn.LayerNorm(4)), "1.weight, 1.bias"),
        # Nothing to sign, but the pass would change the means it keeps.
        (
            nn.Sequential(nn.Linear(6, 4, bias=False), nn.BatchNorm1d(4, affine=False)),
            "1.running_mean",
        ),
        (Scaled(), "scale"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(6, 1, bias=False)), "original0"),
        (nn.Sequential(REUSED, nn.ReLU(), REUSED), "0.weight 2 times"),
        (Shared(), "first.weight 2 times"),
        (Idle(), "spare.weight 0 times"),
        (nn.Sequential(nn.ReLU()), "no weights"),
    ],
)
def test_a_network_without_copies_is_refused_by_name(model, named):
    before = {name: state.clone() for name, state in model.state_dict().items()}
    with pytest.raises(ValueError, match=rf"copies are of networks .*{named}"):
        intact_copy(model, torch.randn(5, 6, generator=generator()), generator())
    assert all(torch.equal(before[name], state) for name, state in model.state_dict().items())


@pytest.mark.parametrize(
    "inputs", [torch.full((2, 6), math.nan), torch.full((2, 6), math.inf), torch.empty(0, 6)]
)
def test_examples_that_say_nothing_of_gains_are_refused(inputs):
    with pytest.raises(ValueError, match="not finite"):
        Copier(fully_connected(6, 5, 1), inputs)


numbers = st.floats(-1e3, 1e3)
several = st.lists(numbers, min_size=1, max_size=25)


def reached(values, share):
    """The smallest value that this share of the way through the sorted ones is not above."""
    return sorted(values)[math.ceil(share * (len(values) - 1))]


@given(numbers, several, several)
def test_the_index_is_0_at_intact_copies_and_1_at_broken_ones(measured, intact, broken):
    low, top = np.median(intact), np.median(broken)
    index = breaking_index(measured, intact, broken)
    if top <= reached(intact, 0.95):
        assert math.isnan(index)
    else:
        # The definition's own rounding, relative to the larger of its two terms.
        assert index == pytest.approx((measured - low) / (top - low), rel=1e-12)
        assert breaking_index(low, intact, broken) == 0
        assert breaking_index(top, intact, broken) == 1


@given(
    st.integers(-50, 50),
    st.lists(st.integers(-50, 50), min_size=1, max_size=25),
    st.lists(st.integers(-50, 50), min_size=1, max_size=25),
    st.sampled_from([0.25, 0.5, 2.0, 1024.0]),
    st.integers(-1000, 1000),
)
def test_the_index_has_neither_unit_nor_origin(measured, intact, broken, unit, origin):
    moved = [unit * np.asarray(one) + origin for one in (measured, intact, broken)]
    index = breaking_index(measured, intact, broken)
    # Whole numbers and powers of two: no rounding but the division's.
    assert breaking_index(*moved) == pytest.approx(index, rel=1e-15, nan_ok=True)


@pytest.mark.parametrize(
    ("measured", "intact", "broken"),
    [
        (0.5, [], [1.0]),
        (0.5, [0.0], []),
        (math.nan, [0.0], [1.0]),
        (0.5, [0.0, math.nan], [1.0]),
        (0.5, [0.0], [math.inf]),
    ],
)
def test_an_index_of_nothing_is_refused(measured, intact, broken):
    with pytest.raises(ValueError, match="all finite"):
        breaking_index(measured, intact, broken)


@st.composite
def statistics(draw):
    """S of a network, of intact and of broken copies over checkpoints, with holes in all three."""
    holes = st.one_of(st.floats(0, 2), st.just(math.nan))
    checkpoints = draw(st.integers(1, 4))
    shapes = ((checkpoints,), *((draw(st.integers(1, 22)), checkpoints) for _ in range(2)))
    own, intact, broken = (draw(arrays(np.float64, shape, elements=holes)) for shape in shapes)
    return own, intact, broken + draw(st.sampled_from([0.0, 2.0]))


def highest(intact_worst):
    """What one more would stay below: among 19 or more their quantile, else if they are normal."""
    number = len(intact_worst)
    if number == 1 or number >= 19:
        return reached(intact_worst, 0.95)
    one_more = (
        stats.t.ppf(0.95, number - 1) * np.std(intact_worst, ddof=1) * (1 + 1 / number) ** 0.5
    )
    return max(*intact_worst, np.mean(intact_worst) + one_more)


def by_hand(own, intact, broken):
    """Worst, noise and control, one number at a time; None where a checkpoint has no power."""
    tables = {"own": [own], "intact": intact, "broken": broken}
    largest = {kind: [-math.inf] * len(rows) for kind, rows in tables.items()}
    measured = [index for index, value in enumerate(own) if not math.isnan(value)]
    for index in measured:
        kept = [[one for one in rows[:, index] if not math.isnan(one)] for rows in (intact, broken)]
        if not all(kept) or np.median(kept[1]) <= reached(kept[0], 0.95):
            return None
        low, top = map(np.median, kept)
        for kind, rows in tables.items():
            for number, row in enumerate(rows):
                if not math.isnan(row[index]):
                    placed = (row[index] - low) / (top - low)
                    largest[kind][number] = max(largest[kind][number], placed)
    if not measured:
        return None
    worst, intact_worst, broken_worst = (
        [one for one in values if one > -math.inf] for values in largest.values()
    )
    return (
        worst[0],
        highest(intact_worst),
        sorted(broken_worst)[math.floor(0.05 * (len(broken_worst) - 1) + 1e-9)],
    )


@given(statistics())
def test_the_worst_index_its_noise_and_its_control_are_those_found_by_hand(values):
    indices = breaking_indices(*values)
    expected = by_hand(*values)
    found = (indices.worst, indices.noise, indices.control)
    if expected is None:
        assert all(map(math.isnan, found))
    else:
        assert found == pytest.approx(expected, rel=1e-12)  # the definition's own rounding
    assert indices.measured.tolist() == np.isfinite(values[0]).tolist()
    assert not (indices.power & ~indices.measured).any()
    assert np.isfinite(indices.index).tolist() == indices.power.tolist()


@pytest.mark.parametrize("number", [3, 5, 9, 19, 39])
def test_one_intact_network_in_twenty_is_above_the_noise_however_few_the_copies(number):
    source = np.random.default_rng(number)
    above = 0
    for _ in range(1000):
        own, *intact = source.normal(1.0, 0.3, (1 + number, 1))
        indices = breaking_indices(own, np.array(intact), [[9.0]])
        above += indices.worst > indices.noise
    # 5 % of a thousand, and three standard errors to both sides.
    assert 50 - 3 * 7 < above < 50 + 3 * 7


@given(statistics())
def test_checkpoints_are_judged_one_by_one(values):
    own, intact, broken = values
    indices = breaking_indices(*values)
    for index in np.flatnonzero(np.isfinite(own)):
        copies = [one[:, index][np.isfinite(one[:, index])] for one in (intact, broken)]
        if all(map(len, copies)):
            alone = breaking_index(own[index], *copies)
            assert indices.index[index] == pytest.approx(alone, nan_ok=True, rel=1e-15)


@pytest.mark.parametrize(
    ("intact", "broken"),
    [(np.zeros((3, 2)), np.ones((1, 3))), (np.zeros((0, 3)), np.ones((1, 3))), (0.0, 1.0)],
)
def test_copies_that_do_not_fit_are_refused(intact, broken):
    with pytest.raises(ValueError, match="copies of shape"):
        breaking_indices(np.zeros(3), intact, broken)


def asymmetry(model):
    """A of each layer's weights, weighted by their number."""
    layers = [weight.detach().numpy() for weight in model.parameters()]
    return np.average(
        [reflection_asymmetry(layer) for layer in layers], weights=[one.size for one in layers]
    )


@pytest.fixture(scope="module")
def copier():
    """Of a network of 10,500 weights."""
    return Copier(
        fully_connected(20, 100, 80, 5, 20, 1), torch.randn(50, 20, generator=generator())
    )


def test_the_weights_of_intact_copies_have_index_0_and_of_broken_ones_1(copier):
    intact, fresh = (
        [asymmetry(copier.intact(generator(first + index))) for index in range(39)]
        for first in (100, 200)
    )
    broken = [asymmetry(copier.broken(1.0, generator()))]
    assert broken == [2.0]
    indices = [breaking_index(value, intact, broken) for value in fresh]
    # The median of 39 values has a deviation of 1.25 / sqrt(39) of theirs; so has that of the others.
    assert abs(np.median(indices)) < 3 * math.sqrt(2) * 1.25 / math.sqrt(39) * np.std(indices)
    assert breaking_index(asymmetry(copier.broken(1.0, generator(7))), intact, broken) == 1


@pytest.mark.parametrize("share", [0.1, 0.15, 0.3, 0.7])
def test_a_planted_share_is_read_off_the_dose_response(copier, share):
    doses = [0.0, 0.05, 0.1, 0.2, 0.4, 1.0]
    rows = [
        [asymmetry(copier.broken(dose, generator(1000 * row + index))) for index in range(9)]
        for row, dose in enumerate(doses)
    ]
    curve = [breaking_index(np.median(row), rows[0], rows[-1]) for row in rows]
    assert curve == sorted(curve)
    planted = breaking_index(asymmetry(copier.broken(share, generator(5))), rows[0], rows[-1])
    found = np.interp(planted, curve, doses)
    # The excess of n fair signs has a deviation of sqrt(n), of magnitudes with a mean square of
    # pi / 2 times their squared mean; a median of 9 adds a tenth: 3 deviations of a share.
    sizes = np.array([weight.numel() for weight in copier.intact(generator()).parameters()])
    assert found == pytest.approx(share, abs=3 * 1.1 * math.sqrt(math.pi / 2 / sizes.sum()))
