"""What a formula text may hold, what it is refused for, and when two spellings are one activation."""

import pickle
import sys

import pytest
import sympy

from rgflow.activations import CATALOGUE, FUNCTIONS, Activation, activation
from rgflow.activations.formula import text
from rgflow.activations.parser import parse
from rgflow.errors import FormulaError, InputError, RgflowError, UnknownName

SPELLINGS = [
    ("z^2", "z**2"),
    ("z^2 + 2*z + 1", "(z+1)**2"),
    ("tanh(z)", "tanh"),
    ("tanh(z)", "-tanh(-z)"),
    ("(exp(z)-exp(-z))/(exp(z)+exp(-z))", "tanh"),
    ("2*sigmoid(2*z) - 1", "tanh"),
    ("1 - tanh(z)^2", "1/cosh(z)^2"),
    ("z/(1+exp(-z))", "silu"),
    ("z*exp(z)/(1+exp(z))", "silu"),
    ("log(1+exp(z))", "softplus"),
    ("log1p(exp(z))", "softplus"),
    ("1 - sigmoid(-z)", "sigmoid"),
    ("z*(1+erf(z/sqrt(2)))/2", "gelu"),
    ("0.5*z*erfc(-z/2^0.5)", "gelu"),
    ("0.5*z*(1+tanh(sqrt(2/pi)*(z+0.044715*z^3)))", "gelu_tanh"),
    ("z*tanh(log(1+exp(z)))", "mish"),
    ("erf(z/sqrt(2))", "probit"),
    ("exp(-z*z/2)*z", "zgaussian"),
    ("max(z, 0)", "relu"),
    ("(z + Abs(z))/2", "relu"),
    ("z*Heaviside(z)", "relu"),
    ("max(0.01*z, z)", "leaky_relu"),
    ("abs(z)", "Max(z, -z)"),
    ("abs(z)^2", "z^2"),
    ("sqrt(z^2)", "Abs(z)"),
    ("z", "linear"),
    ("exp(z)^2", "exp(2*z)"),
    ("sqrt(4)*z", "2*z"),
]

REFUSED = {
    "log(z)": "z = 0",
    "1/z": "z = 0",
    "sqrt(z)": "z = ",
    "sinh(z)/z": "z = 0",
    "z**0.5": "z = ",
    "z**-1": "z = 0",
    "1/(z-0.1234)": "z = 0.1234",
    "1/(z^2-2)": "z = -1.41421",
    "sqrt((z-0.1234567)**2+0*z)": None,
    "1/((z-0.1234567)^2)": "z = 0.123457",
    "log(sin(z)+1)": "vanishes",
    "Max(z,0)**1.5": "z = 0",
    "log(-1)*z": "positive",
    "log1p(z)": "positive",
    "exp(z**2)": "faster than every exponential",
    "exp(exp(z))": "faster than every exponential",
    "exp(z*log(1+z^2))": "faster than every exponential",
    "sin(exp(z))": "oscillates exponentially",
    "Abs(sin(z))": "more than 32",
    "9**9**9": "exponent 387420489",
    "9**99**99": "beyond",
    "z**9**9": "beyond",
    "z**101": "beyond",
    "(z**50)**50": "degree",
    "10**99**1*10**99*10**99*10**99*z": "outside",
    "1e999*z": "outside",
    "3": "does not depend on z",
    "pi": "does not depend on z",
    "z - z": "constant",
    "0*z": "constant",
    "": "empty",
    "  ": "empty",
    "z.real": "attribute",
    "z.__class__.__mro__": "attribute",
    "__import__('os').system('true')": "not",
    "().__class__": "not",
    "z[0]": "subscript",
    "'z'": "not a real number",
    "b'z'": "not a real number",
    "f'{z}'": "string",
    "z + None": "not a real number",
    "True*z": "not a real number",
    "1j*z": "not a real number",
    "lambda: z": "lambda",
    "(lambda z: z)(z)": "not a function name",
    "exp(z)(z)": "not a function name",
    "[z for z in (1,)]": "not allowed",
    "(z := 3)": "not allowed",
    "z if z else 1": "conditional",
    "z and 1": "boolean",
    "z > 0": "comparison",
    "~z": "not allowed",
    "z // 2": "operator",
    "z % 2": "operator",
    "z @ z": "operator",
    "z; z": "syntax",
    "z\nz": "syntax",
    "(": "closed",
    "(" * 500 + "z" + ")" * 500: "nested",
    "-" * 1500 + "z": "nested deeper",
    "z" + "+z" * 900: "nested deeper",
    "z" * 5000: None,
    "z + " * 1000 + "z": "characters",
    "tnah(z)": "did you mean tanh",
    "open(z)": "unknown function",
    "eval(z)": "unknown function",
    "x**2": "the variable is z",
    "exp()": "one argument",
    "exp(z, z)": "one argument",
    "exp(*[z])": "not allowed",
    "exp(z, out=z)": "named",
    "Max(z)": "two or more",
    "z*tanh": "needs an argument",
    "leaky_relu(slope=z)": "parameter=number",
    "leaky_relu(slope=__import__('os'))": "parameter=number",
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_spellings_of_one_function_are_equal(one, other):
    assert activation(one) == activation(other)
    assert hash(activation(one)) == hash(activation(other))


@pytest.mark.parametrize(("one", "other"), [("z^2", "z^3"), ("relu", "linear"), ("tanh(z)", "tanh(2*z)"),
                                            ("sin", "cos"), ("abs(z)", "z"), ("swish", "swish(beta=2)")])  # fmt: skip
def test_different_functions_are_not(one, other):
    assert activation(one) != activation(other)


@pytest.mark.parametrize(("formula", "reason"), REFUSED.items(), ids=lambda value: str(value)[:30])
def test_refused(formula, reason):
    with pytest.raises(RgflowError, match=reason) as caught:
        activation(formula)
    assert isinstance(caught.value, FormulaError | UnknownName)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", ["thanh", "Tanh", "gleu", "x", "import"])
def test_unknown_names_come_with_a_suggestion(name):
    with pytest.raises(UnknownName, match=r"did you mean|known: "):
        activation(name)


def test_names_match_whatever_their_case():
    for name, meant in (("ReLU", "relu"), ("GELU", "gelu"), ("Tanh", "tanh")):
        with pytest.raises(UnknownName, match=f"did you mean '{meant}'"):
            activation(name)


def test_a_piecewise_expression_is_told_how_else():
    s = sympy.Symbol("s")
    for expression in (sympy.Piecewise((s, s > 0), (0, True)), 1 + s * sympy.Piecewise((1, s > 1), (-s, True))):
        with pytest.raises(FormulaError, match=r"is Max\(s, 0\)"):
            activation(expression)


def test_parameters_are_checked():
    for call, error in [
        (lambda: activation("leaky_relu", slop=1), UnknownName),
        (lambda: activation("tanh", slope=1), UnknownName),
        (lambda: activation("z^2", slope=1), UnknownName),
        (lambda: activation(activation("tanh"), slope=1), UnknownName),
        (lambda: activation("leaky_relu(slop=1)"), UnknownName),
        (lambda: activation("leaky_relu", slope=float("nan")), InputError),
        (lambda: activation("leaky_relu", slope="0.1"), InputError),
        (lambda: activation("leaky_relu", slope=True), InputError),
        (lambda: activation("swish", beta=[1]), InputError),
        (lambda: activation("monomial", degree=2.5), InputError),
        (lambda: activation("monomial", degree=0), InputError),
        (lambda: activation(3), InputError),
        (lambda: activation(None), InputError),
    ]:
        with pytest.raises(error):
            call()


@pytest.mark.parametrize("spec", [*CATALOGUE, *(one for one, _ in SPELLINGS), "leaky_relu(slope=0.1)", "swish(beta=-3)",
                                  "monomial(degree=7)", "-(z+1/3)**3/7 - 1e-5*z", "z - (2 - z)*(1 - z)", "-z**2",
                                  "(-z)**3 + (z**2)**3", "1/(1+z^2)/(2+z^2)", "tanh(z)/cosh(z)^2", "2**-z*pi**0.5",
                                  "sqrt(1+z^2)**3", "Min(z, 3, tanh(z))", "0.044715*z"])  # fmt: skip
def test_text_round_trip(spec):
    a = activation(spec)
    again = activation(a.formula_text)
    assert again == a
    assert again.formula_text == a.formula_text
    assert pickle.loads(pickle.dumps(a)) == a
    assert activation(a.sympy()) == a
    assert isinstance(a.latex(), str)


def test_names():
    assert activation("leaky_relu", slope=0.1).name == "leaky_relu(slope=0.1)"
    assert activation("monomial", degree=3).name == "monomial(degree=3)"
    assert activation(" z ^ 3 - z/2 ").formula_text == "z**3 - z/2"
    assert activation("leaky_relu", slope=0) == activation("relu")
    assert activation("leaky_relu", slope=1) == activation("linear")
    a = activation("tanh")
    assert activation(a) is a
    assert repr(a) == "Activation(name='tanh')"


def test_every_listed_function_may_be_used():
    for name in FUNCTIONS:
        argument = {"log": "1 + z^2", "sqrt": "1 + z^2", "log1p": "z^2", "Max": "z, 1", "Min": "z, 1"}.get(name, "z")
        assert isinstance(activation(f"z + {name}({argument})"), Activation)


def test_numbers_are_exact():
    assert text(parse("0.1*z")) == "z/10"
    assert activation("z/3 + z/6").polynomial == (0, sympy.Rational(1, 2))
    assert activation("1e-3*z").polynomial[1] == sympy.Rational(1, 1000)


def test_sympy_expressions():
    x, y = sympy.symbols("x y")
    assert activation(x * sympy.tanh(x)) == activation("z*tanh(z)")
    assert activation(sympy.Max(0, x)) == activation("relu")
    assert activation(sympy.Float("0.25") * x + sympy.pi) == activation("z/4 + pi")
    for bad in (x + y, sympy.Integer(1), sympy.gamma(x), sympy.I * x, sympy.tan(x), x**sympy.oo, sympy.Eq(x, 1)):
        with pytest.raises(FormulaError):
            activation(bad)


def test_nothing_is_evaluated():
    """A text that would leave a trace if it ran leaves none."""
    before = set(sys.modules)
    for hidden in ("__import__('this')", "exp(__import__('this'))", "swish(beta=__import__('this'))"):
        with pytest.raises(FormulaError):
            activation(hidden)
    assert "this" not in set(sys.modules) - before
