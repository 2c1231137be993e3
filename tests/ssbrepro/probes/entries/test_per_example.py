"""Entries of every example's own Hessian, against dense Hessians in float64."""

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import softplus

from ssbrepro.probes.entries import examples, per_example, per_example_entries
from ssbrepro.probes.operators import hessian_operator
from ssbrepro.training.losses import hinge
from tests.oracles.hessians import dense_derivatives
from tests.oracles.nets import NETS, Problem, he_normal, problem

# Each factor of an entry is a sum of at most some hundred products of order one, in float64.
EXACT = 1e-13


def logistic(outputs, targets):
    return softplus(-targets * outputs).mean()


def squared(outputs, targets):
    return ((outputs - targets) ** 2).mean()


LOSSES = {"hinge": hinge, "logistic": logistic, "squared": squared}


def dense(given: Problem, loss) -> torch.Tensor:
    """The Hessian of every example on its own, (examples, dim, dim)."""
    return torch.stack(
        [
            dense_derivatives(given.model, loss, one[None], target[None])[1]
            for one, target in zip(given.inputs, given.targets, strict=True)
        ]
    )


def some_pairs(given: Problem) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.randint(len(given.weights), (2, 200), generator=generator)
    return rows, columns


def matrices(given: Problem, loss) -> torch.Tensor:
    """The same matrices entry by entry, each pair of weights and each weight with itself once."""
    dim = len(given.weights)
    rows, columns = torch.triu_indices(dim, dim)
    entries = per_example_entries(given.model, loss, *given[1:], rows, columns)
    assert entries.shape == (len(given.inputs), len(rows))
    found = entries.new_zeros(len(given.inputs), dim, dim)
    found[:, rows, columns] = found[:, columns, rows] = entries
    return found


def test_a_loss_may_have_a_number_of_its_own_that_is_learnt():
    """The slopes of a linear loss depend on it then, and not on the outputs."""
    given = problem("fully-connected")
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

    def linear(outputs, targets):
        return -(targets * outputs).mean()

    found = matrices(given, lambda *pair: scale * linear(*pair))
    expected = 2 * dense(given, linear)
    assert (found - expected).abs().max() <= EXACT * expected.abs().max()


def assert_close(received: torch.Tensor, expected: torch.Tensor, bound: float = EXACT) -> None:
    """Equal up to a share of the largest entry of each example."""
    scale = expected.abs().amax((1, 2), keepdim=True)
    assert ((received - expected).abs() <= bound * scale).all()


def few(name: str) -> Problem:
    """Some of the examples: dense Hessians take their time."""
    model, inputs, targets = problem(name)
    kept = slice(5, 9)
    active = targets[kept] * model(inputs[kept]) < 1
    assert 0 < int(active.sum()) < 4
    return Problem(model, inputs[kept], targets[kept])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", NETS)
def test_all_entries_are_those_of_each_examples_dense_hessian(name, loss):
    given = few(name)
    expected = dense(given, LOSSES[loss])
    assert expected.norm() > 0.1
    assert_close(matrices(given, LOSSES[loss]), expected)


@pytest.mark.parametrize("name", NETS)
def test_float32_loses_float32_rounding_and_no_more(name):
    given = few(name)
    single = Problem(given.model.float(), given.inputs.float(), given.targets.float())
    received = matrices(single, hinge)
    assert received.dtype == torch.float32
    # Sums of some hundred terms with roundings of 6e-8 each; a gate decided otherwise would show.
    assert_close(received.double(), dense(few(name), hinge), 1e-5)


@pytest.mark.parametrize("name", NETS)
def test_what_does_not_depend_on_an_example_is_exactly_zero(name):
    given = few(name)
    found = matrices(given, hinge)
    active = given.targets * given.model(given.inputs) < 1
    assert (found[~active] == 0).all()
    assert (found[active].abs().amax((1, 2)) > 0).all()
    for block in given.blocks():  # T is linear in the weights of one layer
        assert (found[:, block, block] == 0).all()


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
@pytest.mark.parametrize("name", NETS)
def test_the_mean_over_the_examples_is_the_entry_of_the_hessian(name, loss):
    given = problem(name)
    rows, columns = some_pairs(given)
    entries = per_example_entries(given.model, LOSSES[loss], *given[1:], rows, columns)
    operator = hessian_operator(
        given.model, LOSSES[loss], *given[1:], "autograd", dtype=torch.float64
    )
    for row in rows.unique()[:10]:
        product = operator.matvec(torch.eye(len(given.weights), dtype=torch.float64)[row])
        chosen = rows == row
        difference = entries.mean(0)[chosen] - product[columns[chosen]]
        assert difference.abs().max() <= EXACT * product.abs().max()


# Random architectures.


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Small networks of all supported steps with two examples, units that are never on included."""
    modules, shape = draw(st.one_of(deep(), convolving()))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    model = he_normal(nn.Sequential(*modules, nn.Flatten(0)), generator)
    inputs = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return Problem(model, inputs, torch.tensor([1.0, -1.0], dtype=torch.float64))


def heads(sizes: list[int]) -> list[nn.Module]:
    """Fully connected layers with ReLUs between them, down to one output."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise([*sizes, 1]):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.ReLU()]
    return layers[:-1]


@st.composite
def deep(draw: st.DrawFn) -> tuple[list[nn.Module], tuple[int, ...]]:
    """Five to seven fully connected layers: up to five full layers between two weights."""
    sizes = draw(st.lists(st.integers(2, 4), min_size=5, max_size=7))
    return heads(sizes), (sizes[0],)


@st.composite
def convolving(draw: st.DrawFn) -> tuple[list[nn.Module], tuple[int, ...]]:
    """Convolutions and pools of any stride, padding and dilation, and one to three linear layers."""
    sizes = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    channels = draw(st.integers(1, 2))
    shape = (channels, *sizes)
    modules: list[nn.Module] = []
    for kind in draw(st.lists(st.sampled_from(["conv", "relu", "max", "mean"]), max_size=6)):
        if kind == "relu":
            modules.append(nn.ReLU())
            continue
        dilations = (1, 1) if kind == "mean" else draw(st.tuples(*[st.integers(1, 2)] * 2))
        kernel = tuple(
            draw(st.integers(1, min(3, 1 + (size - 1) // dilation)))
            for size, dilation in zip(sizes, dilations, strict=True)
        )
        stride = draw(st.tuples(*[st.integers(1, 3)] * 2))
        padding = tuple(draw(st.integers(0, width // 2)) for width in kernel)
        options = {"stride": stride, "padding": padding}
        if kind == "mean":
            modules.append(nn.AvgPool2d(kernel, **options))
        elif kind == "max":
            modules.append(nn.MaxPool2d(kernel, dilation=dilations, **options))
        else:
            outputs = draw(st.integers(1, 3))
            modules.append(
                nn.Conv2d(channels, outputs, kernel, dilation=dilations, bias=False, **options)
            )
            channels = outputs
        sizes = tuple(
            (size + 2 * pad - dilation * (width - 1) - 1) // step + 1
            for size, pad, dilation, width, step in zip(
                sizes, padding, dilations, kernel, stride, strict=True
            )
        )
    hidden = draw(st.lists(st.integers(1, 3), max_size=2))
    return [*modules, nn.Flatten(), *heads([channels * sizes[0] * sizes[1], *hidden])], shape


@given(drawn=problems(), loss=st.sampled_from(sorted(LOSSES)))
@settings(max_examples=45)
def test_any_network_has_the_entries_of_its_dense_hessians(drawn, loss):
    assert_close(matrices(drawn, LOSSES[loss]), dense(drawn, LOSSES[loss]))


def test_weights_far_apart_have_their_entries_too():
    sizes = [3, 5, 4, 5, 4, 5, 4, 5]
    generator = torch.Generator().manual_seed(0)
    model = he_normal(nn.Sequential(*heads(sizes), nn.Flatten(0)), generator)
    inputs = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    given = Problem(model, inputs, torch.ones(3, dtype=torch.float64))
    expected = dense(given, squared)
    for low, high in itertools.combinations(given.blocks(), 2):
        assert expected[:, low, high].any()
    assert_close(matrices(given, squared), expected)


# What must not matter, and what is refused.


@pytest.mark.parametrize("name", NETS)
def test_how_much_is_held_at_once_changes_nothing_but_rounding(name, monkeypatch):
    given = problem(name)
    pairs = some_pairs(given)
    expected = per_example_entries(given.model, logistic, *given[1:], *pairs)
    monkeypatch.setattr(examples, "_ACTIVATIONS", 150)
    monkeypatch.setattr(per_example, "BUDGET_BYTES", 40_000)
    monkeypatch.setattr(examples, "_OUTPUTS", 3)
    traced = []
    trace = per_example.PiecewiseLinear.trace
    monkeypatch.setattr(
        per_example.PiecewiseLinear,
        "trace",
        lambda network, inputs: traced.append(len(inputs)) or trace(network, inputs),
    )
    received = per_example_entries(given.model, logistic, *given[1:], *pairs)
    assert (received - expected).abs().max() <= EXACT * expected.abs().max()
    assert sum(traced) == len(given.inputs)
    assert max(traced) < len(given.inputs)


def test_full_layers_see_only_examples_that_a_tangent_passes(monkeypatch):
    sizes = [3, 5, 4, 5, 4]
    generator = torch.Generator().manual_seed(2)
    model = he_normal(nn.Sequential(*heads(sizes), nn.Flatten(0)), generator)
    inputs = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    targets = torch.ones(40, dtype=torch.float64)
    with torch.no_grad():
        first, fourth = (model[:depth](inputs) > 0 for depth in (2, 8))  # after these ReLUs
    # From input 1 to unit 2 of the first layer, and from unit 0 of the fourth to the output.
    row, column = 2 * 3 + 1, 5 * 3 + 4 * 5 + 5 * 4 + 4 * 5
    passed = first[:, 2] & fourth[:, 0]
    assert 0 < passed.sum() < min(first[:, 2].sum(), fourth[:, 0].sum())
    seen = []
    apply_layer = per_example.apply_layer
    monkeypatch.setattr(
        per_example,
        "apply_layer",
        lambda layer, tangents: seen.append(len(tangents)) or apply_layer(layer, tangents),
    )
    pair = torch.tensor([row]), torch.tensor([column])
    entries = per_example_entries(model, squared, inputs, targets, *pair)[:, 0]
    assert sum(seen) == passed.sum()  # through the third layer, the only full one
    assert (entries[passed] != 0).any()


def test_the_order_of_pairs_and_of_their_weights_does_not_matter():
    given = problem("max-pooled")
    rows, columns = some_pairs(given)
    order = torch.arange(len(rows)).flip(0)
    entries = per_example_entries(given.model, squared, *given[1:], rows, columns)
    swapped = per_example_entries(given.model, squared, *given[1:], columns[order], rows[order])
    # Matrix products of other shapes round otherwise.
    torch.testing.assert_close(swapped, entries[:, order], rtol=1e-12, atol=1e-14)


def test_the_network_stays_as_it_is():
    given = problem("convolutional")
    before = copy.deepcopy(given.model)
    per_example_entries(given.model, logistic, *given[1:], *some_pairs(given))
    for one, other in zip(given.model.parameters(), before.parameters(), strict=True):
        assert torch.equal(one, other)
        assert one.grad is None


def test_no_pairs_and_no_examples_have_no_entries():
    given = problem("max-pooled")
    nothing = torch.empty(0, dtype=torch.int64)
    assert per_example_entries(given.model, hinge, *given[1:], nothing, nothing).shape == (17, 0)
    pair = torch.tensor([3]), torch.tensor([200])
    inputs, targets = given.inputs[:0], given.targets[:0]
    assert per_example_entries(given.model, hinge, inputs, targets, *pair).shape == (0, 1)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([0, 276], [1, 277], "lies in 0 to 276"),
        ([-1], [5], "lies in 0 to 276"),
        ([0, 1], [5], "equally long"),
        ([[0]], [[5]], "equally long"),
    ],
)
def test_what_is_no_pair_of_weights_is_refused(rows, columns, message):
    given = problem("max-pooled")
    with pytest.raises(ValueError, match=message):
        per_example_entries(
            given.model, hinge, *given[1:], torch.tensor(rows), torch.tensor(columns)
        )


@pytest.mark.parametrize("other", [torch.tensor([0.7]), torch.tensor([True])])
def test_a_place_is_an_integer(other):
    given = problem("max-pooled")
    for pair in ((other, torch.tensor([5])), (torch.tensor([5]), other)):
        with pytest.raises(TypeError, match="an integer, not torch"):
            per_example_entries(given.model, hinge, *given[1:], *pair)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1, bias=False)], "has a bias"),
        ([nn.Linear(3, 2, bias=False)], "has 2 outputs"),
        ([nn.Linear(3, 2, bias=False), nn.Sigmoid()], "Sigmoid"),
    ],
)
def test_a_network_whose_entries_this_would_get_wrong_is_refused(modules, message):
    inputs, targets = torch.randn(4, 3), torch.ones(4)
    zero = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        per_example_entries(nn.Sequential(*modules), hinge, inputs, targets, zero, zero)
