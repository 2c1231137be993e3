"""Products that are saved as they come: what an interruption costs, and that it changes nothing."""

import itertools

import pytest
import torch

from ssbrepro.probes.operators import remembered
from ssbrepro.probes.operators.remembered import RememberedOperator
from ssbrepro.probes.spectra import lanczos
from tests.oracles.matrices import symmetric
from tests.oracles.progress import Interruption, Memory

NUM_STEPS = 10
START = torch.randn(12, generator=torch.Generator().manual_seed(0))


class Dense:
    """A matrix that counts its products."""

    def __init__(self, smallest=-7.0):
        spectrum = torch.linspace(smallest, 12, 12, dtype=torch.float64)
        self.matrix = symmetric(spectrum)[0].float()
        self.dim, self.dtype, self.device = 12, torch.float32, torch.device("cpu")
        self.num_products = 0

    def matvec(self, vector):
        self.num_products += 1
        return self.matrix @ vector


def measured(operator, progress, owner=1):
    """A quadrature whose products are saved three at a time."""
    clock = itertools.count(step=25).__next__  # asked once a product
    remembered = RememberedOperator(operator, progress, owner, clock)
    return lanczos(remembered.matvec, START, NUM_STEPS)


def same(one, other):
    return all(map(torch.equal, one, other))


@pytest.mark.parametrize("saves", [1, 2, 3])
def test_what_was_saved_is_not_computed_again_and_gives_the_same_bits(saves):
    expected = lanczos(Dense().matvec, START, NUM_STEPS)
    progress, operator = Memory(saves_until_interrupted=saves), Dense()
    with pytest.raises(Interruption):
        measured(operator, progress)
    assert operator.num_products == 3 * saves
    assert same(measured(operator, progress), expected)
    assert operator.num_products == NUM_STEPS
    assert same(measured(operator, progress), expected)  # all but the products since the last save
    assert operator.num_products == NUM_STEPS + 1


def test_products_are_saved_before_they_fill_the_memory(monkeypatch):
    monkeypatch.setattr(remembered, "_BYTES", 2 * 48 + 1)  # of twelve float32 a product
    progress = Memory()
    lanczos(RememberedOperator(Dense(), progress, 1, lambda: 0).matvec, START, NUM_STEPS)
    assert [len(state["products"]) for state in progress.kept.values()] == [3, 3, 3]


def test_a_damaged_block_is_computed_again_with_what_comes_after_it():
    progress, operator = Memory(), Dense()
    expected = measured(operator, progress)
    assert {*progress.kept} == {"products-0", "products-1", "products-2"}
    del progress.kept["products-1"]
    assert same(measured(operator, progress), expected)
    assert operator.num_products == 2 * NUM_STEPS - 3


def test_products_of_another_operator_are_not_taken_and_their_names_are():
    progress = Memory()
    measured(Dense(), progress)
    other = Dense(smallest=-1.0)
    assert same(measured(other, progress, owner=2), lanczos(other.matvec, START, NUM_STEPS))
    assert len(progress.kept) == 3
    assert {int(state["owner"]) for state in progress.kept.values()} == {2}


def test_a_product_that_is_changed_by_who_asked_for_it_is_remembered_as_it_was():
    progress, operator = Memory(), Dense()
    for _ in range(2):
        remembered = RememberedOperator(operator, progress, 1, itertools.count(step=60).__next__)
        product = remembered.matvec(START)
        assert torch.equal(product, operator.matrix @ START)
        product.zero_()
    assert operator.num_products == 1
