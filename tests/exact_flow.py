"""Run a derived System with rational numbers: no quadrature, no kernels, nothing but the terms as they are printed."""

from fractions import Fraction
from functools import cache
from itertools import product

SYMBOLS = ("C_b", "C_W", "lambda_b", "lambda_W")


def evaluate(recursion, brackets, state, hyper, r, samples=(), number=Fraction):
    """The right-hand side of a recursion.

    brackets: has ``one(orders, pending)``, or is ``many(factors, pend)`` itself. state: for one input {name: value},
    for many {name: {samples: value}}. hyper: {symbol: value}. samples: one per argument (many inputs).
    number: the type to calculate with.
    """
    total = number(0)
    for term in recursion.terms:
        factor = number(term.coefficient.numerator) / term.coefficient.denominator * number(r) ** term.r
        for name, power in term.symbols:
            factor *= number(hyper[name]) ** power
        if factor:
            value = _many(term, brackets, state, samples) if samples else _one(term, brackets, state)
            total += value * factor
    return total


def _one(term, brackets, state):
    value = 1
    for v in term.tensors:
        value = value * state[v.tensor.name]
    for b in term.brackets:
        value *= brackets.one(b.orders, b.pending)
    return value


def _many(term, brackets, state, samples):
    at = [[(samples[a - 1], k) for a, k in b.factors] for b in term.brackets]
    tensors = [state[v.tensor.name] for v in term.tensors]
    if not all(any(t.values()) for t in tensors):
        return 0
    slots = [(v, i) for v in term.tensors for i, index in enumerate(v.indices) if index < 0]
    different = [list(dict.fromkeys(a for a, _ in at[-v.indices[i] - 1])) for v, i in slots]
    total = 0
    for choice in product(*different):
        chosen = {(id(v), i): a for (v, i), a in zip(slots, choice, strict=True)}
        pend = [[] for _ in term.brackets]
        value = 1
        for v in term.tensors:
            key = []
            for i, index in enumerate(v.indices):
                if index < 0:
                    key.append(chosen[id(v), i])
                    pend[-index - 1].append(key[-1])
                else:
                    key.append(samples[index - 1])
            value = value * state[v.tensor.name][tuple(key)]
        for factors, acting in zip(at, pend, strict=True):
            if not value:
                break
            value *= brackets(tuple(factors), tuple(sorted(acting)))
        total += value
    return total


def flow_one(system, brackets_at, first, hyper, multiples, number=Fraction):
    """Every layer of a System for one input, from {name: value} at layer 1 (missing names are 0).

    brackets_at(K) gives the evaluator; hyper is a list of {symbol: value} per layer; multiples w_l with n_l = w_l n.
    """
    states = [{name: first.get(name, number(0)) for name in system.names}]
    widths = [1, *multiples]
    for layer, w in enumerate(multiples):
        brackets = brackets_at(states[-1]["K"])
        r = number(w) / widths[layer] if layer else number(1)
        states.append(
            {rec.name: evaluate(rec, brackets, states[-1], hyper[layer + 1], r, number=number) for rec in system}
        )
    return states


def flow_many(system, brackets_at, first, hyper, multiples, inputs):
    """The same for many inputs: tensors are {samples: value} over all samples 0..inputs-1."""
    every = {rec.name: list(product(range(inputs), repeat=2 * rec.tensor.level)) for rec in system}
    states = [{name: {s: first.get(name, {}).get(s, Fraction(0)) for s in every[name]} for name in system.names}]
    widths = [1, *multiples]
    for layer, w in enumerate(multiples):
        brackets = cache(brackets_at(states[-1]["K"]).many)
        r = Fraction(w, widths[layer]) if layer else Fraction(1)
        state = {}
        for rec in system:
            state[rec.name] = found = {}
            for s in every[rec.name]:
                alike = min(tuple(s[i] for i in symmetry) for symmetry in rec.tensor.symmetries)
                if alike not in found:
                    found[alike] = evaluate(rec, brackets, states[-1], hyper[layer + 1], r, alike)
                found[s] = found[alike]
        states.append(state)
    return states
