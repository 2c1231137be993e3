"""Lines through the final weights: principal directions in closed form, known landscapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils import parameters_to_vector

from ssbrepro.papers import stage
from ssbrepro.papers.ssb2018 import residual_networks
from ssbrepro.papers.ssb2018.stages.interpolation import Parameters as InterpolationParameters
from ssbrepro.papers.ssb2018.stages.interpolation import (
    principal_directions,
    random_displacement,
)
from tests.oracles.matrices import orthogonal
from tests.oracles.progress import Interruption, Memory
from tests.oracles.residual_family import context_of, losses_at, random_paths, tiny_images

# Symmetric about the last point's horizontal line, so that the axes are the principal directions.
PLANE = np.array([[7.0, 1.0], [7.0, -1.0], [13.0, 1.0], [13.0, -1.0], [4.0, 0.0], [10.0, 0.0]])


def test_directions_of_a_path_along_the_axes_are_the_axes():
    directions, coordinates, shares = principal_directions(PLANE, 2)
    # Displacements (-3, ±1), (3, ±1), (-6, 0): squares along x 4·9 + 36, along y 4·1.
    np.testing.assert_allclose(np.abs(directions), np.eye(2), atol=1e-14)
    np.testing.assert_allclose(shares, [72 / 76, 4 / 76], rtol=1e-14)
    # The farthest point is at -6: the first direction leads to larger x.
    np.testing.assert_allclose(coordinates[0], [-3, -3, 3, 3, -6, 0], atol=1e-13)
    np.testing.assert_allclose(np.abs(coordinates[1]), [1, 1, 1, 1, 0, 0], atol=1e-13)
    assert coordinates[1].min() == pytest.approx(-1)


def test_displacements_are_from_the_end_not_from_the_mean():
    path = np.array([[-3.0, 2.0], [-3.0, -2.0], [-3.0, 2.0], [-3.0, -2.0], [0.0, 0.0]])
    # Squares along x 4·9 and along y 4·4; about the mean, -2.4, they are 7.2 and 16.
    directions, _, shares = principal_directions(path, 1)
    np.testing.assert_allclose(directions, [[1, 0]], atol=1e-14)
    assert shares[0] == pytest.approx(36 / 52, rel=1e-14)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(3, 6), st.integers(2, 5))
def test_all_directions_together_hold_the_path(seed, points, dim):
    path = np.random.default_rng(seed).standard_normal((points, dim))
    number = min(points - 1, dim)
    directions, coordinates, shares = principal_directions(path, number)
    # Singular vectors in float64.
    np.testing.assert_allclose(directions @ directions.T, np.eye(number), atol=1e-12)
    np.testing.assert_allclose(coordinates.T @ directions, path - path[-1], atol=1e-12)
    assert shares.sum() == pytest.approx(1, rel=1e-12)
    assert (np.diff(shares) <= 0).all()
    assert (coordinates[:, -1] == 0).all()
    assert (-coordinates.min(axis=1) >= coordinates.max(axis=1)).all()


def test_turning_and_moving_a_path_turns_its_directions():
    path = np.random.default_rng(0).standard_normal((5, 4))
    turn = orthogonal(4, 0).numpy()
    plain = principal_directions(path, 2)
    turned = principal_directions(path @ turn.T + 3.0, 2)
    np.testing.assert_allclose(turned[0], plain[0] @ turn.T, atol=1e-12)
    for received, expected in zip(turned[1:], plain[1:], strict=True):
        np.testing.assert_allclose(received, expected, atol=1e-12)


@pytest.mark.parametrize(
    "path", [[[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]], [[0.0, 1.0], [2.0, 3.0]], [[1.0, 1.0]] * 3]
)
def test_a_straight_path_has_no_second_direction(path):
    with pytest.raises(ValueError, match="does not extend in 2 directions"):
        principal_directions(np.array(path), 2)


@pytest.fixture(autouse=True)
def images(monkeypatch):
    monkeypatch.setattr(residual_networks, "images", tiny_images)


def run(progress=None, losses=losses_at):
    context = context_of(random_paths(), progress, losses)
    return stage("ssb2018/interpolation").run(InterpolationParameters(5, 0.5), context)


def test_the_ends_of_the_line_are_the_initial_and_the_final_weights():
    result = run()
    paths, arrays = random_paths(), result.arrays
    assert arrays["position"].tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5]
    assert arrays["loss"].shape == (2, 7)
    np.testing.assert_array_equal(arrays["loss"][:, [0, 4]], losses_at(paths[:, [0, -1]]))
    half = ((paths[:, 0].astype(float) + paths[:, -1]) / 2).astype(np.float32)
    # Another order of the same sum: one rounding of float32 weights.
    np.testing.assert_allclose(arrays["loss"][:, 2], losses_at(half), rtol=1e-5)
    assert result.numbers["final_loss_residual_max"] == 0


def test_principal_directions_pass_through_the_final_weights():
    arrays = run().arrays
    position = arrays["direction_position"]
    assert position.tolist() == [k / 4 for k in range(-6, 7)]
    final = losses_at(random_paths()[:, -1])
    np.testing.assert_array_equal(
        arrays["direction_loss"][:, :, 6], np.stack([final, final], axis=1)
    )
    assert (arrays["path_position"].min(axis=2) == -1).all()
    assert (arrays["path_position"][:, :, -1] == 0).all()
    assert (np.abs(arrays["path_position"]) <= 1).all()


def test_the_farthest_point_lies_one_extent_from_the_end():
    paths = random_paths()
    paths[:, 1:3] = paths[:, [3]]
    paths[:, 1] += 0.001  # the path has to extend in two directions; the first leads to the start
    result = stage("ssb2018/interpolation").run(InterpolationParameters(5, 0.0), context_of(paths))
    # A thousandth of 535 weights is 0.02, the way some 4: half a per cent aside.
    np.testing.assert_allclose(
        result.arrays["direction_loss"][:, 0, 0], losses_at(paths[:, 0]), rtol=0.02
    )
    assert (result.arrays["path_share"][:, 0] > 0.99).all()


PATHS = random_paths()


def along_the_way(weights):
    """How far flat weights are on the way from the start to the end; 0 for those off it."""
    for path in PATHS.astype(float):
        way = path[-1] - path[0]
        share = (weights - path[0]) @ way / (way @ way)
        off = np.linalg.norm(weights - path[0] - share * way) / np.linalg.norm(way)
        if off < 1e-3:
            return share
    return 0.0


def landscape(monkeypatch, height):
    """Let the loss be a function of the share of the way alone."""

    def loss(model, inputs, labels):
        flat = parameters_to_vector(model.parameters()).detach().double().numpy()
        return height(along_the_way(flat)), 0.0

    monkeypatch.setattr(residual_networks, "loss_and_accuracy", loss)
    return lambda paths: np.full(paths.shape[:2], height(1.0))


@pytest.mark.parametrize(
    ("height", "rise", "monotone"),
    [
        # From 2 down by 1/4 each step: the least fall is 1/4.
        (lambda share: 2 - share, -1 / 8, 1),
        # Level.
        (lambda share: 2.0, 0, 1),
        # A barrier half way: from 7/4 to 9/4.
        (lambda share: 2 - share + 0.75 * (abs(share - 0.5) < 0.1), 1 / 4, 0),
        # A minimum before the end: from 1/16 to 1/8 and more.
        (lambda share: 1 + (share - 0.5) ** 2, (1 / 4 - 1 / 16) / (5 / 4), 0),
        # It only rises beyond the end.
        (lambda share: 1 + (share - 1) ** 2, -(1 / 16) / 2, 1),
    ],
)
def test_rises_of_known_landscapes(monkeypatch, height, rise, monotone):
    losses = landscape(monkeypatch, height)
    numbers = run(losses=losses).numbers
    # Shares of the way from float32 weights.
    assert numbers["rise_max"] == pytest.approx(rise, abs=1e-5)
    assert numbers["rise_median"] == pytest.approx(rise, abs=1e-5)
    assert numbers["monotone_share"] == monotone
    assert numbers["final_loss_residual_max"] < 1e-5


def test_a_random_displacement_is_as_long_in_each_layer():
    displacement = np.array([3.0, 4.0, 0.0, 0.0, 5.0, 12.0, 0.0])
    drawn = np.stack(
        [
            random_displacement(displacement, (2, 2, 3), np.random.default_rng(seed))
            for seed in range(2000)
        ]
    )
    lengths = [np.linalg.norm(part, axis=1) for part in np.split(drawn, (2, 4), axis=1)]
    np.testing.assert_allclose(lengths, np.full((3, 2000), [[5], [0], [13]]), rtol=1e-12)
    # Uniform over spheres: means zero, variances 25/2 and 169/3, to five of their standard errors.
    spread = np.sqrt([12.5, 12.5, 0, 0, *[169 / 3] * 3])
    assert (np.abs(drawn.mean(axis=0)) <= 5 * spread / np.sqrt(2000)).all()
    np.testing.assert_allclose(drawn.std(axis=0), spread, rtol=0.1)


def test_in_a_bowl_around_the_start_the_loss_rises_alike_in_all_directions(monkeypatch):
    def bowl(model, inputs, labels):
        flat = parameters_to_vector(model.parameters()).detach().double().numpy()
        squares = [
            ((flat - path[0]) ** 2).sum() / ((path[-1] - path[0]) ** 2).sum()
            for path in PATHS.astype(float)
        ]
        return 1 + min(squares), 0.0

    monkeypatch.setattr(residual_networks, "loss_and_accuracy", bowl)
    numbers = run(losses=lambda paths: np.full(paths.shape[:2], 2.0)).numbers
    # 1 + s² in steps of a quarter: the last step is 1 - 9/16. Float32 weights.
    assert numbers["rise_max"] == pytest.approx(7 / 16, rel=1e-4)
    assert numbers["random_rise_max"] == pytest.approx(7 / 16, rel=1e-4)


def test_another_final_loss_than_the_recorded_one_is_told():
    def recorded(paths):
        return 1.01 * losses_at(paths)

    residual = run(losses=recorded).numbers["final_loss_residual_max"]
    assert residual == pytest.approx(0.01 / 1.01, rel=1e-9)


def test_an_interrupted_run_continues_with_the_same_bits():
    memory = Memory(saves_until_interrupted=1)
    with pytest.raises(Interruption):
        run(progress=memory)
    continued, whole = run(progress=memory), run()
    assert memory.num_saves == 2
    assert continued.numbers == whole.numbers
    for name, values in whole.arrays.items():
        np.testing.assert_array_equal(continued.arrays[name], values)
