"""The order parameter against the loss throughout training."""

from __future__ import annotations

from dataclasses import dataclass

from ssbrepro import domains
from ssbrepro.contract import Context, Positive, Result, Series, Stage
from ssbrepro.lazy import lazily

with lazily():
    import numpy as np


@dataclass(frozen=True)
class Parameters:
    """The order parameter against the loss, over the epochs whose loss is above ``loss_above``."""

    loss_above: Positive


NUMBERS = {
    "num_epochs": domains.EPOCHS,
    "log_ratio_median": domains.REAL,
    "rank_correlation": domains.SIGNED_SHARE,
    "final_order_parameter": domains.NON_NEGATIVE,
    "final_loss": domains.NON_NEGATIVE,
}

_FEWEST = 3  # epochs for a median and a rank correlation


def run(parameters: Parameters, context: Context) -> Result:
    """Compare the step-size rescaled order parameter (li2022, eq. 16) with the loss.

    Compared are the epochs of the stage ``training`` with a loss above ``loss_above`` and an order
    parameter that is not exactly zero, since the comparison is one of logarithms.

    Returns:
        Arrays over all epochs, the untrained network included: ``epoch``, ``loss``,
        ``order_parameter``. Numbers: how many epochs are compared, the median of
        log10(loss / order parameter) and Spearman's rank correlation over them, both missing for
        fewer than three epochs, the correlation also where one of the two stays the same; and the
        last epoch's values.
    """
    from scipy.stats import spearmanr

    training = context.inputs["training"].arrays
    loss, order_parameter = training["loss"], training["order_parameter"]
    compared = (loss > parameters.loss_above) & (order_parameter > 0)
    numbers = {
        "num_epochs": float(compared.sum()),
        "final_order_parameter": float(order_parameter[-1]),
        "final_loss": float(loss[-1]),
    }
    missing = {}
    losses, order_parameters = loss[compared], order_parameter[compared]
    if len(losses) < _FEWEST:
        reason = f"only {len(losses)} epochs have a loss above {parameters.loss_above:g}"
        missing = dict.fromkeys(("log_ratio_median", "rank_correlation"), reason)
    else:
        numbers["log_ratio_median"] = float(np.median(np.log10(losses / order_parameters)))
        if np.ptp(losses) and np.ptp(order_parameters):
            numbers["rank_correlation"] = float(spearmanr(losses, order_parameters).statistic)
        else:
            missing["rank_correlation"] = "the loss or the order parameter stays the same"
    return Result(
        arrays={"epoch": training["epoch"], "loss": loss, "order_parameter": order_parameter},
        numbers=numbers,
        missing=missing,
        series={name: Series("epoch", name) for name in ("loss", "order_parameter")},
    )


STAGE = Stage(Parameters, NUMBERS, run, needs=("training",))
