"""Sub-matrices of the Hessian, against the dense one and against entries one by one."""

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from ssbrepro.probes.entries import entry_grid, examples, grid, per_example_entries
from ssbrepro.training.losses import hinge
from tests.oracles.hessians import dense_derivatives
from tests.oracles.nets import NETS, problem


def logistic(outputs, targets):
    return softplus(-targets * outputs).mean()


@pytest.mark.parametrize("loss", [hinge, logistic])
@pytest.mark.parametrize("name", NETS)
def test_the_whole_grid_is_the_dense_hessian_in_any_order(name, loss):
    given = problem(name)
    expected = dense_derivatives(given.model, loss, given.inputs, given.targets)[1]
    rows, columns = (torch.randperm(len(expected), generator=order) for order in generators())
    received = entry_grid(given.model, loss, *given[1:], rows, columns)
    assert expected.norm() > 0.1
    # Sums of at most some hundred products of order one, in float64.
    scale = expected.abs().max()
    assert (received - expected[rows][:, columns]).abs().max() <= 1e-13 * scale


@pytest.mark.parametrize("name", NETS)
def test_a_part_of_the_grid_is_the_mean_of_entries_one_by_one(name):
    given = problem(name)
    rows, columns = (
        torch.randint(len(given.weights), (size,), generator=drawn)
        for size, drawn in zip((7, 4), generators(), strict=True)
    )
    received = entry_grid(given.model, logistic, *given[1:], rows, columns)
    pairs = torch.cartesian_prod(rows, columns).T
    expected = per_example_entries(given.model, logistic, *given[1:], *pairs).mean(0)
    assert received.shape == (7, 4)
    # As above, of entries of order one.
    assert (received.flatten() - expected).abs().max() <= 1e-13


def test_how_much_is_held_at_once_changes_nothing_but_rounding(monkeypatch):
    given = problem("max-pooled")
    places = torch.arange(len(given.weights))
    expected = entry_grid(given.model, hinge, *given[1:], places, places)
    monkeypatch.setattr(examples, "_ACTIVATIONS", 150)
    monkeypatch.setattr(grid, "BUDGET_BYTES", 10_000)
    received = entry_grid(given.model, hinge, *given[1:], places, places)
    # Other orders of summation of some hundred terms, in float64.
    assert (received - expected).abs().max() <= 1e-13 * expected.abs().max()


@pytest.mark.parametrize("places", [torch.tensor([-1]), torch.tensor([10**6])])
def test_what_is_no_weight_is_refused(places):
    given = problem("max-pooled")
    last = len(given.weights) - 1
    with pytest.raises(ValueError, match=f"a weight's place lies in 0 to {last}$"):
        entry_grid(given.model, hinge, *given[1:], places, torch.tensor([0]))


def test_what_is_no_list_is_refused():
    given = problem("max-pooled")
    with pytest.raises(ValueError, match="two lists of weights"):
        entry_grid(given.model, hinge, *given[1:], torch.zeros(2, 2), torch.tensor([0]))


def test_no_rows_no_columns_and_no_active_examples_have_no_entries():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    model.append(nn.Flatten(0))
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(2.0)
    inputs, targets, nothing = torch.ones(1, 2), torch.ones(1), torch.empty(0, dtype=torch.int64)
    for loss in (hinge, logistic):
        assert entry_grid(model, loss, inputs, targets, nothing, torch.arange(3)).shape == (0, 3)
        assert entry_grid(model, loss, inputs, targets, torch.arange(3), nothing).shape == (3, 0)
    everywhere = torch.arange(6)
    assert not entry_grid(model, hinge, inputs, targets, everywhere, everywhere).any()


def generators():
    return torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
