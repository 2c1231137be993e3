"""Shares of small eigenvalues: prescribed spectra, dense Hessians, and the noise of the growth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ssbrepro.networks.flattening import load_weights
from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018 import residual_networks
from ssbrepro.papers.ssb2018.residual_networks import untrained
from ssbrepro.papers.ssb2018.stages import zero_modes
from ssbrepro.papers.ssb2018.stages.zero_modes import Parameters as ZeroModesParameters
from ssbrepro.papers.ssb2018.stages.zero_modes import zero_shares
from ssbrepro.probes.spectra import Quadrature, lanczos
from tests.oracles.hessians import dense_derivatives
from tests.oracles.progress import Interruption, Memory
from tests.oracles.residual_family import TINY, context_of, random_paths, tiny_images

DIM = 4000
BELOW = 0.01
PARAMETERS = ZeroModesParameters(
    operator="cached",
    num_examples=4,
    num_vectors=2,
    num_steps=4,
    zero_below=BELOW,
    scale="before",
)


def prescribed(law):
    """Twelve large eigenvalues, up to 1, and many small ones, as in spectra of networks."""
    generator = np.random.default_rng(0)
    few = np.geomspace(0.05, 1, 12)
    size = DIM - len(few)
    signs = np.where(generator.random(size) < 0.25, -1, 1)
    many = {
        "power": signs * 0.3 / np.arange(1, size + 1),
        "log-uniform": signs * 10 ** generator.uniform(-7, -1, size),
        "normal": 0.003 * generator.standard_normal(size),
        "laplace": 0.003 * generator.laplace(size=size),
        "mostly zero": np.append(np.zeros(size - 400), 0.02 * np.cos(np.arange(400))),
        "low rank": np.append(
            0.001 * generator.standard_normal(size - 400),
            0.05 * generator.exponential(size=400) ** 2,
        ),
    }[law]
    return np.concatenate([few, many])


def measured(eigenvalues, num_steps, num_vectors=2):
    diagonal = torch.from_numpy(eigenvalues)
    generator = torch.Generator().manual_seed(0)
    starts = torch.randn(num_vectors, len(diagonal), generator=generator, dtype=torch.float64)
    rules = [lanczos(lambda vector: diagonal * vector, start, num_steps) for start in starts]
    return {name: np.stack([getattr(rule, name) for rule in rules]) for name in rules[0]._fields}


@pytest.mark.parametrize(
    "law", ["power", "log-uniform", "normal", "laplace", "mostly zero", "low rank"]
)
# What the docstring states, plus two standard errors over the start vectors,
# 2 sqrt(2 s (1 - s) / (2 DIM)), at most 0.02.
@pytest.mark.parametrize(("num_steps", "error"), [(16, 0.1), (40, 0.01)])
def test_shares_of_prescribed_spectra_are_right_to_the_stated_error(law, num_steps, error):
    eigenvalues = prescribed(law)
    truth = (np.abs(eigenvalues) <= BELOW).mean()
    shares = zero_shares(measured(eigenvalues, num_steps), BELOW)
    sampling = 2 * np.sqrt(truth * (1 - truth) / DIM)
    assert abs(shares.mean() - truth) < error + sampling


def test_the_mirror_image_has_the_same_share():
    spectrum = measured(prescribed("log-uniform"), 16)
    mirrored = {name: values[:, ::-1] for name, values in spectrum.items()}
    mirrored["nodes"] = -mirrored["nodes"]
    # The eigenvectors of the arrow matrices are right to some 1e-14.
    np.testing.assert_allclose(
        zero_shares(mirrored, BELOW), zero_shares(spectrum, BELOW), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize(
    ("eigenvalue", "share"), [(0.0, 1), (0.005, 1), (-0.005, 1), (1.0, 0), (-1.0, 0)]
)
def test_a_multiple_of_the_identity_is_all_or_nothing(eigenvalue, share):
    shares = zero_shares(measured(np.full(5, eigenvalue), 3), BELOW)
    # A node on rounding alone carries 1e-30 or so.
    np.testing.assert_allclose(shares, share, rtol=0, atol=1e-12)


@pytest.mark.parametrize("below", [0.0, -0.1, float("nan"), float("inf")])
def test_a_bound_is_positive(below):
    with pytest.raises(ValueError, match="positive bound"):
        zero_shares(measured(np.ones(3), 2), below)


def test_numbers_of_shares_computed_by_hand():
    # Growths of three networks 0.2, -0.1, 0.3; over both vectors 0.2 ± 0.1, -0.1 ± 0, 0.3 ± 0.
    shares = np.array(
        [[[0.1, 0.3], [0.4, 0.4]], [[0.5, 0.5], [0.4, 0.4]], [[0.2, 0.2], [0.5, 0.5]]]
    )
    numbers = zero_modes._growth(shares)
    expected = {
        "share_before_median": 0.2,
        "share_after_median": 0.4,
        "growth_median": 0.2,
        "growth_min": -0.1,
        "growth_max": 0.3,
        # The standard error of one network is 0.1, of the other two 0; three networks.
        "growth_noise": -1.96 * np.sqrt(np.pi / 2 * 0.1**2 / 3 / 3),
        "growing_share": 2 / 3,
    }
    assert numbers == pytest.approx(expected, rel=1e-12)


def test_the_noise_is_undercut_by_chance_in_one_of_forty_cases():
    generator = np.random.default_rng(0)
    draws = 0.5 + 0.01 * generator.standard_normal((1000, 9, 2, 3))
    numbers = [zero_modes._growth(shares) for shares in draws]
    undercut = np.mean([number["growth_median"] < number["growth_noise"] for number in numbers])
    # 0.025, from 1,000 draws to 0.005; nine networks are not many, so it is not quite the normal law.
    assert 0.01 < undercut < 0.04


def run(parameters=PARAMETERS, paths=None, progress=None):
    paths = random_paths() if paths is None else paths
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residual_networks, "images", tiny_images)
        return stage("ssb2018/zero_modes").run(parameters, context_of(paths, progress))


@pytest.fixture(scope="module")
def whole():
    return run()


def test_shares_are_those_of_the_dense_hessians():
    parameters = replace(PARAMETERS, num_steps=16, zero_below=0.05)
    result = run(parameters)
    assert result.arrays["epoch"].tolist() == [2, 3]
    images = tiny_images(num_examples=4)
    model = untrained(TINY, 0, 0)

    def loss(outputs, labels):  # the oracle makes all of its arguments float64
        return cross_entropy(outputs, labels.long())

    for phase, checkpoint in enumerate((2, 3)):
        load_weights(model, random_paths()[0, checkpoint])
        _, hessian = dense_derivatives(model, loss, *images)
        sizes = torch.linalg.eigvalsh(hessian).abs().numpy()
        if phase == 0:
            scale = sizes.max()
        # The largest converges first; the products are in float32.
        assert result.arrays["largest"][0, phase] == pytest.approx(sizes.max(), rel=1e-4)
        truth = (sizes <= 0.05 * scale).mean()
        # 535 weights and two vectors: a standard error of at most 0.02, and the resolution.
        assert result.arrays["share"][0, phase] == pytest.approx(truth, abs=0.05)
    # Rounding of float32, as in the manifest.
    assert result.numbers["symmetry_residual_max"] < 1e-4
    assert result.numbers["pyhessian_residual_max"] < 1e-4


def test_the_same_weights_have_the_same_share_to_the_last_bit():
    paths = random_paths()
    paths[:, 3] = paths[:, 2]
    numbers = run(paths=paths).numbers  # from the same start vectors
    assert numbers["growth_min"] == numbers["growth_max"] == numbers["growth_noise"] == 0
    assert numbers["growing_share"] == 0


def counted(result, network, phase, scale_of):
    """The share when near zero is relative to the largest magnitude of the phase ``scale_of``."""
    spectrum = {name: result.arrays[name][network, phase] for name in Quadrature._fields}
    return zero_shares(spectrum, BELOW * result.arrays["largest"][network, scale_of]).mean()


def test_the_scale_is_that_before_the_cut_or_the_own_one(whole):
    paths = random_paths()
    paths[:, 3] *= 0.5  # the Hessian of seven nearly multiplicative layers becomes far smaller
    own = run(replace(PARAMETERS, scale="own"), paths)
    for network, phase in np.ndindex(2, 2):
        assert whole.arrays["share"][network, phase] == counted(whole, network, phase, 0)
        assert own.arrays["share"][network, phase] == counted(own, network, phase, phase)
    assert (own.arrays["share"][:, 1] < [counted(own, network, 1, 0) for network in range(2)]).all()


def test_densities_hold_all_eigenvalues(whole):
    arrays = whole.arrays
    weight = np.trapezoid(arrays["density"], arrays["grid"])
    # Trapezoids on the uneven grid, and the kernel's tails at its end.
    np.testing.assert_allclose(weight, 1, atol=0.02)


def test_a_vanishing_hessian_has_no_scale():
    with pytest.raises(ArithmeticError, match="no scale"):
        run(paths=np.zeros_like(random_paths()))


def test_an_interrupted_run_continues_with_the_same_bits(whole):
    memory = Memory(saves_until_interrupted=3)
    with pytest.raises(Interruption):
        run(progress=memory)
    continued = run(progress=memory)
    assert memory.num_saves == 4
    assert continued.numbers == whole.numbers
    for name, values in whole.arrays.items():
        np.testing.assert_array_equal(continued.arrays[name], values)
