"""What is known of an aspect ratio, in words: for printing and for the command line."""

from __future__ import annotations

from rgflow.predict.aspect.scale import Scale
from rgflow.universality.points import named


def lines(found: Scale) -> list[tuple[str, str]]:
    """(label, text) of everything that does not ask for a width."""
    a, b = found.groups
    where = found.criticality
    text = [
        ("activation", f"{named(where.activation, where.layer)}: {where.point}"),
        ("nu", _nu(found)),
    ]
    if found.nu == 0:
        return [*text, ("r*", "fluctuations do not grow with depth: no depth over width is better than others")]
    outputs = f"{found.n_out} output{'s' * (found.n_out > 1)}"
    note = " (the formula continued to one output)" if found.continued else ""
    text.append(
        ("r*", f"{found.optimal:.6g} = depth/width for {outputs}{note}, the maximum of a series truncated at v^3")
    )
    low, high = sorted((found.mixture(law="gamma"), found.mixture(law="log-normal")))
    text.append(
        (
            f"I({a};{b}) at r*",
            f"{found.series():.4g} nats by that series, {low:.4g} to {high:.4g} by a log-normal or gamma scale "
            "mixture, which has no maximum there",
        )
    )
    text.append(("series ends", f"beyond depth/width = {found.end:.4g} it is negative"))
    text.append(("kurtosis", f"the excess kurtosis of an output is 1 at depth/width = {found.kurtosis_cutoff():.4g}"))
    if found.tangent_depth is not None:
        text.append(
            (
                "half-stable",
                f"nu holds for V only: beyond about {found.tangent_depth:.0f} layers, 1/(K* dchi_perp/dK), tangent "
                "kernels fluctuate faster than in proportion to depth",
            )
        )
    return text


def _nu(found: Scale) -> str:
    exact = found.nu.is_Rational and found.nu.q < 10_000 and abs(found.nu.p) < 10_000
    text = f"V/(n K^2) -> nu L/n, nu = {found.nu if exact else format(float(found.nu), '.6g')}"
    book = found.nu_book
    if book is not None and abs(float(book - found.nu)) > 1e-9:
        text += f", with all that neurons remember (in one time, as the book has it: {float(book):.6g})"
    return text
