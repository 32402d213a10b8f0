"""The table of ``rgflow critical --table``: the power law of every tensor, as text and as LaTeX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rgflow.cli.screen import rule_below_titles

if TYPE_CHECKING:
    from rich.console import Console

    from rgflow.universality import Criticality

TOLERANCE = 0.1  # "holds" means within this


def print_table(found: Criticality, console: Console) -> None:
    """Every tensor with its power, its law and the layer from which that holds."""
    from rich.table import Table

    from rgflow.cli.formulas import hanging
    from rgflow.cli.screen import working

    with working("deriving the power laws of all tensors"):
        rows = laws(found)
        onset = found.onset(TOLERANCE)
    table = Table(box=rule_below_titles(), padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("tensor", no_wrap=True)
    table.add_column("power", no_wrap=True)
    table.add_column("law; below it the next power of l, relative", ratio=1)
    table.add_column(f"{100 * TOLERANCE:g} % from", justify="right", no_wrap=True)
    for name, power, law, correction in rows:
        if power == "-":
            table.add_row(name, power, law, "")
            continue
        from_where = "any layer" if correction == "0" else since(onset[name]) if name in onset else "not known"
        table.add_row(name, power, law, from_where)
        table.add_row("", "", "exact" if correction == "0" else correction, "", style="dim")
    console.print()
    console.print("Power laws, equal widths", style="bold")
    console.print()
    console.print(table)
    for line in remarks(found):
        console.print(hanging("·", line, console.width, 4), style="dim", soft_wrap=True)


def since(layer: int | None) -> str:
    """The layer from which a law holds, or that this is deeper than anyone looks.

    >>> since(42), since(None)
    ('l = 42', 'beyond 1e9')
    """
    return "beyond 1e9" if layer is None else f"l = {layer}"


def laws(found: Criticality) -> list[tuple[str, str, str, str]]:
    """(tensor, power of l, leading law, correction) as text, the corrections at unit rates and first kernel."""
    import sympy as sp

    from rgflow.cli.formulas import shown
    from rgflow.plots.critical import units
    from rgflow.universality.exponentials import l
    from rgflow.universality.printing import text_of

    at = units(found)
    rows = []
    for name, law in found.laws.items():
        if law.vanishes:
            rows.append((name, "-", "0, exactly", ""))
            continue
        power = text_of(shown(law.exponent, 4)) + (f" ln^{law.logarithms}" if law.logarithms else "")
        leading = shown(law.amplitude) * l ** shown(law.exponent) * sp.log(l) ** law.logarithms
        correction = correction_text(law.correction, at) if law.determined_by(at) else law.following
        rows.append((name, power, text_of(leading), correction))
    return rows


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
    from rgflow.cli.formulas import power_text
    from rgflow.universality.rates import rate_exponents

    kind = found.universality_class
    if kind == "K*=0":
        named = zip(("lambda_b", "lambda_W"), rate_exponents(found.point), strict=True)
        rates = "at layer l the rates are " + " and ".join(f"{name}{power_text('l', x)}" for name, x in named)
        first = "corrections for lambda_b = lambda_W = 1 and first kernel 1; ln is the natural logarithm"
    else:
        rates = "lambda_b and lambda_W are the same in every layer"
        start = "first kernel K*" if kind == "half-stable" else "k is the kernel of layer 1"
        first = f"{start}; corrections for lambda_b = lambda_W = 1" + (" and k = 1" if kind != "half-stable" else "")
    where = f"{100 * TOLERANCE:g} % from: the layer from which the law holds within that, at the same units"
    more = "in full, with all symbols: rgflow.criticality(...).laws[NAME].correction"
    return [rates, first, where, more, *memory(found)]


def memory(found: Criticality) -> list[str]:
    """Which tensors are left out because of what neurons remember."""
    left_out = getattr(found.laws, "refused", {})
    if not left_out:
        return []
    return [f"neurons remember their past; not known with all of it: {', '.join(left_out)}"]


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
