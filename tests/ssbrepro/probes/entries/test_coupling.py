"""Joint cumulants of pairs, and which of them are found not to be zero."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom, kurtosis, skew

from ssbrepro.probes.entries import coupling
from ssbrepro.probes.entries.coupling import (
    CUMULANTS,
    PermutationNull,
    chance_shares,
    coupling_shares,
    exponents,
    joint_cumulants,
    tail_classes,
    unbiased_squares,
)

COVARIANCE, COSKEWNESS, COKURTOSIS = range(3)


def standardised(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def skewed(examples=50, entries=6, seed=0):
    generator = np.random.default_rng(seed)
    return standardised(generator.exponential(size=(examples, entries)) ** 1.5)


# The cumulants.


def test_cumulants_are_those_of_plain_loops():
    values = skewed()
    received = joint_cumulants(values)
    assert received.shape == (3, 6, 6)
    for i, j in itertools.product(range(6), repeat=2):
        x, y = values[:, i].tolist(), values[:, j].tolist()

        def moment(p, q, x=x, y=y):
            return sum(a**p * b**q for a, b in zip(x, y, strict=True)) / len(x)

        expected = (
            moment(1, 1) - moment(1, 0) * moment(0, 1),
            moment(2, 1),  # means are zero
            moment(2, 2) - moment(2, 0) * moment(0, 2) - 2 * moment(1, 1) ** 2,
        )
        # Fifty terms of at most some hundred.
        np.testing.assert_allclose(received[:, i, j], expected, rtol=0, atol=1e-11)


def test_an_entry_with_itself_has_its_own_variance_skewness_and_kurtosis():
    values = skewed()
    own = np.diagonal(joint_cumulants(values), axis1=1, axis2=2)
    np.testing.assert_allclose(own[COVARIANCE], 1, rtol=1e-12)
    np.testing.assert_allclose(own[COSKEWNESS], skew(values), rtol=1e-10)
    np.testing.assert_allclose(own[COKURTOSIS], kurtosis(values), rtol=1e-10)


def test_cumulants_of_a_law_that_is_known():
    # x = +-1 and 0 with probabilities 1/4, 1/4 and 1/2, and y = x^2: E x^2 = E x^2 y = 1/2.
    x = np.array([1.0, -1, 0, 0])
    received = joint_cumulants(standardised(np.stack([x, x**2], axis=1)))
    # x/sqrt(1/2) and (y - 1/2)/(1/2): E x^2 y is 2 * 2 * (1/2 - 1/4) = 1, and E x^2 y^2 = 1.
    # Means of four products of order one, each some roundings of 1e-16.
    np.testing.assert_allclose(received[COVARIANCE], np.eye(2), atol=1e-14)
    np.testing.assert_allclose(received[COSKEWNESS], [[0, 1], [0, 0]], atol=1e-14)
    # Excess kurtosis of x: 2 - 3; of y, a fair coin: 1 - 3.
    np.testing.assert_allclose(received[COKURTOSIS], [[-1, 0], [0, -2]], atol=1e-14)


# Their squares, without bias.


def correlated(rho, examples, pairs, generator):
    """Pairs of columns with this correlation, (examples, 2 pairs): 0 with 1, 2 with 3 and so on."""
    values = generator.normal(size=(examples, 2 * pairs))
    values[:, 1::2] *= (1 - rho**2) ** 0.5
    values[:, 1::2] += rho * values[:, ::2]
    return values


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.8])
def test_planted_correlations_are_recovered_without_bias(rho):
    values = correlated(rho, 40, 2000, np.random.default_rng(0))
    planted = np.arange(0, 40, 2), np.arange(1, 40, 2)
    parts = np.split(values, 100, axis=1)  # nothing is asked about pairs of different parts
    together = np.concatenate(
        [joint_cumulants(standardised(part))[COVARIANCE][planted] for part in parts]
    )
    squares = np.concatenate(
        [unbiased_squares(part[:20], part[20:])[COVARIANCE][planted] for part in parts]
    )
    # A correlation of 20 examples is some (1 - rho^2) / 40 too small.
    error = squares.std() / 2000**0.5 + rho**2 * (1 - rho**2) / 20
    assert abs(squares.mean() - rho**2) < 4 * error
    if rho == 0:
        # A plain square has a mean of 1 / 39 instead, as far from zero as it is itself.
        assert (together**2).mean() == pytest.approx(1 / 39, rel=0.1)
        assert abs((squares > 0).mean() - 0.5) < 4 * 0.5 / 2000**0.5


@pytest.mark.parametrize("kind", range(3), ids=CUMULANTS)
def test_squares_of_independent_entries_are_zero_on_average(kind):
    generator = np.random.default_rng(1)
    values = generator.exponential(size=(60, 300))
    squares = unbiased_squares(values[:30], values[30:])[kind]
    off = squares[~np.eye(300, dtype=bool)]
    plain = joint_cumulants(standardised(values))[kind]
    # Each row has one entry in all its pairs; 300 of them are as good as independent. An excess
    # cokurtosis is 2 / 29 below zero in a half, on average.
    error = squares.mean(axis=1).std() / 300**0.5 + (kind == COKURTOSIS) * (2 / 29) ** 2 / 3
    assert abs(off.mean()) < 3 * error
    assert (plain[~np.eye(300, dtype=bool)] ** 2).mean() > 20 * abs(off.mean())


def test_nothing_is_seen_of_an_entry_that_is_constant_in_a_half():
    values = np.random.default_rng(2).normal(size=(40, 5))
    values[:20, 1] = 0.3
    squares = unbiased_squares(values[:20], values[20:])
    assert not squares[:, 1].any()
    assert not squares[:, :, 1].any()
    others = [0, 2, 3, 4]
    alone = unbiased_squares(values[:20, others], values[20:, others])
    # Of fewer columns products may be summed in another order.
    np.testing.assert_allclose(squares[:, others][:, :, others], alone, rtol=0, atol=1e-14)


# What counts as not zero.


def discoveries(values, generator, num_permutations, rate, classify=tail_classes):
    """Which pairs are found, (kinds, entries, entries)."""
    values = standardised(values)
    cumulants = joint_cumulants(values)
    null = PermutationNull(
        lambda: joint_cumulants(generator.permuted(values, axis=0)),
        classify(values),
        num_permutations,
    )
    thresholds = null.thresholds(cumulants, rate)
    return np.abs(cumulants) >= thresholds


def one_class(values):
    """Entries of one law: a single pair can be found then, with the fewest permutations."""
    return np.zeros(values.shape[1], dtype=np.int64)


LAWS = {
    "normal": lambda generator, shape: generator.normal(size=shape),
    "heavy": lambda generator, shape: generator.standard_t(2, size=shape),
    # As entries of the Hessian are: zero for most examples, for some more than for others.
    "sparse": lambda generator, shape: (
        generator.normal(size=shape) ** 3
        * (generator.random(shape) < np.linspace(0.2, 0.9, shape[1]))
    ),
}


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize(
    ("law", "classify", "num_permutations"),
    [
        ("normal", one_class, 20),
        ("heavy", one_class, 20),
        ("sparse", one_class, 20),
        (
            "sparse",
            tail_classes,
            100,
        ),  # with fewer, fewer pairs than there are in a class never pass
    ],
)
def test_independent_entries_are_rarely_found_coupled(law, classify, num_permutations):
    rate, repetitions = 0.2, 40
    wrong = np.zeros(3)
    generator = np.random.default_rng(5)
    for _ in range(repetitions):
        values = LAWS[law](generator, (40, 9))
        found = discoveries(values, generator, num_permutations, rate, classify)
        wrong += found.any(axis=(1, 2))
    # With nothing to find every discovery is false, so the rate is that of finding anything. So many
    # or more have a probability of 1e-3 at exactly that rate.
    assert (wrong <= binom.ppf(1 - 1e-3, repetitions, rate)).all(), wrong
    assert wrong.any()  # nor are they never: the procedure is not blind


@pytest.mark.usefixtures("coarse")
def test_of_what_is_found_few_are_wrong():
    rate, repetitions = 0.2, 30
    generator = np.random.default_rng(1)
    shares = np.zeros(repetitions)
    for repetition in range(repetitions):
        values = generator.normal(size=(60, 10))
        values[:, 1:4] += values[:, :1]  # a group of four
        found = discoveries(values, generator, 20, rate, one_class)[COVARIANCE]
        assert found[:4, :4].sum() >= 6
        shares[repetition] = 1 - found[:4, :4].sum() / found.sum()
    # Three standard errors of the mean share.
    assert shares.mean() <= rate + 3 * shares.std() / repetitions**0.5


def planted(kind, generator):
    """Seven entries of which only 2 and 5 belong together, by this cumulant."""
    values = generator.normal(size=(1000, 7))
    if kind == COVARIANCE:
        values[:, 5] += 0.5 * values[:, 2]
    elif kind == COSKEWNESS:
        values[:, 5] = values[:, 2] ** 2 + generator.normal(size=1000)
    else:
        values[:, [2, 5]] *= generator.uniform(0, 2, size=(1000, 1))  # a common variance
    return values


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("kind", range(3), ids=CUMULANTS)
def test_what_is_planted_is_found_and_nothing_else(kind):
    generator = np.random.default_rng(2)
    found = discoveries(planted(kind, generator), generator, 200, 0.01, one_class)
    expected = np.zeros((7, 7), dtype=bool)
    expected[2, 5] = True
    expected[5, 2] = kind != COSKEWNESS  # k(i,i,j) is not symmetric
    assert np.array_equal(found[kind], expected)
    # The cumulants below it are zero.
    assert not found[:kind].any()


def test_what_chance_couples_is_the_share_of_permuted_pairs_beyond():
    generator = np.random.default_rng(5)
    values = generator.normal(size=(50, 40))

    def null():
        return joint_cumulants(standardised(generator.permuted(values, axis=0)))

    thresholds = np.full((3, 40, 40), 1.96 / 50**0.5)
    thresholds[:, np.arange(40), np.arange(40)] = np.inf
    shares = chance_shares(null, thresholds)
    # One in twenty correlations of independent entries is beyond 1.96 / root n, and of 780 pairs'
    # shares 95 % are below 0.05 + 1.64 root(0.05 0.95 / 780) = 0.063; 20 permutations find that
    # to a standard deviation or so of 0.008.
    assert 0.045 < shares[COVARIANCE] < 0.08


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("size", [1e3, 1e9])  # among the edges, and beyond the last
def test_the_least_share_is_found_and_a_smaller_one_need_not_be(size):
    generator = np.random.default_rng(6)
    classes = np.arange(20) % 5
    null = PermutationNull(lambda: generator.uniform(size=(3, 20, 20)), classes, 50)
    pairs = [*itertools.permutations(range(20), 2)]
    least = null.least_share(0.2)
    smallest = min(
        sum((classes[i], classes[j]) == (a, b) for i, j in pairs)
        for a, b in itertools.product(range(5), repeat=2)
    )
    assert least == pytest.approx(2 / (50 * smallest) / 0.2, rel=1e-14)
    needed = int(np.ceil(least * len(pairs)))
    alike = [(i, j) for i, j in pairs if (classes[i], classes[j]) == (1, 1)]
    for number, expected in ((needed, needed), (needed - 1, 0)):
        observed = np.zeros((3, 20, 20))
        for pair in alike[:number]:
            observed[(COVARIANCE, *pair)] = size
        found = observed[COVARIANCE] >= null.thresholds(observed, 0.2)[COVARIANCE]
        assert found.sum() == expected


def plainly_found(observed, nulls, classes, rate):
    """Benjamini & Hochberg's procedure pair by pair, on p-values from pairs of the same classes."""
    pairs = [*itertools.permutations(range(len(classes)), 2)]
    edges = coupling._EDGES

    def stratum(pair):
        return classes[pair[0]], classes[pair[1]]

    p_values = {}
    for pair in pairs:
        alike = [other for other in pairs if stratum(other) == stratum(pair)]
        edge = edges[np.searchsorted(edges, abs(observed[pair]), side="right") - 1]
        beyond = sum(abs(null[other]) >= edge for null in nulls for other in alike)
        p_values[pair] = (2 + beyond) / (len(nulls) * len(alike))
    ranked = sorted(p_values.values())
    passing = [p for rank, p in enumerate(ranked, 1) if p <= rate * rank / len(ranked)]
    found = np.zeros(observed.shape, dtype=bool)
    for pair, p_value in p_values.items():
        found[pair] = bool(passing) and p_value <= passing[-1]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_the_procedure_is_benjamini_and_hochbergs(seed):
    generator = np.random.default_rng(seed)
    observed = generator.normal(size=(3, 11, 11)) * np.array([1, 3, 9])[:, None, None]
    nulls = iter(generator.normal(size=(8, 3, 11, 11)))
    kept = []

    def null():
        kept.append(next(nulls))
        return kept[-1]

    classes = np.arange(11) % 3
    thresholds = PermutationNull(null, classes, 8).thresholds(observed, 0.3)
    found = np.abs(observed) >= thresholds
    assert np.isinf(np.diagonal(thresholds, axis1=1, axis2=2)).all()
    for kind in range(3):
        one_kind = [null[kind] for null in kept]
        assert np.array_equal(found[kind], plainly_found(observed[kind], one_kind, classes, 0.3))
    assert found[2].sum() > found[0].sum()


def test_classes_order_entries_by_their_tails_and_know_no_order_of_examples():
    generator = np.random.default_rng(3)
    values = standardised(generator.standard_t(3, size=(100, 23)))
    classes = tail_classes(values)
    # As equal as 23 can be divided by five.
    assert sorted(np.bincount(classes).tolist()) == [4, 4, 5, 5, 5]
    heaviness = kurtosis(values)
    for lower, upper in itertools.pairwise(range(5)):
        assert heaviness[classes == lower].max() <= heaviness[classes == upper].min()
    permuted = generator.permuted(values, axis=0)
    assert np.array_equal(tail_classes(permuted), classes)


# Sizes of coupling sets.


@pytest.mark.usefixtures("coarse")
def test_an_entry_is_not_one_of_the_others_it_is_coupled_with():
    values = standardised(np.random.default_rng(4).normal(size=(500, 1)).repeat(4, axis=1))
    generator = np.random.default_rng(4)
    cumulants = joint_cumulants(values)
    null = PermutationNull(
        lambda: joint_cumulants(generator.permuted(values, axis=0)), one_class(values), 20
    )
    thresholds = null.thresholds(cumulants, 0.1)
    assert coupling_shares(cumulants, thresholds)[COVARIANCE].tolist() == [1, 1, 1, 1]
    thresholds[COVARIANCE, 0, 1:3] = np.inf
    shares = coupling_shares(cumulants, thresholds)[COVARIANCE]
    np.testing.assert_allclose(shares, [1 / 3, 1, 1, 1], rtol=1e-15)


@pytest.mark.parametrize("number", [10.0, 7.2e8, 8.68e12])
def test_exponents_are_logarithms_of_sizes(number):
    powers = np.array([0, 0.3, 0.87, 1])
    shares = (number**powers - 1) / (number - 1)
    # Sums and powers of numbers up to 1e13, and back.
    np.testing.assert_allclose(exponents(shares, number), powers, rtol=0, atol=1e-12)
    assert exponents(np.zeros(1), number) == 0
    # Of another N it is another power.
    other = exponents((number**powers - 1) / (number - 1), number, 50.0)
    np.testing.assert_allclose(other, powers * np.log(number) / np.log(50.0), rtol=0, atol=1e-12)
    # The paper's own: 3.39e-4 of 8.68e12 entries.
    assert exponents(np.array([3.39e-4]), 8.68e12)[0] == pytest.approx(0.7318, abs=1e-4)
