"""``rgflow critical``: how an activation must be tuned, and what depth then does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rgflow.cli.answers.formulas import critical_answer
from rgflow.cli.kinds import KindOption, layer_of
from rgflow.cli.machine import print_json
from rgflow.cli.options import ActivationArgument, JsonOption
from rgflow.cli.paths import PICTURES, writable

if TYPE_CHECKING:
    from rich.console import Console

    from rgflow.universality import Criticality, CriticalPoint

CLASSES = {
    "scale-invariant": "scale-invariant: every kernel is a fixed point",
    "K*=0": "K* = 0: the kernel decays to 0",
    "half-stable": "half-stable: the kernel stays at K* if it starts there",
}


def critical(
    activation: ActivationArgument,
    layer: KindOption = None,
    skip: Annotated[
        float | None, typer.Option("--skip", metavar="X", help="Skip strength of a residual layer.")
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Also the power law of every tensor, with its correction.")
    ] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print the power laws as LaTeX and nothing else.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw flow and power laws: .png, .svg or .pdf.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Find the critical C_b and C_W of an activation, its universality class and its exponents.

    \b
    Examples:
      rgflow critical gelu
      rgflow critical tanh --table --plot laws.png
      rgflow critical "z - z^3*exp(-z^2)/2"
      rgflow critical relu --latex
      rgflow critical tanh --layer residual --skip 0.9
    """
    if latex and json:
        raise typer.BadParameter("give one of --latex and --json")
    writable(plot, PICTURES, "--plot")
    from rgflow.cli.files import picture
    from rgflow.cli.power_law_table import as_latex, print_table
    from rgflow.cli.screen import results, working
    from rgflow.universality import criticality

    with working("looking for critical points"):
        found = criticality(activation, layer_of(layer, skip))
    if latex:
        with working("deriving power laws"):
            typer.echo(as_latex(found))
        return
    if json:
        with working("deriving exponents"):
            print_json("critical", critical_answer(found, table))
    else:
        console = results()
        _print_points(found, console)
        _print_behaviour(found, console)
        if table:
            print_table(found, console)
    if plot is not None:
        from rgflow.plots import plot_power_laws

        picture(lambda: plot_power_laws(found), plot, quiet=json)


# Points ---------------------------------------------------------------------------------------------------------------


def _print_points(found: Criticality, console: Console) -> None:
    from rgflow.universality.points import named

    console.print(named(found.activation, found.layer), style="bold", soft_wrap=True)
    for point in found.points:
        label = "recommended" if point == found.point else "also" if point.stable else "unstable"
        style = "green" if point == found.point else "" if point.stable else "yellow"
        console.print(point_text(point, label, console.width), style=style, soft_wrap=True)


def point_text(point: CriticalPoint, label: str, width: int) -> str:
    """Where a point is, its class, and what kernels near it do."""
    from rgflow.cli.formulas import hanging

    lines = [(label, f"C_b = {point.C_b:.10g}, C_W = {point.C_W:.10g}, {_fixed(point)}")]
    lines += [("", text) for text in (_exactly(point),) if text]
    kind = "" if point.stability.startswith(point.universality_class) else f"class {point.universality_class}; "
    lines.append(("", kind + point.stability))
    return "\n".join(hanging(start, text, width) for start, text in lines)


def _fixed(point: CriticalPoint) -> str:
    return "every K is fixed" if point.K_star is None else f"K* = {point.K_star:.10g}"


def _exactly(point: CriticalPoint) -> str:
    """The values that are neither whole numbers nor too long to read, exactly."""
    from rgflow.universality.printing import text_of

    if not point.symbolic:
        return ""
    names = {"K_star": "K*"}
    short = {name: value for name, value in point.values.items() if not value.is_Integer and value.count_ops() <= 8}
    listed = ", ".join(f"{names.get(name, name)} = {text_of(value)}" for name, value in short.items())
    return f"exactly {listed}" if listed else ""


# Exponents, and what to do with them ----------------------------------------------------------------------------------


def _print_behaviour(found: Criticality, console: Console) -> None:
    from rgflow.cli.formulas import hanging
    from rgflow.cli.screen import working

    console.print()
    console.print("At the recommended point", style="bold")
    with working("deriving exponents"):
        lines = behaviour(found)
    for label, text in lines:
        console.print(hanging(label, text, console.width), soft_wrap=True)


def behaviour(found: Criticality) -> list[tuple[str, str]]:
    """Class, exponents, growth of fluctuations, and how to build and train such a network, in words."""
    from rgflow.errors import NoClosedForm

    lines = [("class", CLASSES[found.universality_class])]
    lines.append(("susceptibilities", susceptibilities_text(found)))
    try:
        lines += [("exponents", exponents_text(found)), ("fluctuations", growth_text(found))]
        rates = rates_text(found)
    except NoClosedForm as error:
        lines.append(("exponents", f"no power laws: {error}"))
        rates = ""
    lines.append(("to set it", setting_text(found)))
    return lines + ([("learning rates", rates)] if rates else [])


def susceptibilities_text(found: Criticality) -> str:
    """Both are 1, and how that is known."""
    if found.K_star == 0:
        skip = "skip^2 + " if found.layer.value("skip") else ""
        return f"chi_parallel = chi_perp = {skip}C_W sigma'(0)^2 = 1, by choice of C_W"
    parallel, perpendicular = found.chi_parallel, found.chi_perpendicular
    off = max(abs(parallel - 1), abs(perpendicular - 1))
    within = f", from quadrature; off by {off:.0e}" if off else ""
    return f"chi_parallel = {parallel:.10g}, chi_perp = {perpendicular:.10g}{within}"


def exponents_text(found: Criticality) -> str:
    """K ~ l^-p_0 and the approach of the susceptibilities to 1."""
    from rgflow.cli.formulas import number_text

    p_0, parallel, perpendicular = found.p_0, found.p_parallel, found.p_perpendicular
    if p_0 == perpendicular == 0:
        return "p_0 = p_perp = 0: the kernel stays where it is, and both susceptibilities are 1 at every layer"
    return (
        f"p_0 = {number_text(p_0)}: K ~ l^-p_0 at layer l; "
        f"p_perp = {number_text(perpendicular)}: chi_perp = 1 - p_perp/l; "
        f"p_parallel = {number_text(parallel)}: chi_parallel = 1 - p_parallel/l"
    )


def growth_text(found: Criticality) -> str:
    """nu in V/(n K^2) -> nu l/n; where V/K^2 levels off, its limit."""
    from rgflow.cli.formulas import number_text

    nu = found.vertex_growth
    if nu == 0:
        V, K = found.laws["V"], found.laws["K"]
        limit = 0 if V.vanishes else V.amplitude / K.amplitude**2 if V.exponent == 2 * K.exponent else None
        if limit is not None:
            return f"V/(n K^2) -> {number_text(limit)}/n at layer l of width n: they do not grow"
    return f"V/(n K^2) -> nu l/n at layer l of width n, nu = {number_text(nu)}"


def setting_text(found: Criticality) -> str:
    """The network to build."""
    point, name = found.point, found.activation.formula_text
    if type(found.layer).__name__ != "Dense":
        own = found.layer.hyperparameters()
        given = {"skip": found.layer.value("skip"), "C_b": point.C_b, "C_W": point.C_W}
        listed = ", ".join(f"{name}={value!r}" for name, value in given.items() if name in own)
        start = ", a first layer that brings the kernel to K*," if point.universality_class == "half-stable" else ""
        return (
            f"layers rgflow.{type(found.layer).__name__}({listed}){start} in rgflow.Network(...); or rgflow.tune(net)"
        )
    call = f'rgflow.MLP.uniform(n_in, width, depth, activation="{name}", C_b={point.C_b!r}, C_W={point.C_W!r})'
    if point.universality_class == "half-stable":
        read = (point.K_star or 0.0) - point.C_b
        first = f"C_W of layer 1 at (K* - C_b) / (x.x/n_in) = {read:.10g} / (x.x/n_in)"
        return f"{call} with {first}, so that the kernel starts at K*; or rgflow.tune(net, inputs)"
    return f"{call}, or rgflow.tune(net)"


def rates_text(found: Criticality) -> str:
    """Learning rates by layer that keep the tangent kernel of order one, every layer with the same share."""
    from rgflow.cli.formulas import power_text
    from rgflow.universality.rates import rate_exponents

    total = power_text("L", found.p_perpendicular - 1)
    bias, weight = (power_text("l", x) + total for x in rate_exponents(found.point))
    if bias == weight:
        what = f"lambda_b{bias} and lambda_W{weight} in every layer"
    else:
        what = f"lambda_b{bias} at layer l, lambda_W{weight or ' the same in every layer'}"
    of = " (L layers in all)" if "L" in bias else ""
    return f"{what}{of}; every layer then has the same share of the tangent kernel: rgflow.learning_rates(net)"
