"""The stage ``capacity``: planted limits, what a training is, its labels, and interruptions."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ssbrepro.contract import Context, Input, NoProgress
from ssbrepro.data import cifar10
from ssbrepro.data.cifar10 import BinaryImages
from ssbrepro.papers import stage
from ssbrepro.papers.li2022.stages import capacity
from ssbrepro.papers.li2022.stages.capacity import NUMBERS, Parameters
from ssbrepro.training import descent
from tests.oracles.progress import Memory, assert_continues
from tests.oracles.trainings import TINY

SMALL = Parameters(
    widths=(1 / 64, 1 / 32),
    step_sizes=(0.005, 0.005),
    sizes=(2, 4, 8),
    num_networks=3,
    num_required=2,
    zero_loss=1e-3,
    batch_size=4,
    num_steps=60,
    num_replicates=19,
)


@pytest.fixture(scope="module", autouse=True)
def images():
    """Noise with fair labels, in the place of CIFAR-10."""
    generator = torch.Generator().manual_seed(0)
    images = BinaryImages(
        torch.randn(8, 3, 32, 32, generator=generator),
        torch.randn(8, generator=generator).sign(),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "load", lambda *arguments: images)
        yield images


def measure(progress=None, parameters=SMALL, training=TINY):
    context = Context(
        seed=3,
        device="cpu",
        data_root=Path("unused"),
        inputs={"training": Input(training, {})},
        progress=progress or NoProgress(),
    )
    return stage("li2022/capacity").run(parameters, context)


def planted(limits):
    """Trainings that learn up to limits (labels, widths, networks) in sizes."""

    def train(self, kind, width, number, place):
        learnt = place < limits[kind][width][number]
        return {"loss": np.array(0.0 if learnt else 0.5), "steps": np.array(10 if learnt else 60)}

    return train


def test_planted_limits_come_out_with_four_of_five(monkeypatch):
    limits = [[[2, 4, 2, 3, 0], [6, 5, 9, 4, 4]], [[1, 1, 2, 1, 1], [3, 2, 4, 2, 0]]]
    monkeypatch.setattr(capacity._Search, "_train", planted(limits))
    sizes = tuple(2**power for power in range(1, 10))
    parameters = dataclasses.replace(SMALL, sizes=sizes, num_networks=5, num_required=4)
    result = measure(parameters=parameters)
    assert result.arrays["learnt"].tolist() == limits
    assert result.arrays["n_c"].tolist() == [[4, 16], [2, 4]]
    weights = result.arrays["num_weights"]
    assert weights.tolist() == [2394, 9506]
    ratio = np.log(weights[1] / weights[0])
    assert result.numbers["slope"] == pytest.approx(np.log(4) / ratio, rel=1e-12)
    assert result.numbers["random_slope"] == pytest.approx(np.log(2) / ratio, rel=1e-12)
    assert result.numbers["advantage"] == pytest.approx(1.5 * np.log10(2), rel=1e-12)
    assert result.numbers["num_contradictions"] == 0
    assert result.numbers["late_share"] == 0
    assert not result.missing
    # All five are trained at n_c, and as many as the rule asks for have learnt it.
    for kind, width, place in ((0, 0, 1), (0, 1, 3), (1, 0, 0), (1, 1, 1)):
        assert result.arrays["trained"][kind, width, place].tolist() == [5, 4 + (kind != width)]


def test_what_is_harder_but_learnt_is_counted(monkeypatch):
    def train(self, kind, width, number, place):
        learnt = (
            place > 0 or number == 1
        )  # four learn all sizes but the smallest; one is thought to
        return {"loss": np.array(0.0 if learnt else 0.5), "steps": np.array(60)}

    monkeypatch.setattr(capacity._Search, "_train", train)
    measure_of = measure()
    assert measure_of.arrays["n_c"].tolist() == [[8, 8], [8, 8]]
    assert measure_of.numbers["num_contradictions"] == 0  # none was asked for the smallest

    def one_forgets(self, kind, width, number, place):
        # Limits 3, 3 and 1 by bisection, with 2 required: n_c is the largest; the third is asked there.
        learnt = number < 2 or place != 1
        return {"loss": np.array(0.0 if learnt else 0.5), "steps": np.array(60)}

    monkeypatch.setattr(capacity._Search, "_train", one_forgets)
    result = measure()
    assert result.arrays["learnt"][0, 0].tolist() == [3, 3, 1]
    assert result.numbers["num_contradictions"] == 4  # at each width, with both kinds of labels


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (
            [[[3] * 3, [3] * 3], [[1] * 3, [1] * 3]],
            "all 8 images are learnt at width 0.015625 with true labels; "
            "all 8 images are learnt at width 0.03125 with true labels",
        ),
        (
            [[[0] * 3, [0] * 3], [[1] * 3, [1] * 3]],
            "not even 2 images are learnt at width 0.015625",
        ),
    ],
)
def test_what_the_ends_of_the_grid_leave_open_is_missing(monkeypatch, limits, reason):
    monkeypatch.setattr(capacity._Search, "_train", planted(limits))
    result = measure()
    assert {"slope", "slope_low"} <= {*result.missing}
    assert result.missing["slope"].startswith(reason)
    assert np.isnan(result.arrays["slopes"][0])
    assert result.numbers["random_slope"] == pytest.approx(0, abs=1e-12)  # rounding
    assert {*result.numbers, *result.missing} == {*NUMBERS}


def test_random_labels_have_nothing_to_do_with_images():
    labels = capacity.random_labels(10000, torch.Generator().manual_seed(1))
    assert labels.abs().eq(1).all()
    truth = torch.arange(10000) % 2 * 2 - 1
    for signal in (torch.ones(10000), truth, labels.roll(1)):
        # A sum of fair signs: five standard deviations.
        assert abs(float((labels * signal).mean())) < 0.05


def watched(monkeypatch, parameters, training=TINY):
    """What each training of a run was given, in order: width, images, labels, steps and step sizes."""
    seen = []
    descend = descent.descend

    def watch(risk, inputs, targets, optimizer, step_size, epoch, batch_size, order, observe=None):
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        if epoch == 1:
            start = torch.cat([weight.detach().flatten().clone() for weight in weights])
            seen.append((start, inputs.clone(), targets.clone(), []))
        descend(risk, inputs, targets, optimizer, step_size, epoch, batch_size, order, observe)
        seen[-1][-1].append(optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(capacity.descent, "descend", watch)
    result = measure(parameters=parameters, training=training)
    return seen, result


def test_a_network_keeps_start_and_images_and_changes_its_labels_only(monkeypatch, images):
    monkeypatch.setattr(capacity, "mean_loss", lambda *arguments: 0.5)
    seen, result = watched(monkeypatch, dataclasses.replace(SMALL, num_steps=1))
    assert (result.arrays["n_c"] == 0).all()
    assert result.missing["late_share"].startswith("not even 2 images")
    # Of three sizes the middle one is asked first, then the smallest; true labels, then random ones.
    by_true, by_random = seen[0:2], seen[2:4]
    for one, other in zip(by_true, by_random, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert [len(inputs) for _, inputs, _, _ in by_true] == [4, 2]
    assert torch.equal(by_true[0][1][:2], by_true[1][1])  # the smaller set is in the larger one
    for inputs, targets in ((one[1], one[2]) for one in by_true):
        at = [int((images.inputs == image).flatten(1).all(1).nonzero()) for image in inputs]
        assert torch.equal(targets, images.targets[at])
    drawn = torch.cat([one[2] for one in seen[2::4]])
    true = torch.cat([one[2] for one in seen[0::4]])
    assert len(drawn) == len(true)
    assert not torch.equal(drawn, true)


def test_all_trainings_have_as_many_steps_and_are_cut_where_the_run_was(monkeypatch):
    training = dataclasses.replace(TINY, num_epochs=10, cut_epochs=(8,), cut_factor=0.1)
    monkeypatch.setattr(capacity, "mean_loss", lambda *arguments: 0.5)
    parameters = dataclasses.replace(SMALL, step_sizes=(1e-9, 2e-9), num_steps=20, num_networks=2)
    seen, _ = watched(monkeypatch, parameters, training)
    for start, inputs, _, step_sizes in seen:
        steps_an_epoch = -(-len(inputs) // 4)
        assert len(step_sizes) * steps_an_epoch == 20
        step_size = 1e-9 if len(start) == 2394 else 2e-9
        cut = round(0.8 * len(step_sizes))
        expected = [step_size] * cut + [0.1 * step_size] * (len(step_sizes) - cut)
        assert step_sizes == pytest.approx(expected, rel=1e-12)  # products


def test_a_training_that_leaves_the_finite_numbers_has_learnt_nothing():
    parameters = dataclasses.replace(SMALL, step_sizes=(1e20, 1e20), num_steps=4)
    result = measure(parameters=parameters)
    assert (result.arrays["n_c"] == 0).all()


def test_an_interrupted_search_continues_with_the_same_bytes():
    parameters = dataclasses.replace(SMALL, sizes=(2, 4), num_steps=6, zero_loss=0.9)
    whole = Memory()
    expected = measure(whole, parameters)
    assert whole.num_saves == expected.arrays["trained"][..., 0].sum()
    assert_continues(lambda progress: measure(progress, parameters), expected, whole, first=7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step_sizes": (0.1,) * 3}, "3 step_sizes for 2 widths"),
        ({"sizes": (4, 4)}, r"sizes \[4, 4\] do not ascend"),
        ({"num_required": 4}, "num_required 4 of num_networks 3"),
    ],
)
def test_parameters_that_do_not_fit_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        measure(parameters=dataclasses.replace(SMALL, **change))
