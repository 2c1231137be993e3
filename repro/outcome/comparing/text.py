"""What a person sees of a comparison, in tables of eighty columns."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from repro.outcome import wording
from repro.outcome.comparing.comparison import ClaimComparison, Comparison
from repro.outcome.comparing.numbers import NumberComparison
from repro.outcome.console import say, show_table


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Both sides, their claims, the numbers that decide, those that differ besides, and the outcome."""
    for name, side in (("A", comparison.a), ("B", comparison.b)):
        say(console, f"{name}  {side}")
        say(console, f"   {side.made_on}")
    show_table(
        console,
        ("claim", "A", "B", "claimed", "verdict"),
        [
            (
                one.id,
                wording.number(one.a.value),
                wording.number(one.b.value),
                wording.bound(one),
                _verdict(one),
            )
            for one in comparison.claims
        ],
        shorten={"claim": wording.without_middles},
    )
    _say_reasons(console, comparison)
    _show_references(
        console,
        [one for one in comparison.numbers if one.reference and one.verdict != "not compared"],
    )
    show_table(
        console,
        ("number", "A", "B", "B - A", "relative"),
        [
            (one.metric, wording.number(one.a), wording.number(one.b),
             wording.known(one.difference), _relative(one))
            for one in comparison.numbers
            if one.difference != 0
        ],
        shorten={"number": wording.without_middles},
    )  # fmt: skip
    _say_outcome(console, comparison)


def _show_references(console: Console, references: Sequence[NumberComparison]) -> None:
    """The numbers that decide; of several seeds with the interval of the difference."""
    several = any(one.low is not None for one in references)
    rows = [
        [
            one.metric,
            wording.known(one.difference),
            *([wording.between((one.low, one.high))] if several else []),
            "" if one.allowed is None else f"± {one.allowed:.3g}",
            one.verdict,
        ]
        for one in references
    ]
    header = ["reference", "B - A", *(["95 % of it"] if several else []), "allowed", "verdict"]
    show_table(console, header, rows, shorten={"reference": wording.without_middles})


def _verdict(claim: ClaimComparison) -> str | Text:
    """The verdict of both sides; which ones differ is said below."""
    if claim.verdict == "same":
        return claim.a.verdict or claim.b.verdict or ""
    return Text(claim.verdict, style="red" if claim.verdict == "differs" else "")


def _relative(number: NumberComparison) -> str:
    return "" if number.relative is None else f"{100 * number.relative:.3g} %"


def _say_reasons(console: Console, comparison: Comparison) -> None:
    """Why claims were not compared, each reason once."""
    reasons: dict[str, list[str]] = {}
    for claim in comparison.claims:
        if claim.reason:
            reasons.setdefault(claim.reason, []).append(claim.id)
    for reason, claims in reasons.items():
        say(console, f"  not compared: {', '.join(claims)}: {reason}")


def _say_outcome(console: Console, comparison: Comparison) -> None:
    equal = sum(one.verdict == "equal" for one in comparison.numbers)
    if equal:
        verb = "is" if equal == 1 else "are"
        say(console, f"  {wording.counted(equal, 'number')} {verb} equal to the last bit")
    differences = comparison.differences
    for line in differences:
        console.print(f"  differs: {line}", style="red", highlight=False, markup=False)
    if differences:
        return
    claims = sum(one.verdict == "same" for one in comparison.claims)
    numbers = [one.verdict for one in comparison.numbers if one.reference]
    known = sum(word in ("equal", "within", "inconclusive") for word in numbers)
    compared = f"{wording.counted(claims, 'claim')}, {wording.counted(known, 'reference')}"
    say(console, f"  no difference beyond what is allowed: {compared}")
    if unsure := numbers.count("inconclusive"):
        say(console, f"  of the references {unsure} may differ: so many seeds cannot tell")
