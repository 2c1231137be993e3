"""What a claim of symmetry is judged by: the worst breaking index over the checkpoints."""

from ssbrepro.contract import WITHOUT_POWER, Array
from ssbrepro.probes.controls import BreakingIndices


def worst_index(
    statistic: str, epochs: Array, indices: BreakingIndices
) -> tuple[dict[str, float], dict[str, str]]:
    """The worst breaking index of a statistic, and what chance and broken symmetries would make it.

    Args:
        statistic: Its name.
        epochs: Of the checkpoints, (checkpoints,).
        indices: At the same checkpoints.

    Returns:
        Numbers ``<statistic>_index_max``, ``<statistic>_index_noise`` and ``<statistic>_index_control``,
        and why they are missing: all three are where a checkpoint has no power, or none has a value.
    """
    names = [f"{statistic}_index_{part}" for part in ("max", "noise", "control")]
    weak = epochs[indices.measured & ~indices.power]
    if not indices.measured.any():
        return {}, dict.fromkeys(names, "there is nothing to measure at any checkpoint")
    if len(weak):
        reason = (
            f"{WITHOUT_POWER}: at epoch {', '.join(map(str, weak))} copies with every symmetry broken "
            "cannot be told from intact ones"
        )
        return {}, dict.fromkeys(names, reason)
    return dict(zip(names, (indices.worst, indices.noise, indices.control), strict=True)), {}
