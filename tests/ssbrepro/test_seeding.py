"""Named random streams."""

import itertools

import numpy as np
import torch

from ssbrepro.seeding import derived_seed, numpy_generator, torch_generator

NAMES = [
    (),
    ("weights",),
    ("batches", 1),
    ("batches", 2),
    ("batches", 12),
    ("start", 0),
    ("flips",),
]


def test_a_stream_depends_on_the_root_seed_and_its_name_alone():
    # Recorded once. A change would silently change every recorded result.
    assert derived_seed(0, "weights") == 133_441_691_874_178_746
    assert derived_seed(3, "batches", 17) == 7_604_512_265_626_044_245


def test_seeds_fit_what_generators_take():
    for seed in range(500):
        assert 0 <= derived_seed(seed, "weights") < 2**63


def test_different_names_and_roots_have_different_seeds():
    seeds = [derived_seed(root, *name) for root in range(20) for name in NAMES]
    assert len(set(seeds)) == len(seeds)


def test_the_first_draw_of_torch_is_the_recorded_one():
    # PyTorch promises the same stream for the same seed on the CPU; results rest on it.
    drawn = torch.randint(0, 1000, (4,), generator=torch_generator(0, "weights"))
    assert drawn.tolist() == [935, 377, 885, 540]


def test_the_first_draw_of_numpy_is_the_recorded_one():
    drawn = numpy_generator(0, "weights").integers(0, 1000, 4)
    assert drawn.tolist() == [99, 602, 23, 284]


def test_streams_of_different_names_are_independent():
    size = 4000
    streams = [torch.randn(size, generator=torch_generator(5, *name)).double() for name in NAMES]
    streams += [torch.from_numpy(numpy_generator(6, *name).normal(size=size)) for name in NAMES]
    for one, other in itertools.combinations(streams, 2):
        # Five standard errors, 1/sqrt(n), of the correlation of independent streams; 91 pairs.
        correlation = (one * other).mean() / (one.std() * other.std())
        assert abs(correlation.item()) < 5 / np.sqrt(size)


def test_a_stream_does_not_care_what_else_was_drawn():
    first = torch.rand(3, generator=torch_generator(1, "a"))
    torch_generator(1, "b").seed()
    torch.manual_seed(0)
    numpy_generator(1, "a").normal(size=10)
    assert torch.equal(torch.rand(3, generator=torch_generator(1, "a")), first)


def test_torch_generators_are_on_the_cpu():
    assert torch_generator(0, "weights").device.type == "cpu"
