"""``rgflow critical``: how an activation must be tuned, and what depth then does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgflow.cli.paths import PICTURES, writable

if TYPE_CHECKING:
    from rich.console import Console

    from rgflow.universality import Criticality, CriticalPoint

CLASSES = {
    "scale-invariant": "scale-invariant: every kernel is a fixed point",
    "K*=0": "K* = 0: the kernel decays as a power of the depth",
    "half-stable": "half-stable: the kernel stays at K* if it starts there",
}
TOLERANCE = 0.1


def critical(
    activation: Annotated[str, typer.Argument(help="A name (tanh, gelu, relu, ..) or a formula in z, as 'z*tanh(z)'.")],
    table: Annotated[
        bool, typer.Option("--table", help="Also the power law of every tensor, with its correction.")
    ] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print the power laws as LaTeX and nothing else.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw flow and power laws: .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Find the critical C_b and C_W of an activation, its universality class and its exponents.

    \b
    Examples:
      rgflow critical gelu
      rgflow critical tanh --table --plot laws.png
      rgflow critical "z - z^3*exp(-z^2)/2"
      rgflow critical relu --latex
    """
    from rgflow.cli.screen import results, working
    from rgflow.universality import criticality

    writable(plot, PICTURES, "--plot")
    with working("looking for critical points"):
        found = criticality(activation)
    if latex:
        with working("deriving power laws"):
            typer.echo(as_latex(found))
        return
    console = results()
    _print_points(found, console)
    _print_behaviour(found, console)
    if table:
        _print_table(found, console)
    if plot is not None:
        from rgflow.plots import plot_power_laws, write_picture

        with working(f"drawing {plot}"):
            write_picture(plot_power_laws(found), plot)
        console.print(f"picture: {plot}", soft_wrap=True)


# Points ---------------------------------------------------------------------------------------------------------------


def _print_points(found: Criticality, console: Console) -> None:
    console.print(found.activation.name, style="bold", soft_wrap=True)
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
    short = {name: value for name, value in point.symbols.items() if not value.is_Integer and value.count_ops() <= 8}
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
    parallel, perpendicular = found.chi_parallel, found.chi_perpendicular
    off = max(abs(parallel - 1), abs(perpendicular - 1))
    within = f", from quadrature; off by {off:.0e}" if off else ""
    lines.append(("susceptibilities", f"chi_parallel = {parallel:.10g}, chi_perp = {perpendicular:.10g}{within}"))
    try:
        lines += [("exponents", exponents_text(found)), ("fluctuations", growth_text(found))]
        rates = rates_text(found)
    except NoClosedForm as error:
        lines.append(("exponents", f"no power laws: {error}"))
        rates = ""
    lines.append(("to set it", setting_text(found)))
    return lines + ([("learning rates", rates)] if rates else [])


def exponents_text(found: Criticality) -> str:
    """K ~ l^-p_0 and the approach of the susceptibilities to 1."""
    p_0, parallel, perpendicular = found.p_0, found.p_parallel, found.p_perpendicular
    if p_0 == perpendicular == 0:
        return "p_0 = p_perp = 0: the kernel stays where it is, and both susceptibilities are 1 at every layer"
    return (
        f"p_0 = {_number(p_0)}: K ~ l^-p_0 at layer l; p_perp = {_number(perpendicular)}: chi_perp = 1 - p_perp/l; "
        f"p_parallel = {_number(parallel)}: chi_parallel = 1 - p_parallel/l"
    )


def growth_text(found: Criticality) -> str:
    """nu in V/(n K^2) -> nu l/n."""
    return f"V/(n K^2) -> nu l/n at layer l of width n, nu = {_number(found.vertex_growth)}"


def setting_text(found: Criticality) -> str:
    """The network to build."""
    point, name = found.point, found.activation.formula_text
    call = f'rgflow.MLP.uniform(n_in, width, depth, activation="{name}", C_b={point.C_b!r}, C_W={point.C_W!r})'
    if point.universality_class == "half-stable":
        first = f"C_W of layer 1 at (K* - C_b) / (x.x/n_in) = {_first(point):.10g} / (x.x/n_in)"
        return f"{call} with {first}, so that the kernel starts at K*; or rgflow.tune(net, inputs)"
    return f"{call}, or rgflow.tune(net)"


def _first(point: CriticalPoint) -> float:
    return (point.K_star or 0.0) - point.C_b


def rates_text(found: Criticality) -> str:
    """Learning rates by layer that keep the tangent kernel of order one, every layer with the same share."""
    p_0, perpendicular = found.p_0, found.p_perpendicular
    total = power_text("L", perpendicular - 1)
    bias, weight = (power_text("l", p) + total for p in (-perpendicular, p_0 - perpendicular))
    if bias == weight:
        what = f"lambda_b{bias} and lambda_W{weight} in every layer"
    else:
        what = f"lambda_b{bias} at layer l, lambda_W{weight or ' the same in every layer'}"
    of = " (L layers in all)" if "L" in bias else ""
    return f"{what}{of}; every layer then has the same share of the tangent kernel: rgflow.learning_rates(net)"


def power_text(letter: str, exponent: Any) -> str:
    """A power of a letter as a factor; nothing for the power zero."""
    if exponent == 0:
        return ""
    if exponent in (1, -1):
        return f" {letter}" if exponent == 1 else f" / {letter}"
    number = _number(exponent)
    return f" {letter}^{number if number.lstrip('-').isdigit() else f'({number})'}"


def _number(value: Any) -> str:
    """A whole number or a short fraction as it is, anything else to ten digits."""
    from rgflow.cli.formulas import shown
    from rgflow.universality.printing import text_of

    return text_of(shown(value, 10))


# The table ------------------------------------------------------------------------------------------------------------


def _print_table(found: Criticality, console: Console) -> None:
    from rich import box
    from rich.table import Table

    from rgflow.cli.formulas import hanging
    from rgflow.cli.screen import working

    with working("deriving the power laws of all tensors"):
        rows = laws(found)
        onset = found.onset(TOLERANCE)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("tensor", no_wrap=True)
    table.add_column("power", no_wrap=True)
    table.add_column("law; below it the next power of l, relative", ratio=1)
    table.add_column(f"{100 * TOLERANCE:g} % from", justify="right", no_wrap=True)
    for name, power, law, correction in rows:
        if power == "-":
            table.add_row(name, power, law, "")
            continue
        table.add_row(name, power, law, "any layer" if correction == "0" else f"l = {onset[name]}")
        table.add_row("", "", "exact" if correction == "0" else correction, "", style="dim")
    console.print()
    console.print("Power laws, equal widths", style="bold")
    console.print()
    console.print(table)
    for line in remarks(found):
        console.print(hanging("·", line, console.width, 4), style="dim", soft_wrap=True)


def laws(found: Criticality) -> list[tuple[str, str, str, str]]:
    """(tensor, power of l, leading law, correction) as text, the corrections at the units of :func:`values`."""
    import sympy as sp

    from rgflow.cli.formulas import shown
    from rgflow.universality.exponentials import l
    from rgflow.universality.printing import text_of

    at = values(found)
    rows = []
    for name, law in found.laws.items():
        if law.vanishes:
            rows.append((name, "-", "0, exactly", ""))
            continue
        power = text_of(shown(law.exponent, 4)) + (f" ln^{law.logarithms}" if law.logarithms else "")
        leading = shown(law.amplitude) * l ** shown(law.exponent) * sp.log(l) ** law.logarithms
        rows.append((name, power, text_of(leading), correction_text(law.correction, at)))
    return rows


def values(found: Criticality) -> dict[str, float]:
    """What stands for the symbols in corrections: unit learning rates and first kernel, and what these make of c."""
    at = {"lambda_b": 1.0, "lambda_W": 1.0, "k": 1.0}
    if found.universality_class == "K*=0":
        from rgflow.universality.onset import constants

        return at | dict(constants(found.point))
    return at


def correction_text(correction: Any, at: dict[str, float]) -> str:
    """Powers of l and ln l with numbers before them.

    >>> import sympy
    >>> l = sympy.Symbol("l", integer=True, positive=True)
    >>> correction_text((sympy.log(l) / 2 - 3) / l, {})
    '(0.5 ln l - 3)/l'
    """
    import sympy as sp

    from rgflow.universality.exponentials import l

    log = sp.Symbol("log", positive=True)
    put = {s: sp.Float(at[s.name]) for s in correction.free_symbols if s.name in at}
    by_power: dict[Any, dict[Any, float]] = {}
    for term in sp.Add.make_args(sp.expand(correction.xreplace(put).subs(sp.log(l), log))):
        rest, power = term.as_coeff_exponent(l)
        c, logs = rest.as_coeff_exponent(log)
        inside = by_power.setdefault(power, {})
        inside[logs] = inside.get(logs, 0.0) + float(c)
    return (
        " + ".join(
            _over(power, parts) for power, parts in sorted(by_power.items(), reverse=True) if any(parts.values())
        )
        or "0"
    )


def _over(power: Any, parts: dict[Any, float]) -> str:
    signed = []
    for logs, c in sorted(parts.items(), reverse=True):
        name = "" if logs == 0 else " ln l" if logs == 1 else f" ln^{logs} l"
        signed.append(f"{'-' if c < 0 else '+'} {abs(c):.4g}{name}")
    text = " ".join(signed).removeprefix("+ ")
    text = f"-{text[2:]}" if text.startswith("- ") else text
    if power == 0:
        return text
    down = "l" if power == -1 else f"l^{-power}" if power.is_Integer else f"l^({-power})"
    return f"({text})/{down}" if len(parts) > 1 else f"{text}/{down}"


def remarks(found: Criticality) -> list[str]:
    """What the table rests on."""
    kind = found.universality_class
    if kind == "K*=0":
        rates = "at layer l the rates are " + " and ".join(
            f"{name}{power_text('l', p)}"
            for name, p in (("lambda_b", -found.p_perpendicular), ("lambda_W", found.p_0 - found.p_perpendicular))
        )
        first = "corrections for lambda_b = lambda_W = 1 and first kernel 1; ln is the natural logarithm"
    else:
        rates = "lambda_b and lambda_W are the same in every layer"
        start = "first kernel K*" if kind == "half-stable" else "k is the kernel of layer 1"
        first = f"{start}; corrections for lambda_b = lambda_W = 1" + (" and k = 1" if kind != "half-stable" else "")
    where = f"{100 * TOLERANCE:g} % from: the layer from which the law holds within that, at the same units"
    more = "in full, with all symbols: rgflow.criticality(...).laws[NAME].correction"
    return [rates, first, where, more]


def as_latex(found: Criticality) -> str:
    """The power laws as one display."""
    import sympy as sp

    from rgflow.algebra import Tensor
    from rgflow.algebra.tex import tensor_tex
    from rgflow.cli.formulas import shown
    from rgflow.universality.exponentials import l
    from rgflow.universality.printing import latex_of

    rows = []
    for name, law in found.laws.items():
        left = tensor_tex(Tensor.named(name), (), r"(\ell)")
        rest = l ** shown(law.exponent) * sp.log(l) ** law.logarithms
        sign = "=" if law.vanishes or law.correction == 0 else r"\simeq"
        rows.append(rf"{left} &{sign} {latex_of(shown(law.amplitude) * rest)}")
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"
