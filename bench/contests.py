"""What is compared: the works, their peers, targets, floors and errors.

Images are random, of CIFAR-10's shape: only margins and shapes matter to a time, and the number of
examples within the margin is set by scaling the last layer.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from bench import peers
from bench.peers import Problem
from bench.timing import Rates, Work, side_by_side
from ssbrepro.contract import Array
from ssbrepro.networks import vgg12
from ssbrepro.networks.tracing import PiecewiseLinear
from ssbrepro.probes.circuits import sample_circuits
from ssbrepro.probes.entries import entry_grid, per_example_entries
from ssbrepro.probes.entries.bootstrap import bootstrap_means
from ssbrepro.probes.entries.coupling import joint_cumulants
from ssbrepro.probes.entries.sampling import draw_pairs
from ssbrepro.probes.operators import hessian_operator
from ssbrepro.probes.operators.autograd import AutogradOperator
from ssbrepro.probes.operators.cached import CachedOperator
from ssbrepro.probes.risk import HingeRisk
from ssbrepro.probes.spectra.lanczos import Quadrature, lanczos
from ssbrepro.seeding import numpy_generator, torch_generator
from ssbrepro.training.descent import descend, risk_of
from ssbrepro.training.hinge import risk_within_margin
from ssbrepro.training.losses import hinge, within_margin

# Shares of the examples within the margin at the ten checkpoints of li2022/fig8a, profile desk, seed 0,
# in a run that differentiated all examples.
_CHECKPOINTS = np.array([1005, 1623, 1098, 410, 272, 14, 15, 49, 0, 0]) / 2000
_BYTES_A_LAYER = 64  # that drawing and evaluating a circuit has to move at least
_SMALL_BUDGET = 64 * 2**20  # bytes
_CHECKED = 4  # entries, circuits and columns compared with an oracle


@dataclass(frozen=True)
class Size:
    """How large the works are."""

    width: float
    examples: int  # of a spectrum and of an epoch
    fewer_examples: int  # of a product and of entries
    steps: int
    run_steps: int  # of the spectra of a run's checkpoints
    pairs: int
    grid_side: int
    entries: int  # of which joint cumulants and bootstrap means are taken
    draws: int
    circuits: int
    repeats: int


FULL = Size(
    width=1 / 8, examples=2000, fewer_examples=500, steps=6, run_steps=20, pairs=1000, grid_side=64,
    entries=500, draws=500, circuits=300_000, repeats=5,
)  # fmt: skip
QUICK = Size(
    width=1 / 32, examples=200, fewer_examples=100, steps=3, run_steps=4, pairs=100, grid_side=8,
    entries=50, draws=50, circuits=2000, repeats=2,
)  # fmt: skip


class Peer(NamedTuple):
    """What our work is compared with.

    Attributes:
        work: Its work, in the same units.
        target: How many times faster ours should be; for a cost, how many times slower it may be.
        is_cost: Whether the ratio is our time over the peer's instead.
    """

    work: Work
    target: float | None = None
    is_cost: bool = False


@dataclass(frozen=True)
class Contest:
    """One work of ours and its peers.

    Attributes:
        unit: What is counted, in the plural.
        ours: Our work.
        peers: By name.
        repeats: Rounds timed after a first one; 0 times the first.
        floor_seconds: What the arithmetic or the memory traffic of a unit would take at this
            machine's own rates; None where that is not known.
        error: Difference from an oracle in float64, relative; None where the result is random.
    """

    unit: str
    ours: Work
    peers: Mapping[str, Peer]
    repeats: int
    floor_seconds: float | None = None
    error: Callable[[], float] | None = None


class Growth(NamedTuple):
    """How the cost of a product grows.

    Attributes:
        sizes: Numbers of examples or of weights.
        seconds: Time of a product.
        exponent: Of the time, fitted.
        peak_bytes: Growth of the process while the operator is set up and applied once with a memory
            budget of 64 MiB, examples not counted; None where that is not told.
    """

    sizes: list[int]
    seconds: list[float]
    exponent: float
    peak_bytes: list[int | None]


def product(size: Size, rates: Rates) -> Contest:
    """H v at active share 1, with all that can be kept, kept."""
    given = problem(size.width, size.fewer_examples, size.fewer_examples)
    vector = _random_vector(given)

    def times(matvec: Callable[[Tensor], object]) -> Callable[[], object]:
        return partial(matvec, vector)

    def error() -> float:
        expected = _oracle(given).matvec(vector)
        received = hessian_operator(given.model, hinge, given.inputs, given.targets).matvec(vector)
        return float((received - expected).norm() / expected.norm())

    return Contest(
        unit="products",
        ours=Work(partial(_product, given)),
        peers={
            "a gradient": Peer(Work(lambda: peers.gradient(given)), 2.2, True),
            "autograd, graph kept": Peer(Work(lambda: times(peers.autograd(given, True).matvec))),
            "autograd, from scratch": Peer(
                Work(lambda: times(peers.autograd(given, False).matvec))
            ),
            "PyHessian, one batch": Peer(Work(lambda: times(peers.pyhessian_single(given)))),
            "PyHessian, loader": Peer(Work(lambda: times(peers.pyhessian_loader(given)))),
            "curvlinops": Peer(Work(lambda: times(peers.curvlinops_hessian(given).__matmul__))),
            "hessian-eigenthings": Peer(
                Work(lambda: times(peers.eigenthings_hessian(given).matvec))
            ),
        },
        repeats=size.repeats,
        floor_seconds=6 * _forward_flops(given) / rates.float32,
        error=error,
    )


def spectrum(size: Size, rates: Rates, share: float) -> Contest:
    """A Lanczos quadrature from nothing, at a share of examples within the margin."""
    active = round(share * size.examples)
    given = problem(size.width, size.examples, active)

    def error() -> float:
        """Distance of the two measures in units of the range."""
        inside = _inside(given)
        expected = lanczos(_oracle(inside).matvec, _random_vector(given).double(), size.steps)
        scale = len(inside.inputs) / len(given.inputs)
        received = _quadrature(given, size.steps)
        return _distance(received, expected._replace(nodes=scale * expected.nodes))

    flops = (1 + 6 * share * size.steps) * _forward_flops(given)
    return Contest(
        unit="spectra",
        ours=Work(lambda: partial(_quadrature, given, size.steps)),
        peers={
            "PyHessian, one batch": Peer(
                _density(peers.pyhessian_density, given, size.steps, True)
            ),
            "PyHessian, loader": Peer(
                _density(peers.pyhessian_density, given, size.steps, False),
                10 if share < 1 else None,
            ),
            "curvlinops": Peer(_density(peers.curvlinops_density, given, size.steps), 3),
            "hessian-eigenthings": Peer(_density(peers.eigenthings_density, given, size.steps), 3),
        },
        repeats=2,
        floor_seconds=flops / rates.float32,
        error=error if share < 1 else None,
    )


def checkpoints(size: Size, rates: Rates) -> Contest:
    """Spectra at all checkpoints of a run; the peer's cost does not depend on the checkpoint."""
    numbers = (_CHECKPOINTS * size.examples).round().astype(int).tolist()
    all_given = [problem(size.width, size.examples, number) for number in numbers]

    def ours() -> None:
        for given in all_given:
            _quadrature(given, size.run_steps)

    flops = (1 + 6 * _CHECKPOINTS.mean() * size.run_steps) * _forward_flops(all_given[0])
    return Contest(
        unit="spectra",
        ours=Work(lambda: ours, amount=len(all_given)),
        peers={
            "PyHessian, loader": Peer(
                _density(peers.pyhessian_density, all_given[0], size.run_steps, False), 10
            )
        },
        repeats=0,  # a minute each: nothing is left to warm up after the spectra before
        floor_seconds=float(flops) / rates.float32,
    )


def random_entries(size: Size, rates: Rates) -> Contest:
    """Live entries at random places, for every example; the peer gives their means."""
    given = problem(size.width, size.fewer_examples, size.fewer_examples)
    rows, columns = _live_pairs(given, size.pairs)
    unit = torch.zeros(_dim(given))
    unit[columns[0]] = 1

    def ours() -> Tensor:
        return per_example_entries(given.model, hinge, given.inputs, given.targets, rows, columns)

    return Contest(
        unit="entries",
        ours=Work(lambda: ours, amount=len(rows)),
        peers={
            "PyHessian, one batch": Peer(
                Work(lambda: partial(peers.pyhessian_single(given), unit)), 100
            ),
            "PyHessian, loader": Peer(
                Work(lambda: partial(peers.pyhessian_loader(given), unit)), 100
            ),
        },
        repeats=size.repeats,
        error=lambda: _entry_error(given, ours(), rows, columns),
    )


def grid_of_entries(size: Size, rates: Rates) -> Contest:
    """Entries in all of some rows and columns."""
    given = problem(size.width, size.fewer_examples, size.fewer_examples)
    places = torch.cat(_live_pairs(given, 2 * size.grid_side)).unique()
    order = torch.randperm(len(places), generator=torch_generator(0, "grid"))
    rows, columns = places[order[: 2 * size.grid_side]].reshape(2, -1)
    few = columns[:_CHECKED]  # the peer takes a product a column

    def ours() -> Tensor:
        return entry_grid(given.model, hinge, given.inputs, given.targets, rows, columns)

    def error() -> float:
        """Of the first columns."""
        hessian = _oracle(given)
        expected = torch.stack([_column(hessian, place)[rows] for place in few.tolist()], dim=1)
        difference = ours()[:, : len(few)] - expected
        return float(difference.norm() / expected.norm())

    return Contest(
        unit="entries",
        ours=Work(lambda: ours, amount=len(rows) * len(columns)),
        peers={
            "curvlinops, a product a column": Peer(
                Work(
                    lambda: peers.curvlinops_grid(given, rows.tolist(), few.tolist()),
                    amount=len(rows) * len(few),
                ),
                20,
            )
        },
        repeats=size.repeats,
        error=error,
    )


def cumulants(size: Size, rates: Rates) -> Contest:
    """Joint cumulants of all pairs of entries."""
    values = _values(size)
    pairs = numpy_generator(0, "pairs").integers(size.entries, size=(2000, 2))

    def error() -> float:
        received = joint_cumulants(values)[:, pairs[:, 0], pairs[:, 1]].T
        expected = np.array(peers.cumulants_by_loop(values, pairs))
        return float(np.abs(received - expected).max() / np.abs(expected).max())

    return Contest(
        unit="pairs",
        ours=Work(lambda: partial(joint_cumulants, values), amount=size.entries**2),
        peers={
            "NumPy, a loop over pairs": Peer(
                Work(lambda: partial(peers.cumulants_by_loop, values, pairs), len(pairs)), 50
            )
        },
        repeats=size.repeats,
        # Two of the three products give symmetric matrices, of which half would do.
        floor_seconds=2 * 2 * len(values) / rates.float64,
        error=error,
    )


def bootstrap(size: Size, rates: Rates) -> Contest:
    """The usual bootstrap of means: as many examples drawn as there are."""
    values = _values(size)
    few = values[:, :_CHECKED]

    def ours() -> Array:
        generator = numpy_generator(0, "draws")
        return bootstrap_means(values, len(values), len(values), size.draws, generator)

    def by_loop() -> Array:
        generator = numpy_generator(0, "draws")
        return peers.bootstrap_by_loop(few, len(few), size.draws, generator)

    return Contest(
        unit="means",
        ours=Work(lambda: ours, amount=size.draws * values.shape[1]),
        peers={
            "NumPy, a loop over entries": Peer(
                Work(lambda: by_loop, amount=size.draws * few.shape[1]), 50
            )
        },
        repeats=size.repeats,
        floor_seconds=2 * len(values) / rates.float64,
    )


def circuits(size: Size, rates: Rates) -> Contest:
    """Active circuits of one example, drawn and evaluated."""
    given = problem(size.width, 10, 10)
    example = given.inputs[0]
    draw = partial(sample_circuits, given.model, example)
    loop = peers.CircuitLoop(given.model, example)
    few = 1000
    network = PiecewiseLinear(given.model, example.shape)

    def error() -> float:
        """Of logarithms of magnitudes, against products written out."""
        sample = draw(_CHECKED, generator=torch_generator(0, "checked"))
        expected = np.array([loop.log_abs(units) for units in sample.units.tolist()])
        return float(np.abs(sample.log_abs.numpy() / expected - 1).max())

    return Contest(
        unit="circuits",
        ours=Work(
            lambda: partial(draw, size.circuits, generator=torch_generator(0, "circuits")),
            amount=size.circuits,
        ),
        peers={
            "Python, a loop over paths": Peer(
                Work(lambda: partial(loop.draw, few, numpy_generator(0, "circuits")), few), 1000
            )
        },
        repeats=size.repeats,
        floor_seconds=_BYTES_A_LAYER * len(network.layers) / rates.copying,
        error=error,
    )


def training(size: Size, rates: Rates, share: float) -> Contest:
    """An epoch of training; the step size is zero, so that the share within the margin stays."""
    given = problem(size.width, size.examples, round(share * size.examples))
    batch_size = 100

    def epoch(problem: Problem) -> Callable[[], None]:
        own = problem.own()
        inputs = own.inputs.contiguous(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(own.model.parameters(), lr=0.0, momentum=0.9)
        risk = partial(risk_within_margin, own.model) if share < 1 else risk_of(own.model, hinge)
        return lambda: descend(
            risk, inputs, own.targets, optimizer, lambda time: 0.0, 1, batch_size,
            torch_generator(0, "order"),
        )  # fmt: skip

    return Contest(
        unit="images",
        ours=Work(lambda: epoch(given), amount=size.examples),
        peers={
            "a plain loop over a DataLoader": Peer(
                Work(lambda: peers.plain_training(given, batch_size), size.examples)
            )
        },
        repeats=size.repeats,
        floor_seconds=(1 + 2 * share) * _forward_flops(given) / size.examples / rates.float32,
    )


CONTESTS: dict[str, Callable[[Size, Rates], Contest]] = {
    "Hessian product": product,
    "spectrum, all examples active": partial(spectrum, share=1.0),
    "spectrum, 5 % active": partial(spectrum, share=0.05),
    "spectra of a run's checkpoints": checkpoints,
    "random entries": random_entries,
    "a grid of entries": grid_of_entries,
    "joint cumulants": cumulants,
    "bootstrap": bootstrap,
    "circuits": circuits,
    "training, all examples active": partial(training, share=1.0),
    "training, 10 % active": partial(training, share=0.1),
}


def growth(size: Size) -> Iterator[tuple[str, Growth]]:
    """Time of a product over a decade of examples and over one of weights."""
    decade = np.logspace(-1, 0, 4)
    numbers = [round(size.examples * part) for part in decade]
    yield "examples", _growth({n: problem(size.width, n, n) for n in numbers}, size.repeats)
    tenth = size.fewer_examples // 5
    widths = 2 * size.width * decade**0.5  # the number of weights goes with the width squared
    given = [problem(width, tenth, tenth) for width in widths]
    yield "weights", _growth({_dim(one): one for one in given}, size.repeats)


def _growth(problems: Mapping[int, Problem], repeats: int) -> Growth:
    works = {str(number): Work(partial(_product, given)) for number, given in problems.items()}
    times = [timing.minimum for timing in side_by_side(works, repeats).values()]
    slope, _ = np.polyfit(np.log(list(problems)), np.log(times), 1)
    small = {
        str(number): Work(partial(_small_product, given)) for number, given in problems.items()
    }
    peaks = [timing.peak_bytes for timing in side_by_side(small, 1).values()]
    return Growth(list(problems), times, float(slope), peaks)


def _small_product(given: Problem) -> Callable[[], Tensor]:
    """With little memory, so that most is computed anew for every product."""
    inputs = given.inputs.contiguous(memory_format=torch.channels_last)
    chunks = list(zip(inputs.split(50), given.targets.split(50), strict=True))
    hessian = CachedOperator(given.model, hinge, chunks, memory_budget_bytes=_SMALL_BUDGET)
    return partial(hessian.matvec, _random_vector(given))


def _product(given: Problem) -> Callable[[], Tensor]:
    return partial(HingeRisk(*given).hessian("cached").matvec, _random_vector(given))


def problem(width: float, num_examples: int, num_active: int) -> Problem:
    """A random ``vgg12`` that gets all random images right, so many of them within the margin."""
    model = vgg12(width, torch_generator(0, "weights"))
    shape = (num_examples, 3, 32, 32)
    inputs = torch.randn(shape, generator=torch_generator(0, "images"))
    with torch.no_grad():
        outputs = torch.cat([model(part) for part in inputs.split(100)])
        ordered = outputs.abs().sort().values
        padded = torch.cat([torch.zeros(1), ordered, 3 * ordered[-1:]])
        *_, last = model.parameters()
        last.div_((padded[num_active] + padded[num_active + 1]) / 2)
    return Problem(model, inputs, outputs.sign())


def _density(run: Callable[..., object], given: Problem, steps: int, *options: bool) -> Work:
    return Work(lambda: partial(run, given, steps, *options))


def _quadrature(given: Problem, steps: int) -> Quadrature | None:
    """None where no example is within the margin: H is zero."""
    risk = HingeRisk(*given)
    if not risk.num_active:
        return None
    return lanczos(risk.hessian("cached").matvec, _random_vector(given), steps)


def _distance(one: Quadrature | None, other: Quadrature) -> float:
    assert one is not None
    moved = wasserstein_distance(one.nodes, other.nodes, one.weights, other.weights)
    return float(moved / (other.nodes[-1] - other.nodes[0]))


def _oracle(given: Problem) -> AutogradOperator:
    """The mean Hessian by automatic differentiation in float64."""
    wide = Problem(given.own().model.double(), given.inputs.double(), given.targets.double())
    return peers.autograd(wide, kept=True)


def _inside(given: Problem) -> Problem:
    with torch.no_grad():
        kept = within_margin(given.model(given.inputs), given.targets)
    return Problem(given.model, given.inputs[kept], given.targets[kept])


def _entry_error(given: Problem, values: Tensor, rows: Tensor, columns: Tensor) -> float:
    """Largest difference of means from entries of products, in units of the mean magnitude."""
    hessian = _oracle(given)
    errors = []
    for entry in torch.nonzero(values.any(0))[:_CHECKED, 0]:
        expected = _column(hessian, int(columns[entry]))[rows[entry]]
        found = values[:, entry].double()
        errors.append((found.mean() - expected).abs() / found.abs().mean())
    return float(max(errors))


def _column(hessian: AutogradOperator, place: int) -> Tensor:
    unit = torch.zeros(hessian.dim, dtype=torch.float64)
    unit[place] = 1
    return hessian.matvec(unit)


def _live_pairs(given: Problem, number: int) -> tuple[Tensor, Tensor]:
    """Random pairs of weights whose entry is not zero for all examples."""
    sizes = [weight.numel() for weight in given.model.parameters()]
    drawn = draw_pairs(sizes, 8 * number, numpy_generator(0, "entries"))
    rows, columns = (torch.from_numpy(one) for one in drawn)
    few = given.inputs[:50], given.targets[:50]
    live = per_example_entries(given.model, hinge, *few, rows, columns).any(0)
    assert live.sum() >= number, "too few entries are live"
    return rows[live][:number], columns[live][:number]


def _values(size: Size) -> Array:
    """Skewed values of independent entries, (1000, entries), standardised."""
    values = numpy_generator(0, "values").gamma(2.0, size=(1000, size.entries))
    standardised: Array = (values - values.mean(axis=0)) / values.std(axis=0)
    return standardised


def _forward_flops(given: Problem) -> float:
    """Of a forward pass over all examples, a multiplication and an addition for two."""
    layers = PiecewiseLinear(given.model, given.inputs.shape[1:]).layers
    products = sum(layer.weight.numel() * layer.sources.shape[1] for layer in layers)
    return 2.0 * products * len(given.inputs)


def _dim(given: Problem) -> int:
    return sum(weight.numel() for weight in given.model.parameters())


def _random_vector(given: Problem) -> Tensor:
    return torch.randn(_dim(given), generator=torch_generator(0, "vector"))
