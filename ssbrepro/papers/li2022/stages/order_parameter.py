"""The order parameter against the loss throughout training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ssbrepro import domains
from ssbrepro.contract import Array, Context, Imitations, Positive, Result, Series, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np

    from ssbrepro import seeding


@dataclass(frozen=True)
class Parameters:
    """The order parameter against the loss, over the epochs whose loss is above ``loss_above``.

    It is rescaled by the ``step`` size as it is written or as it takes effect, which momentum makes
    larger by 1 / (1 - momentum). ``num_draws`` random orders of the epochs say what is left of a rate
    where there is none.
    """

    loss_above: Positive
    step: Literal["nominal", "effective"]
    num_draws: Imitations


NUMBERS = {
    "num_epochs": domains.EPOCHS,
    "log_ratio_median": domains.REAL,
    "log_ratio_coherent": domains.REAL,
    "log_ratio_random": domains.REAL,
    "rank_correlation": domains.SIGNED_SHARE,
    "rank_correlation_control": domains.SIGNED_SHARE,
    "slope": domains.REAL,
    "slope_permuted": domains.REAL,
    "slope_coherent": domains.REAL,
    "start_order_parameter": domains.NON_NEGATIVE,
    "start_loss": domains.NON_NEGATIVE,
    "final_order_parameter": domains.NON_NEGATIVE,
    "final_loss": domains.NON_NEGATIVE,
}

_FEWEST = 3  # epochs for a median, a rank correlation and a slope
_RATES = (
    "rank_correlation",
    "rank_correlation_control",
    "slope",
    "slope_permuted",
    "slope_coherent",
)


def run(parameters: Parameters, context: Context) -> Result:
    """Compare the step-size rescaled order parameter η‖∇R‖² (li2022, eq. 15) with the loss.

    Compared are the epochs of the stage ``training`` with a loss above ``loss_above`` and an order
    parameter that is not exactly zero, since the comparison is one of logarithms.

    Two false order parameters are compared likewise. If the gradients of all examples had the same
    direction, ‖∇R‖ would be their mean size, and with one size throughout fall as the share of active
    examples does; if they had random signs, the examples would cancel. Of both, the sizes are those
    that the stage ``one_step`` measured at the checkpoints.

    Returns:
        Arrays over all epochs, the untrained network included: ``epoch``, ``loss``,
        ``order_parameter``; and over checkpoints ``checkpoint_epoch``, ``coherent`` and ``random``, the
        two false order parameters. Numbers: how many epochs are compared; the median of
        log10(loss / order parameter) over them, and over checkpoints among them for the false ones;
        Spearman's rank correlation of both and the Theil-Sen slope of their logarithms, the same for
        the squared share of active examples in place of the order parameter, and the 95 % quantile of
        slopes with the epochs in random order, all missing where one of the two stays the same; all
        of these missing for fewer than three epochs; and the first and the last epoch's values.
    """
    training = context.inputs["training"]
    history, checkpoints = training.arrays, context.inputs["one_step"].arrays
    factor = 1 / (1 - training.parameters.momentum) if parameters.step == "effective" else 1.0
    loss, order_parameter = history["loss"], factor * history["order_parameter"]
    step_sizes = factor * history["step_size"][checkpoints["epoch"]]
    extremes = {name: step_sizes * checkpoints[f"{name}_square"] for name in ("coherent", "random")}
    compared = (loss > parameters.loss_above) & (order_parameter > 0)
    numbers = {
        "num_epochs": float(compared.sum()),
        "start_order_parameter": float(order_parameter[0]),
        "start_loss": float(loss[0]),
        "final_order_parameter": float(order_parameter[-1]),
        "final_loss": float(loss[-1]),
    }
    missing: dict[str, str] = {}
    if compared.sum() < _FEWEST:
        reason = f"only {compared.sum()} epochs have a loss above {parameters.loss_above:g}"
        missing = {name: reason for name in NUMBERS if name not in numbers}
    else:
        ratios = np.log10(loss[compared] / order_parameter[compared])
        numbers["log_ratio_median"] = float(np.median(ratios))
        for name, values in extremes.items():
            kept = compared[checkpoints["epoch"]] & (values > 0)
            if kept.any():
                of_checkpoints = np.log10(checkpoints["loss"][kept] / values[kept])
                numbers[f"log_ratio_{name}"] = float(np.median(of_checkpoints))
            else:
                missing[f"log_ratio_{name}"] = "no checkpoint is at an epoch that is compared"
        coherent = history["active_share"][compared] ** 2
        if all(np.ptp(values) for values in (loss[compared], order_parameter[compared], coherent)):
            shuffles = seeding.numpy_generator(context.seed, "order_parameter", "shuffles")
            numbers |= _rates(
                parameters, loss[compared], order_parameter[compared], coherent, shuffles
            )
        else:
            reason = "the loss, the order parameter or the share of active examples stays the same"
            missing |= dict.fromkeys(_RATES, reason)
    return Result(
        arrays={
            "epoch": history["epoch"],
            "loss": loss,
            "order_parameter": order_parameter,
            "checkpoint_epoch": checkpoints["epoch"],
            **extremes,
        },
        numbers=numbers,
        missing=missing,
        series={name: Series("epoch", name) for name in ("loss", "order_parameter")},
    )


def _rates(
    parameters: Parameters,
    loss: Array,
    order_parameter: Array,
    coherent: Array,
    shuffles: np.random.Generator,
) -> dict[str, float]:
    """How the order parameter and a false one fall with the loss, epoch by epoch, (epochs,) each."""
    from scipy.stats import spearmanr, theilslopes

    def slope(values: Array) -> float:
        return float(theilslopes(np.log(values), np.log(loss)).slope)

    permuted = [slope(shuffles.permutation(order_parameter)) for _ in range(parameters.num_draws)]
    return {
        "rank_correlation": float(spearmanr(loss, order_parameter).statistic),
        "rank_correlation_control": float(spearmanr(loss, coherent).statistic),
        "slope": slope(order_parameter),
        "slope_permuted": float(np.quantile(permuted, 0.95)),
        "slope_coherent": slope(coherent),
    }


STAGE = Stage(Parameters, NUMBERS, run, needs=("training", "one_step"))
