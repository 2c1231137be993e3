"""Masses around the vacuum as the step size grows (Goldstone's theorem)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from ssbrepro import domains
from ssbrepro.contract import Context, Positive, Result, Stage
from ssbrepro.lazy import lazily

with lazily():
    import torch

    from ssbrepro import seeding
    from ssbrepro.papers.ssb2018 import potential as potentials
    from ssbrepro.papers.ssb2018 import rotations


@dataclass(frozen=True)
class Parameters:
    """Masses around the zero-temperature vacuum of ``dimension`` weights, as the step size grows.

    ``num_step_sizes`` of them, from 0 to the critical one.
    """

    mu: Positive
    coupling: Positive
    dimension: Annotated[int, Ge(2)]
    num_step_sizes: Annotated[int, Ge(3)]


NUMBERS = {
    "pi_residual_max": domains.NON_NEGATIVE,
    "sigma_residual_max": domains.NON_NEGATIVE,
    "pi_zero_temperature": domains.NON_NEGATIVE,
    "thermal_pi_max": domains.NON_NEGATIVE,
    "thermal_sigma_residual_max": domains.NON_NEGATIVE,
    "vacuum_residual": domains.NON_NEGATIVE,
    "paper_sigma_difference": domains.NON_NEGATIVE,
    "paper_radius_difference": domains.NON_NEGATIVE,
}


def run(parameters: Parameters, context: Context) -> Result:
    """Measure the squared masses of π and σ around two vacua, and the paper's two formulas for them.

    Around the zero-temperature vacuum, a minimum of V at step size 0, V = V(·; η) has the eigenvalues
    ¼λη² along the sphere of minima (π, D - 1 of them) and 2μ² + ¼λη² across it (σ). That
    vacuum is a minimum at η = 0 only. Around the thermal vacuum, a minimum at the same η, π has
    none at all and σ has -2m²: ¼λη² belongs to the point of expansion.

    The paper's eq. 4 has m_σ² = -μ² + ¼λη² instead. That is what is left of σ when the quartic
    term is dropped as O(λ), which it is not where v² = -m²/λ. And appendix C has Σγ² = v with
    v = √(-m²/λ), where the gradient only vanishes at Σγ² = v².

    Returns:
        Arrays: ``step_size`` (step sizes,) over the critical one. Squared masses over μ²:
        ``pi`` and ``thermal_pi`` (step sizes, D - 1), ``sigma`` and ``thermal_sigma`` (step sizes,)
        as measured; these names with ``_expected``, and ``paper_sigma``, (step sizes,) by the
        formulas above. Numbers, of masses over 2μ²: largest
        difference of π and of σ from these formulas around the zero-temperature vacuum; its largest
        π at step size 0; the same two differences around the thermal vacuum; the largest difference
        of σ from eq. 4. And the largest gradient at a vacuum in units of μ³/√λ; the difference of
        Σγ² at the zero-temperature vacuum from the paper's v, over v².
    """
    potential = potentials.Potential(parameters.mu, parameters.coupling)
    mu_squared = potential.mu**2
    generator = seeding.torch_generator(context.seed, "goldstone")
    (direction,) = rotations.random_directions(parameters.dimension, 1, generator)
    cold = potential.vacuum_radius(0) * direction

    share = torch.linspace(0, 1, parameters.num_step_sizes, dtype=torch.float64)
    step_size = share * potential.critical_step_size
    thermal = potential.coupling * step_size**2 / (4 * mu_squared)
    step_sizes = step_size.tolist()
    warm = [potential.vacuum_radius(eta) * direction for eta in step_sizes]

    def masses(vacua: list[torch.Tensor]) -> torch.Tensor:
        hessians = [potential.hessian(w, eta) for w, eta in zip(vacua, step_sizes, strict=True)]
        eigenvalues: torch.Tensor = torch.linalg.eigvalsh(torch.stack(hessians)) / mu_squared
        return eigenvalues

    around_cold, around_warm = masses([cold] * len(step_sizes)), masses(warm)
    gradients = [potential.gradient(w, eta) for w, eta in zip(warm, step_sizes, strict=True)]
    slope_unit = potential.height_unit / potential.weight_unit
    paper_v = potential.vacuum_radius(0)
    arrays = {
        "step_size": share,
        "pi": around_cold[:, :-1],
        "sigma": around_cold[:, -1],
        "thermal_pi": around_warm[:, :-1],
        "thermal_sigma": around_warm[:, -1],
        "pi_expected": thermal,
        "sigma_expected": 2 + thermal,
        "thermal_pi_expected": torch.zeros_like(thermal),
        "thermal_sigma_expected": 2 - 2 * thermal,
        "paper_sigma": thermal - 1,
    }

    def difference(measured: str, expected: str) -> float:
        rows = arrays[measured].reshape(len(share), -1)
        return float((rows - arrays[expected][:, None]).abs().max()) / 2

    numbers = {
        "pi_residual_max": difference("pi", "pi_expected"),
        "sigma_residual_max": difference("sigma", "sigma_expected"),
        "pi_zero_temperature": float(arrays["pi"][0].abs().max()) / 2,
        "thermal_pi_max": difference("thermal_pi", "thermal_pi_expected"),
        "thermal_sigma_residual_max": difference("thermal_sigma", "thermal_sigma_expected"),
        "vacuum_residual": float(torch.stack(gradients).norm(dim=1).max()) / slope_unit,
        "paper_sigma_difference": difference("sigma", "paper_sigma"),
        "paper_radius_difference": abs(float(cold.dot(cold)) - paper_v) / paper_v**2,
    }
    return Result(arrays={name: array.numpy() for name, array in arrays.items()}, numbers=numbers)


STAGE = Stage(Parameters, NUMBERS, run)
