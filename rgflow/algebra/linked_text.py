"""The lines of a Linked recursion as text and as LaTeX.

A prime marks the new layer. Of a layer with several weight matrices, what belongs to an inner one carries its letter;
what carries none, on the right, is of the layer below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from rgflow.algebra.jets import Jet
from rgflow.algebra.response import (
    FLUCTUATION,
    OF_KERNEL,
    OF_SQUARE,
    OF_VARIANCE,
    SHIFT,
    Answer,
    Entry,
    Line,
    Neuron,
)
from rgflow.algebra.tensor import Tensor
from rgflow.algebra.tex import symbol_tex

LETTER = "efghijk"
INNER = "hijk"  # of the weight matrices within a layer


def head(tensor: Tensor, many: bool, carries: bool, noisy: bool) -> list[str]:
    """How a tensor of two entries follows from the lines, and what the noise is."""
    law = [_noise_law()] if noisy else []
    if tensor.level == 1:
        return law
    p, q = tensor.pairs if many else ((Jet(0, a.edges), Jet(0, b.edges)) for a, b in tensor.pairs)
    name = f"{tensor.name}[{','.join(str(i + 1) for i in range(2 * tensor.level))}]" if many else tensor.name
    past = ""
    if carries and _jets(p) == _jets(q):
        past = f" + 2 n <η[{_jets(p)}] {_metric(q)}>"
    elif carries:
        past = f" + n <η[{_jets(p)}] {_metric(q)}> + n <η[{_jets(q)}] {_metric(p)}>"
    return [f"{name} = n <{_metric(p)} {_metric(q)}>{past}", *law]


def scale_law(scale: str) -> str:
    """nu of one input, which a norm divides by, in the brackets of the stage below."""
    squares = {OF_KERNEL: "K", OF_SQUARE: "<σσ>", OF_VARIANCE: "<σσ> - <σ>^2"}
    return f"ν^2 = {squares[scale]} + epsilon"


def _noise_law() -> str:
    return "n <η[f](l) η[g](m)> = <f(z^l) g(z^m)> - <f(z^l)> <g(z^m)>"


def text_line(line: Line, stages: int) -> str:
    """``δG' = skip^2 δG + 1/2 C_W <∂^2[σσ]> δG + C_W η[σσ]``."""
    terms = [*line.constants]
    for answer in line.answers:
        sign = "-" if answer.coefficient < 0 else ""
        terms.append(sign + _term(answer, line))
    right = " + ".join(terms).replace("+ -", "- ") or "0"
    inner = line.stage < stages - 1
    return f"{_left(line)}{'_' + INNER[line.stage] if inner else ''}' = {right}"


def _left(line: Line) -> str:
    return _metric(line.entry) if line.kind == FLUCTUATION else _mean_name(line.entry, line.kind)


def _mean_name(entry: Entry, kind: str) -> str:
    name = Tensor.of([(Jet(0, entry[0].edges), Jet(0, entry[1].edges))], int(kind == SHIFT)).name
    return name + _indices(jet.sample for jet in entry)


def _indices(samples: Iterable[int]) -> str:
    listed = tuple(samples)
    return f"[{','.join(map(str, listed))}]" if any(listed) else ""


def _term(answer: Answer, line: Line) -> str:
    mark = _mark(line.stage, answer.back)
    size = abs(answer.coefficient)
    parts = [str(size)] if size != 1 else []
    for symbol in dict.fromkeys(answer.symbols):
        parts.append(_power(symbol, answer.symbols.count(symbol)))
    for name, pairs in (("Theta", answer.thetas), ("K", answer.kernels)):
        parts += [_power(name + _indices(pair) + mark, pairs.count(pair)) for pair in dict.fromkeys(pairs)]
    names = [f"<{_function(bracket)}>{mark}" for bracket in answer.brackets]
    parts += [_power(name, names.count(name)) for name in dict.fromkeys(names)]
    parts += _fluctuations(answer, line, mark)
    return (" ".join(parts) or "1") + _divided(answer)


def _divided(answer: Answer) -> str:
    """What a norm divides by."""
    nus = [_power(f"ν{a or ''}", answer.norms.count(a)) for a in dict.fromkeys(answer.norms)]
    return f" / ({' '.join(nus)})" if len(nus) > 1 else f" / {nus[0]}" if nus else ""


def _fluctuations(answer: Answer, line: Line, mark: str) -> list[str]:
    names = [_metric(entry) + mark for entry in answer.entries]
    names = [*(f"η[{_function(noise)}]{mark}" for noise in answer.noises), *names]
    if line.kind == FLUCTUATION or not names:
        return names
    if len(names) == 1:
        return [_mean_name(answer.entries[0], SHIFT) + mark]
    if not answer.noises and not any(jet.sample for entry in answer.entries for jet in entry):
        return [Tensor.of([(Jet(0, a.edges), Jet(0, b.edges)) for a, b in answer.entries]).name + mark]
    return [f"n <{' '.join(names)}>"]


def _mark(stage: int, back: int) -> str:
    below = stage - back
    return f"_{INNER[below]}" if below >= 0 else ""


def _metric(entry: Entry) -> str:
    inside = _jets(entry)
    return "δG" if inside == "z z" else f"δG[{inside}]"


def _jets(jets: Iterable[Jet]) -> str:
    return " ".join(
        f"z{jet.sample or ''}" + ("_" + "".join(LETTER[e] for e in jet.edges) if jet.edges else "") for jet in jets
    )


def _function(neuron: Neuron) -> str:
    if not neuron.factors:
        return _jets(neuron.jets)
    inside = "".join("σ" + ("'" * k if k <= 3 else f"^({k})") + str(sample or "") for sample, k in neuron.factors)
    if neuron.acting:
        acting = "".join(_power(f"∂{a or ''}", neuron.acting.count(a)) for a in dict.fromkeys(neuron.acting))
        inside = f"{acting}[{inside}]"
    return f"{inside} {_jets(neuron.jets)}" if neuron.jets else inside


def _power(name: str, power: int) -> str:
    return name if power == 1 else f"{name}^{power}"


# LaTeX ---------------------------------------------------------------------------------------------------------------


def latex_head(tensor: Tensor, many: bool, carries: bool, noisy: bool) -> list[str]:
    """The head in LaTeX."""
    rows = []
    for row in head(tensor, many, carries, noisy):
        left, right = row.split(" = ", 1)
        rows.append(f"{_tex(left)} &= {_tex(right)}")
    return rows


def latex_line(line: Line, stages: int) -> str:
    """A line in LaTeX, aligned at the equals sign."""
    left, right = text_line(line, stages).split(" = ", 1)
    return f"{_tex(left)} &= {_tex(right)}"


def latex_scale(scale: str) -> str:
    """What a norm divides by, in LaTeX."""
    left, right = scale_law(scale).split(" = ", 1)
    return f"{_tex(left)} &= {_tex(right)}"


def _tex(text: str) -> str:
    """Our own text in LaTeX: every sign that the functions above write, in turn."""
    for pattern, replacement in _SIGNS:
        text = re.sub(pattern, replacement, text)
    for operator in "+-=":
        text = text.replace(f" {operator} ", f"~{operator}~")
    return text.replace(" ", r"\,").replace("~", " ")


def _tensor_tex(found: re.Match[str]) -> str:
    """K_1[1,2]_h': order and prime above, samples and the letter of the inner weight matrix below."""
    letter, order, samples, inner, new = found.groups()
    below = ";".join(part for part in ((samples or "").replace(",", ""), inner or "") if part)
    letter = {"Theta": r"\Theta", "V6": "{V_{6}}"}.get(letter, letter)
    above = (rf"\{{{order}\}}" if order else "") + (r"\prime" if new else "")
    return letter + (f"^{{{above}}}" if above else "") + (f"_{{{below}}}" if below else "")


def _sigma_tex(found: re.Match[str]) -> str:
    primes, order, sample = found.groups()
    return r"\sigma" + (f"^{{({order})}}" if order else primes) + (f"_{{{sample}}}" if sample else "")


def _value_tex(found: re.Match[str]) -> str:
    below = ";".join(part for part in found.groups() if part)
    return "z" + (f"_{{{below}}}" if below else "")


def _partial_tex(found: re.Match[str]) -> str:
    sample, power = found.groups()
    return r"\partial" + (f"_{{{sample}}}" if sample else "") + (f"^{{{power}}}" if power else "")


_SIGNS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"(?<![\w^])([a-z]{3,}(?:_\w)?)", lambda found: symbol_tex(found[1])),  # hyperparameters: skip, lambda_W
    (r"\b(\d+)/(\d+)\b", r"\\frac{\1}{\2}"),
    (r"(?<![A-Za-z\\])(Theta|V6|[A-Z])(?:_(\d+))?(?:\[([\d,]+)\])?(?:_([hijk]))?(')?(?![A-Za-z])", _tensor_tex),
    (r"σ('*)(?:\^\((\d+)\))?(\d*)", _sigma_tex),
    (r"∂(\d*)(?:\^(\d+))?", _partial_tex),
    (r"\bz(\d*)(?:_([a-k]+))?", _value_tex),
    ("δ", r"\\delta~"),
    ("η", r"\\eta~"),
    (r"ν(\d*)", lambda found: r"\nu" + (f"_{{{found[1]}}}" if found[1] else "")),
    ("<", r"\\langle~"),
    (">", r"\\rangle~"),
)
