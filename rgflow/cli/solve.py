"""``rgflow solve``: a tensor as a formula in the layer, and its comparison with a flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgflow.cli.answers.formulas import solve_answer
from rgflow.cli.flow import Kinks
from rgflow.cli.kinds import KindOption, layer_of
from rgflow.cli.machine import print_json
from rgflow.cli.options import ActivationArgument, TensorArgument
from rgflow.cli.screen import rule_below_titles
from rgflow.errors import AccuracyError

if TYPE_CHECKING:
    from rich.console import Console

    from rgflow.universality import Check, Solution

SHOWN = 12  # layers of a comparison
USUAL = {"k": "1", "C_W": "1.5", "C_b": "0.25", "lambda_b": "1", "lambda_W": "1"}
HYPERPARAMETERS, CHECK, RESULT = "Hyperparameters", "Check against a flow", "Results"
NUMBER = "a number, a fraction as 1/3, or 'symbolic'"


def solve(
    name: TensorArgument,
    activation: ActivationArgument,
    C_b: Annotated[
        str | None,
        typer.Option(
            "--C-b", metavar="X", help=f"{NUMBER.capitalize()}; default: critical.", rich_help_panel=HYPERPARAMETERS
        ),
    ] = None,
    C_W: Annotated[
        str | None,
        typer.Option("--C-W", metavar="X", help="The same.", rich_help_panel=HYPERPARAMETERS),
    ] = None,
    first_kernel: Annotated[
        str | None,
        typer.Option(
            "--first-kernel", metavar="X", help="K of layer 1; default: the symbol k.", rich_help_panel=HYPERPARAMETERS
        ),
    ] = None,
    lambda_b: Annotated[
        str | None,
        typer.Option(
            "--lambda-b", metavar="X", help="Learning rate of biases; default: symbol.", rich_help_panel=HYPERPARAMETERS
        ),
    ] = None,
    lambda_W: Annotated[
        str | None,
        typer.Option(
            "--lambda-W", metavar="X", help="Of weights times fan-in; default: symbol.", rich_help_panel=HYPERPARAMETERS
        ),
    ] = None,
    constant_rates: Annotated[
        bool,
        typer.Option(
            "--constant-rates",
            help="The same rates in every layer, also where the kernel decays.",
            rich_help_panel=HYPERPARAMETERS,
        ),
    ] = False,
    layer: KindOption = None,
    skip: Annotated[
        str | None,
        typer.Option(
            "--skip", metavar="X", help=f"Skip strength of a residual layer: {NUMBER}.", rich_help_panel=HYPERPARAMETERS
        ),
    ] = None,
    book: Annotated[
        bool,
        typer.Option(
            "--book", help="Layers with a skip: as if neurons did not remember.", rich_help_panel=HYPERPARAMETERS
        ),
    ] = False,
    kinks: Annotated[
        Kinks,
        typer.Option(
            metavar="RULE",
            help="sigma'' at a kink: 'error', or 'almost_everywhere' to take it branch by branch.",
            rich_help_panel=HYPERPARAMETERS,
        ),
    ] = Kinks.error,
    check: Annotated[
        int | None,
        typer.Option(metavar="L", min=2, help="Compare with a flow of L layers.", rich_help_panel=CHECK),
    ] = None,
    latex: Annotated[
        bool, typer.Option("--latex", help="Print LaTeX and nothing else.", rich_help_panel=RESULT)
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.", rich_help_panel=RESULT)] = False,
) -> None:
    """Solve the recursion of a tensor in the layer l: exactly where that is possible, else far from the input.

    \b
    Examples:
      rgflow solve V relu
      rgflow solve A tanh --check 2000
      rgflow solve V linear --C-b symbolic --C-W symbolic --check 60
      rgflow solve Theta gelu --latex
      rgflow solve S relu --kinks almost_everywhere
      rgflow solve V tanh --layer residual --skip symbolic
    """
    if latex and (json or check is not None):
        raise typer.BadParameter("give one of --latex, --json and --check" if json else "give --latex or --check")
    from rgflow.cli.numbers import exact
    from rgflow.cli.screen import results, working
    from rgflow.universality import solve as solved

    options = {
        "C_b": exact("--C-b", C_b),
        "C_W": exact("--C-W", C_W),
        "first_kernel": exact("--first-kernel", first_kernel),
        "lambda_b": exact("--lambda-b", lambda_b),
        "lambda_W": exact("--lambda-W", lambda_W),
        "skip": exact("--skip", skip, signed=True),
    }
    kind, closure = layer_of(layer, None, needed=skip is None), "book" if book else "full"
    rates = "constant" if constant_rates else "equal"
    with working("deriving and solving"):
        found = solved(name, activation, **options, rates=rates, kinks=kinks.value, layer=kind, closure=closure)
    if latex:
        typer.echo(found.latex())
        return
    done, values = _checked(found, check) if json and check is not None else (None, {})
    if json:
        print_json("solve", solve_answer(found, done, values))
    else:
        console = results()
        _print_solution(found, console)
        if check is not None:
            done = _print_check(found, check, console)
    if done is not None and not done.passed:
        raise AccuracyError(
            f"{found.name} of {found.activation.name}: formula and flow are further apart at {check} layers than what "
            f"is neglected explains{'' if found.exact else '; the asymptotics may set in later: flow more layers'}"
        )


def _print_solution(found: Solution, console: Console) -> None:
    from rgflow.cli.derive import heading
    from rgflow.cli.formulas import broken, equation, hanging
    from rgflow.derive import derive
    from rgflow.universality.kernel_step import kernel_step

    kind = "" if type(found.layer).__name__ == "Dense" else f" in {kernel_step(found.layer).named} layer"
    kind += ", the book's closure" if found.closure == "book" else ""
    title = f"{heading(derive(found.tensor)).split(';')[0]}; {found.activation.name}{kind}"
    console.print(title, style="bold", soft_wrap=True)
    console.print()
    sign = "=" if found.exact else "~"
    left = f"{found.name}(l)"
    formula = _formula(found.expression)
    console.print(equation(left, sign, formula, console.width), soft_wrap=True)
    if found.averages or found.parameters:
        numbers = _numbers(found.evaluated.evalf(30) if found.averages else found.evaluated)
        if numbers != formula:
            console.print(equation(" " * len(left), "=", numbers, console.width), soft_wrap=True)
    console.print()
    for label, text in facts(found):
        if label == "correction":
            rows = broken(text, console.width, f"  {label}".ljust(14), " " * 14)
            console.print("\n".join(rows), soft_wrap=True)
        else:
            console.print(hanging(label, text, console.width, 14), soft_wrap=True)
    for text in found.assumptions:
        console.print(hanging("·", text, console.width, 4), style="dim", soft_wrap=True)


def _formula(expression: Any) -> str:
    """Exact numbers as they are, others to a few digits."""
    import sympy as sp

    from rgflow.universality.printing import text_of

    return _text(expression) if expression.has(sp.Float) else text_of(expression)


def _numbers(expression: Any) -> str:
    """With the averages put in: a polynomial in l with a factor for every power."""
    import sympy as sp

    from rgflow.cli.formulas import shown
    from rgflow.universality.exponentials import l
    from rgflow.universality.printing import text_of

    if not expression.has(sp.Float) or not expression.is_polynomial(l):
        return _formula(expression)
    return text_of(sp.Add(*(shown(c) * l**power for (power,), c in sp.Poly(expression, l).terms())))


def facts(found: Solution) -> list[tuple[str, str]]:
    """Where it was solved, with which averages and rates, and what is neglected."""
    from rgflow.cli.formulas import power_text

    lines = []
    where = [f"{'K*' if name == 'K' else name} = {_text(value, 10)}" for name, value in found.parameters.items()]
    if where:
        lines.append(("at", ", ".join(where)))
    averages = [f"{_text(node)} = {_text(value, 10)}" for node, value in found.averages.items()]
    if averages:
        lines.append(("averages", ", ".join(averages)))
    if any(x != 0 for x in found.rates):
        named = zip(("lambda_b", "lambda_W"), found.rates, strict=True)
        lines.append(("rates", ", ".join(f"{name}{power_text('l', x)}" for name, x in named) + " at layer l"))
    if found.first_layer > 1:
        lines.append(("holds", f"from layer {found.first_layer} on"))
    left = [name for name in found.free if name in MEANINGS]
    if left:
        lines.append(("open", "; ".join(f"{name}, {MEANINGS[name]}" for name in left)))
    if found.exact:
        lines.append(("neglected", "nothing: exact in l, at this order in 1/n"))
    else:
        lines.append(("neglected", found.neglected))
        if found.correction is not None and found.correction != 0:
            lines.append(("correction", f"{_text(found.correction)}, relative"))
    return lines


MEANINGS = {
    "k": "the kernel of layer 1",
    "c_K": "what the layers near the input leave behind in K",
    "c_Theta": "the same in Theta",
}


def _text(expression: Any, digits: int = 6) -> str:
    """A formula as a line; numbers that are long are shortened."""
    from rgflow.cli.formulas import shown
    from rgflow.universality.printing import text_of

    if expression.is_Rational:
        return text_of(expression)
    if expression.is_number and expression.count_ops() > 8:
        expression = expression.evalf(30)
    return text_of(shown(expression, digits))


# The comparison -------------------------------------------------------------------------------------------------------


def _checked(found: Solution, depth: int) -> tuple[Check, dict[str, str]]:
    """The comparison, and at which values it was made."""
    from rgflow.cli.screen import working

    # a formula far from the input does not know where the flow started, but the comparison does
    asked = found.free if found.exact else [name for name in USUAL if name not in found.parameters]
    values = {name: USUAL[name] for name in USUAL if name in asked}
    with working(f"flowing {depth} layers"):
        return found.check(depth, **{name: float(text) for name, text in values.items()}), values


def _print_check(found: Solution, depth: int, console: Console) -> Check:
    """The table, and the comparison that it shows."""
    from rgflow.cli.formulas import hanging

    done, values = _checked(found, depth)
    at = f" at {', '.join(f'{name} = {text}' for name, text in values.items())}" if values else ""
    console.print()
    console.print(f"Compared with a flow of {depth} layers{at}", style="bold", soft_wrap=True)
    console.print()
    _show_table(done, console)
    for line, style in verdict(done):
        console.print(hanging("", line, console.width, 0), style=style, soft_wrap=True)
    return done


def _show_table(done: Check, console: Console) -> None:
    import numpy as np
    from rich.table import Table

    from rgflow.cli.tables import show

    table = Table(box=rule_below_titles(), padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    zero = not any(done.formula)
    columns = ("layer", "flow", "formula", "difference" if zero else "flow/formula - 1")
    for title in (*columns, "allowed" if done.kind == "exact" else "correction"):
        table.add_column(title, justify="right", no_wrap=True)
    beside = done.allowed if done.kind == "exact" else done.stated
    rows = list(zip(done.layers, done.flow, done.formula, done.difference, beside, strict=True))
    for i in sorted({round(float(i)) for i in np.linspace(0, len(rows) - 1, min(SHOWN, len(rows)))}):
        layer, flow, formula, difference, other = rows[i]
        digits = 1 if done.kind == "exact" else 2
        numbers = (f"{flow:.10g}", f"{formula:.10g}", f"{difference:.{digits}e}", f"{other:.{digits}e}")
        table.add_row(f"{layer}", *numbers)
    show(console, table)


def verdict(done: Check) -> list[tuple[str, str]]:
    """The reading of the table."""
    style = "green" if done.passed else "red"
    if done.kind == "exact":
        how = "they agree" if done.passed else "they do not agree"
        return [(f"{how} at every layer within the rounding and quadrature errors of the flow", style)]
    how = "is" if done.passed else "is not"
    lines = [(f"what the law leaves out {how} the stated correction", style)]
    if done.constants:
        read = ", ".join(f"{name} = {value:.6g}" for name, value in done.constants.items())
        lines.append((f"its constants, read off the same flow: {read}", ""))
    return lines
