"""Hessian-vector products of every backend against dense float64 Hessians."""

import copy
import gc
import warnings
import weakref

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from ssbrepro.networks import residual_net, vgg12
from ssbrepro.networks.residual import ResidualUnit
from ssbrepro.probes.operators import hessian_operator
from ssbrepro.probes.operators.autograd import AutogradOperator
from ssbrepro.probes.operators.cached import CachedOperator
from ssbrepro.training.losses import hinge
from tests.oracles.hessians import dense_derivatives
from tests.oracles.nets import NETS, Problem, he_normal, problem

BACKENDS = ("autograd", "cached", "pyhessian")


def squared(outputs, targets):
    return ((outputs - targets) ** 2).mean()


def logistic(outputs, targets):
    return softplus(-targets * outputs).mean()


def quartic(outputs, targets):
    """Not a function of the margin, and its curvature depends on the output."""
    return (outputs**4 - targets * outputs**3).mean()


LOSSES = {"hinge": hinge, "squared": squared, "logistic": logistic, "quartic": quartic}


def random_vector(dim: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(dim, generator=generator, dtype=torch.float64)


def relative(received: torch.Tensor, expected: torch.Tensor) -> float:
    assert expected.norm() > 1e-3, "nothing to compare with"
    return ((received.double() - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", NETS)
def test_float64_products_and_gradients_are_those_of_the_dense_hessian(name, loss):
    model, inputs, targets = problem(name)
    gradient, hessian = dense_derivatives(model, LOSSES[loss], inputs, targets)
    vector = random_vector(len(gradient))
    for backend in BACKENDS:
        # 5 does not divide 17: the last chunk has 2 examples.
        operator = hessian_operator(
            model, LOSSES[loss], inputs, targets, backend, torch.float64, chunk_size=5
        )
        assert operator.dim == len(gradient), backend
        assert (operator.dtype, operator.device) == (torch.float64, inputs.device), backend
        # Sums of 17 examples through at most five layers of some tens of terms: far below 1e-13.
        assert relative(operator.matvec(vector), hessian @ vector) < 1e-13, backend
        assert relative(operator.gradient(), gradient) < 1e-13, backend


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_chunk_size_changes_nothing_but_rounding(backend):
    model, inputs, targets = problem("max-pooled")
    gradient, hessian = dense_derivatives(model, hinge, inputs, targets)
    vector = random_vector(len(gradient))
    for chunk_size in (1, 3, 16, 17, 18, 250):
        operator = hessian_operator(
            model, hinge, inputs, targets, backend, torch.float64, chunk_size=chunk_size
        )
        assert relative(operator.matvec(vector), hessian @ vector) < 1e-13, chunk_size
        assert relative(operator.gradient(), gradient) < 1e-13, chunk_size


@pytest.mark.parametrize("name", NETS)
def test_float32_products_lose_float32_rounding_and_no_more(name):
    model, inputs, targets = problem(name)
    gradient, hessian = dense_derivatives(model, hinge, inputs, targets)
    vector = random_vector(len(gradient))
    for backend in BACKENDS:
        operator = hessian_operator(model, hinge, inputs, targets, backend, chunk_size=5)
        product = operator.matvec(vector)
        assert product.dtype == torch.float32, backend
        assert operator.gradient().dtype == torch.float32, backend
        # Sums of a few hundred roundings of 6e-8; a margin or a gate that float32 decided otherwise
        # would be off by a seventeenth.
        assert relative(product, hessian @ vector) < 1e-5, backend
        assert relative(operator.gradient(), gradient) < 1e-5, backend


@given(
    hidden=st.lists(st.integers(1, 7), min_size=0, max_size=4),
    features=st.integers(1, 6),
    num_examples=st.integers(1, 9),
    chunk_size=st.integers(1, 10),
    seed=st.integers(0, 10_000),
    backend=st.sampled_from(BACKENDS),
    loss=st.sampled_from(sorted(LOSSES)),
)
@settings(max_examples=40)
def test_random_fully_connected_nets_have_the_products_of_their_dense_hessians(
    hidden, features, num_examples, chunk_size, seed, backend, loss
):
    if not hidden:
        loss = "logistic"  # one layer has no curvature but the loss's own
    generator = torch.Generator().manual_seed(seed)
    layers = [nn.Flatten()]
    for narrow, wide in zip([features, *hidden], [*hidden, 1], strict=True):
        layers += [nn.Linear(narrow, wide, bias=False), nn.ReLU()]
    model = nn.Sequential(*layers[:-1], nn.Flatten(0)).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    inputs = torch.randn(num_examples, features, generator=generator, dtype=torch.float64)
    targets = torch.where(torch.rand(num_examples, generator=generator) < 0.5, 1.0, -1.0).double()
    gradient, hessian = dense_derivatives(model, LOSSES[loss], inputs, targets)
    operator = hessian_operator(
        model, LOSSES[loss], inputs, targets, backend, torch.float64, chunk_size
    )
    vector = random_vector(operator.dim, seed)
    # Whole nets may be dead here, so the scale is the largest sum of magnitudes, not the result.
    scale = hessian.abs().sum() + gradient.abs().sum() + 1
    assert (operator.matvec(vector) - hessian @ vector).abs().max() < 1e-12 * scale
    assert (operator.gradient() - gradient).abs().max() < 1e-12 * scale


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_operator_is_symmetric_and_linear(backend):
    model, inputs, targets = problem("convolutional")
    operator = hessian_operator(model, hinge, inputs, targets, backend, torch.float64)
    one, other = random_vector(operator.dim, 1), random_vector(operator.dim, 2)
    products = operator.matvec(one), operator.matvec(other)
    assert products[0].norm() > 0.1
    scale = (one.norm() * products[1].norm()).item()
    assert abs((other @ products[0] - one @ products[1]).item()) < 1e-13 * scale
    combined = operator.matvec(2 * one - 3 * other)
    assert relative(combined, 2 * products[0] - 3 * products[1]) < 1e-13


@pytest.mark.parametrize("backend", BACKENDS)
def test_products_repeat_bit_for_bit_and_leave_the_vector_alone(backend):
    model, inputs, targets = problem("max-pooled")
    operator = hessian_operator(model, hinge, inputs, targets, backend, torch.float64, chunk_size=5)
    vector = random_vector(operator.dim)
    copied = vector.clone()
    first = operator.matvec(vector)
    operator.gradient()
    second = operator.matvec(vector)
    assert torch.equal(first, second)
    assert torch.equal(vector, copied)
    assert not first.requires_grad
    assert not operator.gradient().requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_any_floating_vector_is_taken_and_the_operators_precision_returned(backend, dtype):
    model, inputs, targets = problem("two-layer")
    operator = hessian_operator(model, hinge, inputs, targets, backend, dtype)
    vector = random_vector(operator.dim)
    for given_dtype in (torch.float32, torch.float64):
        product = operator.matvec(vector.to(given_dtype))
        assert product.dtype == dtype
        assert product.shape == (operator.dim,)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_model_is_left_as_it_was(backend):
    model, inputs, targets = problem("max-pooled")
    model.train()
    first = next(model.parameters())
    first.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    operator = hessian_operator(model, hinge, inputs, targets, backend, torch.float32)
    operator.matvec(random_vector(operator.dim))
    operator.gradient()
    assert model.training
    assert not first.requires_grad
    for name, weight in model.named_parameters():
        assert weight.grad is None
        assert weight.dtype == torch.float64
        assert torch.equal(weight, before[name])
    # A frozen weight is a weight of the Hessian all the same.
    assert operator.dim == sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize("backend", BACKENDS)
def test_changing_the_model_later_does_not_change_the_operator(backend):
    model, inputs, targets = problem("fully-connected")
    operator = hessian_operator(model, hinge, inputs, targets, backend, torch.float64)
    vector = random_vector(operator.dim)
    product, gradient = operator.matvec(vector), operator.gradient()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.1)
    assert torch.equal(operator.matvec(vector), product)
    assert torch.equal(operator.gradient(), gradient)


@pytest.mark.parametrize("backend", BACKENDS)
def test_integer_targets_stay_integers(backend):
    model, inputs, targets = problem("two-layer")
    labels = (targets > 0).long()
    seen = set()

    def loss(outputs, targets):
        seen.add(targets.dtype)
        return softplus(outputs * (1 - 2 * targets)).mean()

    operator = hessian_operator(model, loss, inputs, labels, backend, torch.float64)
    _, hessian = dense_derivatives(model, logistic, inputs, targets)
    vector = random_vector(operator.dim)
    assert relative(operator.matvec(vector), hessian @ vector) < 1e-13
    assert seen == {torch.int64}


def test_graphs_kept_in_memory_save_forward_passes_and_change_no_bit():
    model, inputs, targets = problem("max-pooled")
    chunks = list(zip(inputs.split(5), targets.split(5), strict=True))
    vector = random_vector(sum(weight.numel() for weight in model.parameters()))
    passes = []
    model.register_forward_hook(lambda module, args, output: passes.append(len(output)))
    products, repeated = [], []
    # Room for nothing, for some of the four chunks (each takes some tens of kilobytes), for all.
    for budget in (0, 60_000, 2**30):
        operator = AutogradOperator(model, hinge, chunks, memory_budget_bytes=budget)
        products.append(operator.matvec(vector))
        passes.clear()
        products.append(operator.matvec(vector))
        repeated.append(sum(passes))
    for product in products:
        assert torch.equal(product, products[0])
    assert repeated[0] >= 17
    assert repeated[2] == 0
    assert repeated[0] > repeated[1] > 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_discarded_operator_leaves_no_graph_behind(backend):
    class Token:
        pass

    tokens = []

    class Probe(torch.autograd.Function):
        """The identity; its node in the graph owns a token."""

        @staticmethod
        def forward(context, outputs):
            context.token = Token()
            tokens.append(weakref.ref(context.token))
            return outputs.clone()

        @staticmethod
        def backward(context, gradient):
            return gradient

    model, inputs, targets = problem("max-pooled")
    operator = hessian_operator(
        model,
        lambda outputs, targets: hinge(Probe.apply(outputs), targets),
        inputs,
        targets,
        backend,
        torch.float64,
        chunk_size=5,
    )
    for _ in range(2):
        operator.matvec(random_vector(operator.dim))
    operator.gradient()
    assert len(tokens) >= 4  # four chunks; how often depends on what a backend keeps
    del operator
    gc.collect()
    assert not [token for token in tokens if token() is not None]


def shut(dead: Problem) -> Problem:
    """The same network with every gate of its first layer shut on every example."""
    model, inputs, targets = dead
    with torch.no_grad():
        first = next(model.parameters())
        first.copy_(-first.abs() - 0.1)
    return Problem(model, inputs.abs() + 0.1, targets)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", sorted({*NETS} - {"leaky"}))  # which no weights shut
def test_a_network_with_all_gates_shut_has_zero_gradient_and_products(name, backend):
    model, inputs, targets = shut(problem(name))
    assert not model(inputs).any()
    operator = hessian_operator(model, hinge, inputs, targets, backend, torch.float64, chunk_size=5)
    assert torch.equal(operator.gradient(), torch.zeros(operator.dim, dtype=torch.float64))
    product = operator.matvec(random_vector(operator.dim))
    assert torch.equal(product.abs(), torch.zeros(operator.dim, dtype=torch.float64))


@pytest.mark.parametrize("backend", BACKENDS)
def test_examples_beyond_the_margin_give_zero_gradient_and_products(backend):
    model, inputs, _ = problem("fully-connected")
    with torch.no_grad():
        outputs = model(inputs)
        list(model.parameters())[-1].mul_(2 / outputs.abs().min())
        targets = outputs.sign()
        assert (targets * model(inputs)).min() > 1
    operator = hessian_operator(model, hinge, inputs, targets, backend, torch.float64)
    assert not operator.gradient().any()
    assert not operator.matvec(random_vector(operator.dim)).any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_layer_under_the_hinge_loss_has_a_gradient_and_no_curvature(backend):
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False), nn.Flatten(0)).double()
    inputs = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    targets = torch.ones(6, dtype=torch.float64)
    operator = hessian_operator(model, hinge, inputs, targets, backend, torch.float64)
    assert operator.gradient().norm() > 0.1
    assert not operator.matvec(random_vector(4)).any()


def assert_is_dense(model, shape, loss, backend, generator):
    """That products and gradient are those of the dense Hessian, at random examples."""
    inputs = torch.randn(6, *shape, generator=generator, dtype=torch.float64)
    targets = torch.tensor([1.0, -1.0] * 3, dtype=torch.float64)
    gradient, hessian = dense_derivatives(model, loss, inputs, targets)
    vector = random_vector(len(gradient))
    operator = hessian_operator(model, loss, inputs, targets, backend, torch.float64)
    # Sums of 6 examples of some tens of terms.
    assert relative(operator.matvec(vector), hessian @ vector) < 1e-13
    assert relative(operator.gradient(), gradient) < 1e-13


class InParallel(nn.Module):
    """One layer beside two: the gradient by the one does not depend on its weights."""

    def __init__(self):
        super().__init__()
        self.deep = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Tanh(), nn.Linear(3, 1))
        self.shallow = nn.Linear(4, 1, bias=False)

    def forward(self, inputs):
        return (self.deep(inputs) + self.shallow(inputs)).flatten()


def in_space():
    layers = [nn.Conv3d(2, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(24, 1), nn.Flatten(0)]
    return nn.Sequential(*layers)


def linear_loss(outputs, targets):
    return -(targets * outputs).mean()


@pytest.mark.parametrize(
    ("make", "shape", "loss"),
    [(InParallel, (4,), linear_loss), (in_space, (2, 3, 3, 3), hinge)],
)
def test_the_general_backend_takes_any_model(make, shape, loss):
    model = make().double()
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        nn.init.normal_(weight, generator=generator)
    assert_is_dense(model, shape, loss, "autograd", generator)


@pytest.mark.parametrize("backend", ["autograd", "cached"])
def test_a_loss_may_have_a_number_of_its_own_that_is_learnt(backend):
    """The slopes of a linear loss depend on it then, and not on the outputs."""
    model, inputs, targets = problem("fully-connected")
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    given = hessian_operator(
        model, lambda *pair: scale * linear_loss(*pair), inputs, targets, backend, torch.float64
    )
    gradient, hessian = dense_derivatives(model, linear_loss, inputs, targets)
    vector = random_vector(len(gradient))
    # As above.
    assert relative(given.matvec(vector), 2 * hessian @ vector) < 1e-13
    assert relative(given.gradient(), 2 * gradient) < 1e-13


@pytest.mark.parametrize("backend", ["autograd", "cached"])  # PyHessian's adds to their gradient
def test_examples_may_be_what_a_caller_differentiates_by(backend):
    model, inputs, targets = problem("fully-connected")
    _, hessian = dense_derivatives(model, hinge, inputs, targets)
    wanted = inputs.clone().requires_grad_()
    operator = hessian_operator(model, hinge, wanted, targets, backend, torch.float64)
    vector = random_vector(operator.dim)
    assert relative(operator.matvec(vector), hessian @ vector) < 1e-13
    assert wanted.grad is None


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kernel", [(2, 3), (3, 2), (2, 4)])
def test_kernels_whose_rows_or_columns_alone_are_even_keep_the_size_of_a_map(kernel):
    layers = [nn.Conv2d(2, 3, kernel, padding="same", bias=False), nn.ReLU(), nn.Flatten()]
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(*layers, nn.Linear(60, 1, bias=False), nn.Flatten(0))
    assert_is_dense(he_normal(model, generator), (2, 4, 5), hinge, "cached", generator)


def test_an_unknown_backend_is_an_error_that_names_the_known_ones():
    model, inputs, targets = problem("two-layer")
    with pytest.raises(ValueError, match=r"'dense'.*'autograd'.*'pyhessian'"):
        hessian_operator(model, hinge, inputs, targets, "dense")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_without_weights_is_an_error(backend):
    with pytest.raises(ValueError, match="no weights"):
        hessian_operator(nn.Flatten(0), hinge, torch.ones(3, 1), torch.ones(3), backend)


@st.composite
def convolutional_nets(draw):
    """Nets of one or two convolutions with any kernel, stride, padding and dilation, and pools."""
    layers, channels, side = [], draw(st.integers(1, 3)), 7
    shape = (channels, side, side)
    for _ in range(draw(st.integers(1, 2))):
        kernel, dilation = draw(st.sampled_from([(1, 1), (2, 1), (3, 1), (2, 2), (3, 2)]))
        padding = draw(st.sampled_from([0, 1, (1, 2), 3, "same", "valid"]))
        stride = 1 if padding == "same" else draw(st.integers(1, 2))
        wider = draw(st.integers(1, 3))
        options = {"stride": stride, "padding": padding, "dilation": dilation, "bias": False}
        layers += [nn.Conv2d(channels, wider, kernel, **options), nn.ReLU()]
        channels = wider
        pool = draw(
            st.sampled_from([None, nn.MaxPool2d(2), nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(2, 1, 1)])
        )
        layers += [pool] if pool else []
    with torch.no_grad(), warnings.catch_warnings():
        # Said once a process, of uneven padding.
        warnings.filterwarnings("ignore", message="Using padding='same' with even kernel")
        try:
            side = nn.Sequential(*layers)(torch.zeros(2, *shape))[0].numel()
        except RuntimeError:  # a kernel larger than its input
            assume(False)
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(side, 1, bias=False), nn.Flatten(0)
    ), shape


@given(
    drawn=convolutional_nets(), seed=st.integers(0, 10_000), loss=st.sampled_from(sorted(LOSSES))
)
@settings(max_examples=40)
def test_random_convolutional_nets_have_the_products_of_automatic_differentiation(
    drawn, seed, loss
):
    model, shape = drawn
    generator = torch.Generator().manual_seed(seed)
    model = he_normal(model, generator)
    inputs = torch.randn(4, *shape, generator=generator, dtype=torch.float64)
    targets = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    fast, slow = (
        hessian_operator(model, LOSSES[loss], inputs, targets, backend, torch.float64, chunk_size=3)
        for backend in ("cached", "autograd")
    )
    vector = random_vector(fast.dim, seed)
    for received, expected in (
        (fast.matvec(vector), slow.matvec(vector)),
        (fast.gradient(), slow.gradient()),
    ):
        # A few hundred roundings of 1e-16 in sums of order one; nets may be dead.
        assert (received - expected).norm() <= 1e-12 * (expected.norm() + 1e-3)


def residual_problem(channels, num_units, scale, unit_first=False, side=8, num_examples=5, seed=0):
    """A residual network of ten classes with random weights; perhaps with a unit before any layer."""
    generator = torch.Generator().manual_seed(seed)
    model = residual_net(channels, num_units, scale)
    if unit_first:
        model = nn.Sequential(ResidualUnit(3, scale), *model)
    model = he_normal(model, generator)
    inputs = torch.randn(num_examples, 3, side, side, generator=generator, dtype=torch.float64)
    return model, inputs, torch.randint(10, (num_examples,), generator=generator)


@pytest.mark.parametrize("unit_first", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_products_of_residual_networks_are_those_of_the_dense_hessian(scale, unit_first):
    model, inputs, labels = residual_problem(1, 1, scale, unit_first)
    with torch.no_grad():
        [*model.parameters()][-1].mul_(0.1)  # probabilities neither 0 nor 1
    gradient, hessian = dense_derivatives(model, class_loss, inputs, labels)
    operator = hessian_operator(
        model, cross_entropy, inputs, labels, "cached", torch.float64, chunk_size=3
    )
    vector = random_vector(operator.dim)
    # As above: some hundred roundings of 1e-16.
    assert relative(operator.matvec(vector), hessian @ vector) < 1e-13
    assert relative(operator.gradient(), gradient) < 1e-13


def class_loss(outputs, labels):
    """Mean cross-entropy of labels that the dense oracle has turned into numbers."""
    return cross_entropy(outputs, labels.long())


@given(
    channels=st.integers(1, 3),
    num_units=st.integers(1, 2),
    scale=st.floats(0.1, 1.5),
    unit_first=st.booleans(),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=15)
def test_products_of_random_residual_networks_are_those_of_automatic_differentiation(
    channels, num_units, scale, unit_first, seed
):
    model, inputs, labels = residual_problem(channels, num_units, scale, unit_first, seed=seed)
    fast, slow = (
        hessian_operator(model, cross_entropy, inputs, labels, backend, torch.float64, chunk_size=3)
        for backend in ("cached", "autograd")
    )
    vector = random_vector(fast.dim, seed)
    for received, expected in (
        (fast.matvec(vector), slow.matvec(vector)),
        (fast.gradient(), slow.gradient()),
    ):
        # Roundings of 1e-16 of terms that a sum may cancel down to a thousandth; nets may be sure.
        assert (received - expected).norm() <= 1e-12 * (expected.norm() + 1e-2)


def vgg_problem(num_examples=40):
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(num_examples, 3, 32, 32, generator=generator)
    return vgg12(1 / 16, generator), inputs, torch.randn(num_examples, generator=generator)


@pytest.mark.parametrize("backend", ["autograd", "pyhessian"])
@pytest.mark.parametrize("scale", [None, 1.0, 0.3])
def test_in_float32_the_cached_forward_pass_has_the_bits_of_the_models(scale, backend):
    """Else rounding opens a gate in one pass that it closes in another, and products differ."""
    model, inputs, targets = (
        vgg_problem()
        if scale is None
        else residual_problem(4, 2, scale, side=16, num_examples=40, seed=5)
    )
    seen = []

    def loss(outputs, targets):
        seen.append(outputs.detach())
        return squared(outputs, targets[:, None] if outputs.dim() == 2 else targets)

    for kind in ("cached", backend):
        hessian_operator(model, loss, inputs, targets, kind, chunk_size=30).gradient()
    ours, theirs = torch.cat(seen[:2]), torch.cat(seen[2:4])
    assert torch.equal(ours.reshape(theirs.shape), theirs)
    assert len(ours) == 40


def test_a_network_the_cached_product_does_not_support_is_told_which_backend_does():
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 1), nn.Flatten(0))
    with pytest.raises(ValueError, match=r"layer 1 \(Linear\) has a bias.*'autograd' takes any"):
        hessian_operator(model, hinge, torch.ones(3, 2), torch.ones(3), "cached")


def test_what_does_not_fit_into_the_memory_budget_is_computed_anew_and_changes_no_bit():
    model, inputs, targets = problem("max-pooled")
    chunks = list(zip(inputs.split(5), targets.split(5), strict=True))
    vector = random_vector(sum(weight.numel() for weight in model.parameters()))
    # Room for nothing, for some of the four chunks (each takes some ten kilobytes), for all.
    operators = [CachedOperator(model, hinge, chunks, budget) for budget in (0, 30_000, 2**30)]
    assert [len(operator._kept) for operator in operators][::2] == [0, 4]
    assert 0 < len(operators[1]._kept) < 4
    for operator in operators:
        assert torch.equal(operator.matvec(vector), operators[0].matvec(vector))
        assert torch.equal(operator.gradient(), operators[0].gradient())
