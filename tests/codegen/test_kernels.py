"""Generated kernels: readable, deterministic, equal to their plain twin and to the terms they come from."""

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from exact_flow import evaluate
from oracles.exact_brackets import PolynomialBrackets

import rgflow as rg
from rgflow.algebra import Tensor
from rgflow.codegen import kernel as kernel_of
from rgflow.codegen import lower
from rgflow.derive import closure
from rgflow.errors import AccuracyError, InputError, KinkError
from rgflow.flow import compiled
from rgflow.flow.moments import plan
from rgflow.flow.one_input import flow_with
from rgflow.flow.state import State

LETTERS = ["K_1", "Theta_1", *"VABDFPQRSTU"]


def test_source_reads_like_the_equations():
    source = compiled("V", "tanh").source
    assert "# V' =" in source
    assert "1/4 r C_W^2 V <d^2[ss]>^2" in source
    assert "#     0  K" in source
    assert "< d^2 [s s] >" in source
    assert "exec" not in source
    assert "eval(" not in source


def test_plain_twin_runs_the_same_program():
    """The un-jitted twin of the whole leading order, three layers of tanh."""
    jitted, plain = (compiled(LETTERS, "tanh", jit=jit) for jit in (True, False))
    assert "njit" not in plain.source
    first = np.zeros(len(jitted.table.tensors))
    first[:2] = 0.8, 1.3
    hyper = np.array([[0.1, 1.2, 0.5, 0.7, 1.0], [0.0, 1.1, 0.4, 0.6, 1.5]])
    one, two = (flow_with([kernel] * len(hyper), first, hyper, 24) for kernel in (jitted, plain))
    assert one.spread < 1e-6
    one, two = one.history, two.history
    assert np.isfinite(one).all()
    np.testing.assert_allclose(one, two, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("jit", [True, False])
def test_one_step_with_many_inputs_is_the_printed_recursion(jit):
    """Every component of every letter, from random tensors, against exact rational evaluation of the terms."""
    rng = np.random.default_rng(3)
    system = closure(LETTERS, samples="many")
    kernel = kernel_of(system, jit=jit)
    state = State(kernel.table.tensors, 2)
    sigma = (Fraction(1, 4), Fraction(1), Fraction(-1, 2), Fraction(1, 8))
    values = {}
    for tensor in system.tensors:
        arity = 2 * tensor.level
        block = rng.integers(-8, 9, (2,) * arity) / 8
        values[tensor] = np.mean([np.transpose(block, s) for s in tensor.symmetries], axis=0)
    values[Tensor.named("K")] = np.array([[1.0, 0.5], [0.5, 0.75]])
    exact_state = {
        t.name: {i: Fraction(float(v[i])).limit_denominator(10**6) for i in np.ndindex(v.shape)}
        for t, v in values.items()
    }
    flat = np.concatenate([values[t].ravel() for t in system.tensors])
    brackets = PolynomialBrackets(sigma, exact_state["K"])
    layout = plan(kernel.table.shapes, 2)
    numbers = np.zeros(layout.size)
    for subsets, moments, places, rows, columns in layout.groups:
        for place, row, column in zip(places, rows, columns, strict=True):
            factors, pend = [], []
            for sample, (orders, pending) in zip(subsets[row], moments[column], strict=True):
                factors += [(int(sample), k) for k in orders]
                pend += [int(sample)] * pending
            numbers[place] = brackets.many(factors, pend)
    hyper = {"C_b": 0.125, "C_W": 1.5, "lambda_b": 0.25, "lambda_W": 0.75}
    out = kernel.step(2, state.work, flat, state.offsets, numbers, layout.offsets, np.array([*hyper.values(), 1.5]))[
        state.representative
    ]
    for i, recursion in enumerate(system):
        block = state.block(out, i)
        for samples in list(np.ndindex(block.shape))[:: 3 if jit else 7]:
            exact = evaluate(recursion, brackets.many, exact_state, hyper, Fraction(3, 2), samples)
            assert block[samples] == pytest.approx(float(exact), rel=1e-12, abs=1e-12), (recursion.name, samples)


def test_the_same_bytes_under_every_hash_seed(tmp_path):
    """Closed forms included: each process starts with an empty store."""
    program = (
        "import hashlib\n"
        "from rgflow.flow import compiled\n"
        "names = ['V_1', 'Theta_1', 'T']\n"
        "kernels = [compiled(names, sigma) for sigma in ('gelu', 'sin', 'z - z^3*exp(-z^2)/2')]\n"
        "text = ''.join(k.source for k in (*kernels, compiled(names, 'tanh', samples='many')))\n"
        "print(hashlib.sha256(text.encode()).hexdigest())\n"
    )
    found = set()
    for seed in ("0", "1", "42", "4294967295"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "RGFLOW_CACHE_DIR": str(tmp_path / seed)}
        run = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        found.add(run.stdout)
    assert len(found) == 1


def test_a_kernel_says_how_it_finds_its_brackets():
    for sigma, others in (("relu", set()), ("erf", {((0, 0, 0, 0), 0)}), ("tanh", None)):
        kernel = compiled(["V", "T"], sigma, kinks="almost_everywhere", jit=False)
        methods = kernel.methods
        assert set(methods) == {(shape.orders, shape.pending) for shape in kernel.table.shapes}
        by_quadrature = {entry for entry, method in methods.items() if method == "quadrature"}
        assert by_quadrature == (set(methods) if others is None else others)
        closed = len(methods) - len(by_quadrature)
        assert f"Brackets: {closed} in closed form, {len(by_quadrature)} by quadrature." in kernel.source
        assert sum(line.endswith(" closed form") for line in kernel.source.splitlines()) == closed
    assert compiled("V", "relu", samples="many").methods == {}
    assert "for i in range" not in compiled("V", "relu").source
    system = closure("V")
    forced = kernel_of(system, rg.activation("relu"), closed=False)
    assert set(forced.methods.values()) == {"quadrature"}


@pytest.mark.parametrize(("sigma", "nodes"), [("relu", 4), ("gelu", 96), ("sin", 96)])
def test_closed_forms_and_quadrature_are_the_same_flow(sigma, nodes):
    """Both kernels, compiled, all letters through four layers: within what the flow calls doubt."""
    system = closure(LETTERS)
    hyper = np.array([[0.1, 1.4, 0.5, 0.7, 1.0]] * 4)
    passes = []
    for closed in (True, False):
        kernel = kernel_of(system, rg.activation(sigma), closed=closed)
        first = np.zeros(len(kernel.table.tensors))
        first[:2] = 0.8, 1.3
        passes.append(flow_with([kernel] * len(hyper), first, hyper, nodes))
    one, two = passes
    for a, b, doubt, other in zip(one.brackets, two.brackets, one.doubts, two.doubts, strict=True):
        assert (np.abs(a - b) <= doubt + other + 1e-13 * np.abs(b)).all()  # K of the layers before differs by rounding
    np.testing.assert_allclose(one.history[:, 0], two.history[:, 0], rtol=1e-12, atol=1e-13)
    if sigma != "gelu":
        assert one.spread == 0.0


def test_table_counts_every_term():
    system = closure(LETTERS)
    table = lower(system)
    assert len(table.arrays[2]) == sum(len(rec.terms) for rec in system)


def test_refusals():
    with pytest.raises(KinkError, match="almost_everywhere"):
        compiled("T", "relu")
    with pytest.raises(InputError, match="activation"):
        kernel_of(closure("K"))
    many = compiled("V", "tanh", samples="many")
    with pytest.raises(InputError, match="many inputs"):
        many.brackets(1.0, 24)
    with pytest.raises(AccuracyError, match="layer 1"):
        flow_with([compiled("V", "tanh", jit=False)], np.array([np.nan, 0.0]), np.zeros((1, 5)), 24)


def test_the_source_shows_the_spelling_that_was_asked_for():
    """Equal activations share numbers, not text: what is printed does not depend on what was asked before."""
    formula = "z*(1 + erf(z/sqrt(2)))/2"
    assert rg.activation(formula) == rg.activation("gelu")
    for spelling in (formula, "gelu", formula):
        assert f"sigma(z) = {rg.activation(spelling).formula_text}." in compiled("K", spelling).source
