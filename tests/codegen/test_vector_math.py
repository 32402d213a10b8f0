"""Vector text of elementary functions against mpmath, in units of the last place, and at the edges of their domains."""

import math

import mpmath
import numpy as np
import pytest

from rgflow.activations.program import PRIMITIVES
from rgflow.codegen import store
from rgflow.codegen.vector_math import VectorMath

EXPONENT = 0.37
# name: (lines from x, function of mpmath, largest error in units of the last place, arguments beside the common ones)
FUNCTIONS = {
    "exp": (lambda c: c.exp("x"), mpmath.exp, 4, (-708.0, 709.7)),
    "expm1": (lambda c: c.expm1("x"), mpmath.expm1, 4, (-100.0, 709.7)),
    "decay": (lambda c: c.decay("x"), lambda x: mpmath.exp(-abs(x)), 4, (-706.0, 706.0)),
    "gauss": (lambda c: c.gauss("x"), lambda x: mpmath.exp(-x * x), 4, (-26.5, 26.5)),
    "tanh": (lambda c: c.tanh(c.put("2.0*x")), mpmath.tanh, 4, (-50.0, 50.0)),
    "rise": (lambda c: c.rise("x", c.decay("x")), lambda x: 1 / (1 + mpmath.exp(-x)), 4, (-706.0, 706.0)),
    "bump": (lambda c: c.bump(c.decay("x")), lambda x: 1 / (4 * mpmath.cosh(x / 2) ** 2), 4, (-706.0, 706.0)),
    "sech": (lambda c: c.sech(c.decay("x")), mpmath.sech, 4, (-706.0, 706.0)),
    "ramp": (lambda c: c.ramp("x", c.decay("x")), lambda x: mpmath.log1p(mpmath.exp(x)), 4, (-706.0, 706.0)),
    "sinh": (lambda c: c.sinh("x"), mpmath.sinh, 4, (-710.4, 710.4)),
    "cosh": (lambda c: c.cosh("x"), mpmath.cosh, 4, (-710.4, 710.4)),
    "log": (lambda c: c.log("x"), mpmath.log, 4, (5e-324, 1e300)),
    "log1p": (lambda c: c.log1p("x"), mpmath.log1p, 4, (-1 + 1e-14, 1e300)),
    "asinh": (lambda c: c.asinh("x"), mpmath.asinh, 4, (-1e300, 1e300)),
    "atan": (lambda c: c.atan("x"), mpmath.atan, 4, (-1e300, 1e300)),
    "sin": (lambda c: c.sin("x"), mpmath.sin, 4, (-1e6, 1e6)),
    "cos": (lambda c: c.cos("x"), mpmath.cos, 4, (-1e6, 1e6)),
    "erf": (lambda c: c.erf("x"), mpmath.erf, 4, (-6.0, 6.0)),
    "erfc": (lambda c: c.erfc("x"), mpmath.erfc, 6, (-6.0, 26.4)),
    # 4 + 2 |p log x| up to |log x| = 20
    "pow": (lambda c: c.pow("x", repr(EXPONENT)), lambda x: x ** mpmath.mpf(EXPONENT), 4 + 2 * EXPONENT * 20, None),
}


def text(name, decoration):
    code = VectorMath()
    value = FUNCTIONS[name][0](code)
    lines = [decoration, f"def {name}(points, out):", "    for i in range(points.size):", "        x = points[i]"]
    lines += [f"        {line}" for line in code.lines] + [f"        out[i] = {value}"]
    return "\n".join(lines)


def loaded(jit, names=FUNCTIONS):
    decoration = '@njit(error_model="numpy", fastmath={"contract"})' if jit else ""
    head = "import math\nimport numpy as np\n" + ("from numba import njit\n" if jit else "")
    return store.module(head + "\n\n".join(text(name, decoration) for name in names) + "\n")


@pytest.fixture(scope="module")
def plain():
    """The text run by Python: every operation rounded, none contracted."""
    return loaded(False)


def run(function, points):
    out = np.empty(len(points))
    with np.errstate(all="ignore"):
        function(np.asarray(points, dtype=np.float64), out)
    return out


def arguments(name):
    rng = np.random.default_rng(5)
    if name == "pow":
        return np.exp(rng.uniform(-20, 20, 200))
    low, high = FUNCTIONS[name][3]
    near = np.concatenate([np.exp(rng.uniform(-25, 1, 60)), rng.uniform(0, 5, 100)])
    wide = rng.uniform(max(low, -1e3), min(high, 1e3), 60)
    powers = np.exp(rng.uniform(0, math.log(high), 40)) if high > 1e3 else np.zeros(0)
    edges = np.array([low, high])
    found = np.concatenate([near, -near, wide, powers, edges])
    return found[(found >= low) & (found <= high)]


def worst(name, found, points):
    """The largest error in units of the last place."""
    with mpmath.workprec(120):
        reference = [FUNCTIONS[name][1](mpmath.mpf(float(x))) for x in points]
        errors = [
            float(abs(mpmath.mpf(float(y)) - t) / math.ulp(abs(float(t)))) if math.isfinite(y) else math.inf
            for y, t in zip(found, reference, strict=True)
        ]
    return max(errors)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_in_units_of_the_last_place(name, plain):
    points = arguments(name)
    assert worst(name, run(getattr(plain, name), points), points) <= FUNCTIONS[name][2]


def test_compiled_text_is_as_good():
    """With fused operations, three functions that stand for the others: bits, two quotients, a table of signs."""
    names = ("tanh", "erfc", "sin")
    module = loaded(True, names)
    for name in names:
        points = arguments(name)
        assert worst(name, run(getattr(module, name), points), points) <= FUNCTIONS[name][2]


def test_a_wrong_coefficient_is_seen(plain, monkeypatch):
    """Control: the coefficient of r^6 in the exponential changed by a part in 10^9."""
    import rgflow.codegen.vector_math as vector_math

    right = vector_math._EXPM1
    wrong = (*right[:4], right[4] * (1 + 1e-9), *right[5:])
    monkeypatch.setattr(vector_math, "_EXPM1", wrong)
    points = arguments("exp")
    assert worst("exp", run(loaded(False, ["exp"]).exp, points), points) > FUNCTIONS["exp"][2]


INFINITY, NAN = math.inf, math.nan
EDGES = {
    "exp": {0.0: 1.0, 710.0: INFINITY, -746.0: 0.0, INFINITY: INFINITY, -INFINITY: 0.0, -745.0: 5e-324},
    "expm1": {0.0: 0.0, 710.0: INFINITY, -INFINITY: -1.0, 5e-324: 5e-324},
    "decay": {0.0: 1.0, 5e-324: 1.0},
    "tanh": {0.0: 0.0, INFINITY: 1.0, -INFINITY: -1.0, 5e-324: 5e-324},
    "rise": {0.0: 0.5, INFINITY: 1.0},
    "ramp": {INFINITY: INFINITY, 0.0: math.log(2)},
    "sinh": {0.0: 0.0, 711.0: INFINITY, -INFINITY: -INFINITY, 5e-324: 5e-324},
    "cosh": {0.0: 1.0, -711.0: INFINITY},
    "log": {0.0: -INFINITY, 1.0: 0.0, INFINITY: INFINITY, -1.0: NAN, -INFINITY: NAN},
    "log1p": {0.0: 0.0, -1.0: -INFINITY, INFINITY: INFINITY, -2.0: NAN, 5e-324: 5e-324},
    "asinh": {0.0: 0.0, INFINITY: INFINITY, -INFINITY: -INFINITY, 5e-324: 5e-324},
    "atan": {0.0: 0.0, INFINITY: math.pi / 2, -INFINITY: -math.pi / 2, 5e-324: 5e-324},
    "sin": {0.0: 0.0, INFINITY: NAN, 2e6: NAN, 5e-324: 5e-324},
    "cos": {0.0: 1.0, -INFINITY: NAN},
    "erf": {0.0: 0.0, INFINITY: 1.0, -INFINITY: -1.0},
    "erfc": {-INFINITY: 2.0},
}


@pytest.mark.parametrize("name", EDGES)
def test_edges(name, plain):
    points = list(EDGES[name])
    np.testing.assert_array_equal(run(getattr(plain, name), points), [EDGES[name][x] for x in points])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_not_a_number_stays_so(name, plain):
    assert np.isnan(run(getattr(plain, name), [NAN])).all()


@pytest.mark.parametrize("name", ["decay", "gauss", "rise", "bump", "sech", "erfc"])
def test_far_tails_are_small(name, plain):
    """Beyond the smallest numbers that these know: something below 1e-307, never garbage."""
    far = -1e4 if name == "rise" else 1e4
    assert 0 <= run(getattr(plain, name), [far, math.copysign(INFINITY, far)]).max() < 1e-307


def test_signs_of_zero(plain):
    for name in ("tanh", "sinh", "asinh", "atan", "erf"):
        assert math.copysign(1.0, run(getattr(plain, name), [-0.0])[0]) == -1.0


def test_equal_text_has_one_name():
    code = VectorMath()
    first = code.tanh(code.put("2.0*x"))
    before = len(code.lines)
    code.decay(code.put("2.0*x"))  # what the derivative of tanh asks for
    assert len(code.lines) == before
    assert code.tanh(code.put("2.0*x")) == first


def test_every_primitive_of_a_program_has_vector_text():
    """What a formula may contain; else a batch kernel of it could not be written."""
    assert [kind for kind in PRIMITIVES if not callable(getattr(VectorMath, kind, None))] == []
