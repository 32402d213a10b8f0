"""What is known of an aspect ratio, in words: for printing and for the command line."""

from __future__ import annotations

from rgflow.predict.aspect.recommendation import Recommendation
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
        ("r*", f"{found.best_ratio:.6g} = depth/width for {outputs}{note}, the maximum of a series truncated at v^3")
    )
    low, high = sorted((found.mixture(law="gamma"), found.mixture(law="log-normal")))
    text.append(
        (
            "information",
            f"I({a};{b}) at r* is {found.series():.4g} nats by {_series_of(found)}, {low:.4g} to {high:.4g} by a "
            "log-normal or gamma scale mixture, which has no maximum there",
        )
    )
    text.append(
        (
            "series ends",
            f"beyond depth/width = {found.end:.4g} {'the continued one' if found.continued else 'it'} is negative",
        )
    )
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


def reasons(found: Scale, made: Recommendation) -> tuple[str, ...]:
    """Why a depth was recommended, and what it rests on."""
    a, b = found.groups
    seen = made.depth <= made.flowed
    how = "of a flow at this width" if seen else f"by nu alone: the flow of {made.flowed} layers ends before"
    continued = ", continued to one output," if found.continued else ""
    said = [
        f"V/(n K^2) = {made.fluctuation:.3g} at the last layer ({how}), where the truncated series of the "
        f"information{continued} is largest; r* n = {found.best_ratio * made.width:.1f}",
        f"I({a};{b}) = {made.information:.3g} nats by {_series_of(found)}, {made.mixture:.3g} of a scale mixture, "
        "which rises further with depth: r* is the book's estimate, not an extremum of the information itself",
    ]
    bound = made.bounds
    meaning = {
        "expansion": f"the ratio of successive orders (through order {found.growth(made.flowed).order}) passes "
        f"{bound['expansion']:g}",
        "kurtosis": f"the excess kurtosis of an output passes {bound['kurtosis']:g}",
        "tangent kernel": f"the tangent kernel of an output fluctuates by more than {bound['tangent kernel']:g} of its "
        "mean",
    }
    for name, last in made.cutoffs.items():
        where = f"beyond {made.flowed} layers, if at all" if last is None else f"after layer {last}"
        said.append(f"{meaning[name]} {where}")
    if not seen:
        said.append(
            f"cut-offs were looked for in {made.flowed} layers only, deeper flows take too long: whether the "
            "others are within them is not known"
        )
    if found.tangent_depth is not None and made.depth > found.tangent_depth:
        said.append(
            f"beyond layer {found.tangent_depth:.0f} tangent kernels fluctuate faster than nu says (half-stable point)"
        )
    return tuple(said)


def _series_of(found: Scale) -> str:
    return "the series of two neurons" if found.continued else "that series"


def _nu(found: Scale) -> str:
    exact = found.nu.is_Rational and found.nu.q < 10_000 and abs(found.nu.p) < 10_000
    text = f"V/(n K^2) -> nu L/n, nu = {found.nu if exact else format(float(found.nu), '.6g')}"
    book = found.nu_book
    if book is not None and abs(float(book - found.nu)) > 1e-9:
        text += f", with all that neurons remember (in one time, as the book has it: {float(book):.6g})"
    return text
