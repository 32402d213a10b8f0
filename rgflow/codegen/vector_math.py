"""Elementary functions as straight lines of arithmetic, which a compiler turns into SIMD instructions.

Numba as it is installed has no vector math library: a call of ``math.tanh`` costs twenty nanoseconds and keeps a loop
from being vectorised. Here every function is text without calls and branches: a reduced argument, a polynomial (through
Chebyshev points, found to 40 digits), powers of two made from the bits of a number. Equal text gets the same name, so
that what functions share, such as the exponential of tanh and of its derivative, is formed once.

Errors stay below 4 units in the last place (erfc: 6; ``pow``: 4 + 2 abs(p log x)), tails included. What lies below
1e-307 may come out as anything that small; sine and cosine know arguments up to 1e6, and are NaN beyond.
"""

from __future__ import annotations

from collections.abc import Sequence

_LOG2E = "1.4426950408889634"
_MAGIC = "6755399441055744.0"  # 1.5 * 2^52: what is added to it is rounded to a whole number, readable from its bits
_LN2 = ("0.693147180369123816490", "1.90821492927058770002e-10")  # the first has 20 zero bits at its end
_ONE = "4607182418800017408"  # the bits of 1.0
_HALF_PI = ("1.57079632673412561417", "6.07710050630396597660e-11", "2.02226624879595063154e-21")

# (e^r - 1 - r)/r^2 for |r| < log(2)/2;  (2 atanh(s)/s - 2)/s^2 in s^2, |s| < 0.1716;  (atan(r)/r - 1)/r^2 in r^2, |r| <
# tan(pi/8);  (sin(r)/r - 1)/r^2 and (cos(r) - 1 + r^2/2)/r^4 in r^2, |r| < pi/4;  erf(x)/x in x^2, x < 0.6;
# (1 + 2x) exp(x^2) erfc(x) in (x - 3)/(x + 3), 0 <= x < 27
_EXPM1 = (0.5000000000000001, 0.16666666666666669, 0.04166666666662409, 0.008333333333330058, 0.0013888888917234206,
          0.00019841269863069374, 2.4801521264122017e-05, 2.755726843551756e-06, 2.762010358488696e-07,
          2.5100397137931663e-08)  # fmt: skip
_LOG = (0.666666666666667, 0.3999999999989924, 0.2857142862609589, 0.2222221111514416, 0.18182890556695602,
        0.1533167403016786, 0.1461703754879165)  # fmt: skip
_ATAN = (-0.3333333333333333, 0.19999999999995519, -0.14285714284666184, 0.11111111015227572, -0.09090904576954117,
         0.07692183163650894, -0.06664511064599371, 0.05858145587628202, -0.050854323376990765, 0.0392311556198723,
         -0.01917627151752634)  # fmt: skip
_SIN = (-0.16666666666666666, 0.008333333333330948, -0.00019841269836758574, 2.755731610255244e-06,
        -2.5051131845003624e-08, 1.5918129294866608e-10)  # fmt: skip
_COS = (0.041666666666666664, -0.0013888888888887398, 2.480158729876569e-05, -2.7557317271729793e-07,
        2.08761462684032e-09, -1.1382632425521717e-11)  # fmt: skip
_ERF = (1.1283791670955126, -0.37612638903183704, 0.1128379167095059, -0.0268661706435161, 0.005223977596212891,
        -0.0008548323981793935, 0.00012055139954657011, -1.4918046220845441e-05, 1.628002129733572e-06,
        -1.3916404409140413e-07)  # fmt: skip
_ERFC = (1.2530080582697296, -0.13562110612458067, -0.04756229435344707, 0.1296451587027035, -0.11927366341549393,
         0.06830802734587536, -0.02377051491489925, 0.002529391787107568, 0.0018886903184454165,
         -0.0007798320273148014, -0.00010515952561216177, 0.00012509809287280239, 4.948262299791677e-06,
         -2.0096426869541815e-05, -7.278044396672048e-07, 3.4635525785808633e-06, 3.4920430828377254e-07,
         -6.04412488193441e-07, -1.3116132294448009e-07, 9.142319931318473e-08, 3.2825163006176683e-08,
         -8.361218160882427e-09, -4.152865388901344e-09)  # fmt: skip


class VectorMath:
    """Lines ``name = expression`` of one block, and the names of what they have formed.

    Each function takes the name of its argument and returns the name of its value.

    >>> code = VectorMath()
    >>> code.put("z*z"), code.put("z + 1.0"), code.put("z*z")
    ('y0', 'y1', 'y0')
    >>> code.lines
    ['y0 = z*z', 'y1 = z + 1.0']
    """

    def __init__(self, letter: str = "y") -> None:
        self.letter = letter
        self.lines: list[str] = []
        self._names: dict[str, str] = {}
        self._above_one: dict[str, str] = {}

    def put(self, expression: str) -> str:
        """The name of an expression."""
        if expression not in self._names:
            self._names[expression] = f"{self.letter}{len(self._names)}"
            self.lines.append(f"{self._names[expression]} = {expression}")
        return self._names[expression]

    def polynomial(self, coefficients: Sequence[float], x: str) -> str:
        """A polynomial from low to high: Horner's rule, from six coefficients on for even and odd ones side by side."""
        if len(coefficients) < 6:
            value = repr(coefficients[-1])
            for c in reversed(coefficients[:-1]):
                value = self.put(f"{c!r} + {x}*{value}")
            return value
        square = self.put(f"{x}*{x}")
        even, odd = ([repr(c) for c in coefficients[i::2]] for i in (0, 1))
        for row in (even, odd):
            while len(row) > 1:
                last = row.pop()
                row[-1] = self.put(f"{row[-1]} + {square}*{last}")
        return self.put(f"{even[0]} + {x}*{odd[0]}")

    def choose(self, condition: str, yes: str, no: str) -> str:
        """``yes`` where the condition holds; what is not a number must make it false and pass through ``no``."""
        return self.put(f"{yes} if {condition} else {no}")

    # Exponentials

    def _power_of_two(self, shifted: str) -> str:
        return self.put(f"np.int64((np.float64({shifted}).view(np.int64) << 52) + {_ONE}).view(np.float64)")

    def _reduced(self, x: str, rest: str = "") -> tuple[str, str, str]:
        """x - rest = k log(2) + r: names of MAGIC + k, of k, and of e^r - 1."""
        t = self.put(f"{x}*{_LOG2E} + {_MAGIC}")
        k = self.put(f"{t} - {_MAGIC}")
        r = self.put(f"({x} - {k}*{_LN2[0]}) - {k}*{_LN2[1]}")
        r = self.put(f"{r} - {rest}") if rest else r
        return t, k, self.put(f"{r} + {self.put(f'{r}*{r}')}*{self.polynomial(_EXPM1, r)}")

    def _scaled(self, t: str, k: str, q: str, front: str = "") -> str:
        """2^k (1 + q), times a further power of two, in two steps that overflow and underflow as they should."""
        half = self.put(f"{k}*0.5 + {_MAGIC}")
        rest = self.put(f"({k} - ({half} - {_MAGIC})) + {_MAGIC}")
        one, two = self._power_of_two(half), self._power_of_two(rest)
        return self.put(f"({one} + {one}*{q})*({front}{two})")

    def _least(self, x: str, bound: str) -> str:
        return self.choose(f"{x} > {bound}", bound, x)

    def _clamped(self, x: str, low: str, high: str) -> str:
        above = self._least(x, high)
        return self.choose(f"{above} < {low}", low, above)

    def exp(self, x: str) -> str:
        return self._scaled(*self._reduced(self._clamped(x, "-746.0", "709.8")))

    def expm1(self, x: str) -> str:
        t, k, q = self._reduced(self._clamped(x, "-60.0", "709.8"))
        s = self._power_of_two(t)
        small = self.put(f"({s} - 1.0) + {s}*{q}")
        return self.choose(f"{x} > 40.0", self._scaled(t, k, q), small)

    def _falling(self, magnitude: str) -> tuple[str, str]:
        """exp(-a) and exp(-a) - 1 for a >= 0."""
        t, _, q = self._reduced(self.put(f"-{self._least(magnitude, '708.0')}"))
        s = self._power_of_two(t)
        value = self.put(f"{s} + {s}*{q}")
        self._above_one[value] = self.put(f"({s} + 1.0) + {s}*{q}")  # at hand earlier than 1.0 + value
        return value, self.put(f"({s} - 1.0) + {s}*{q}")

    def decay(self, x: str) -> str:
        """exp(-abs(x))."""
        return self._falling(self.put(f"abs({x})"))[0]

    def gauss(self, x: str) -> str:
        """exp(-x^2); the square is split in two, since its rounding would grow with it."""
        a = self._least(self.put(f"abs({x})"), "26.6")
        high = self.put(f"np.int64(np.float64({a}).view(np.int64) & -134217728).view(np.float64)")
        t, _, q = self._reduced(self.put(f"-({high}*{high})"), self.put(f"({a} - {high})*({a} + {high})"))
        s = self._power_of_two(t)
        return self.put(f"{s} + {s}*{q}")

    def inverse(self, x: str) -> str:
        return self.put(f"1.0/{x}")

    def _share(self, decay: str) -> str:
        return self.inverse(self._above_one.get(decay) or self.put(f"1.0 + {decay}"))

    def tanh(self, double: str) -> str:
        """tanh(x), given 2x."""
        e, m = self._falling(self.put(f"abs({double})"))
        return self.put(f"math.copysign({m}*{self._share(e)}, {double})")

    def rise(self, x: str, decay: str) -> str:
        """1/(1 + exp(-x)), given exp(-abs(x))."""
        return self.put(f"{self.choose(f'{x} < 0.0', decay, '1.0')}*{self._share(decay)}")

    def bump(self, decay: str) -> str:
        """e/(1 + e)^2."""
        share = self._share(decay)
        return self.put(f"{decay}*{share}*{share}")

    def sech(self, decay: str) -> str:
        """1/cosh(x), given e = exp(-abs(x))."""
        return self.put(f"2.0*{decay}*{self.inverse(self.put(f'1.0 + {decay}*{decay}'))}")

    def _hyperbolic(self, x: str) -> tuple[str, str, str]:
        """exp(a)/2, exp(-a)/2 and exp(a) - 1 (while it matters) of a = abs(x)."""
        t, k, q = self._reduced(self._least(self.put(f"abs({x})"), "711.0"))
        s = self._power_of_two(t)
        grown = self._scaled(t, k, q, "0.5*")
        return grown, self.put(f"0.25/{grown}"), self.put(f"({s} - 1.0) + {s}*{q}")

    def sinh(self, x: str) -> str:
        grown, fallen, m = self._hyperbolic(x)
        small = self.put(f"{m}*(0.5 + {fallen})")
        return self.put(f"math.copysign({self.choose(f'abs({x}) > 20.0', f'{grown} - {fallen}', small)}, {x})")

    def cosh(self, x: str) -> str:
        grown, fallen, _ = self._hyperbolic(x)
        return self.put(f"{grown} + {fallen}")

    # Logarithms and inverses

    def _log_of(self, f: str, k: str) -> str:
        """k log(2) + log(1 + f), |f| < 0.42."""
        s = self.put(f"{f}/(2.0 + {f})")
        z = self.put(f"{s}*{s}")
        tail = self.put(f"{s}*({f} - {z}*{self.polynomial(_LOG, z)})")
        return self.put(f"{k}*{_LN2[0]} + ({f} - ({tail} - {k}*{_LN2[1]}))")

    def _split(self, x: str) -> tuple[str, str]:
        """x = 2^k m with m from sqrt(1/2) to sqrt(2): k, a whole number, and m."""
        bits = self.put(f"np.float64({x}).view(np.int64) + 2638149301829632")  # those of 1.0 less those of sqrt(1/2)
        k = self.put(f"({bits} >> 52) - 1023")
        return k, self.put(f"np.int64(({bits} & 4503599627370495) + 4604544269498187776).view(np.float64)")

    def log(self, x: str) -> str:
        tiny = f"{x} < 2.2250738585072014e-308"
        k, m = self._split(self.choose(tiny, f"{x}*18014398509481984.0", x))
        found = self._log_of(
            self.put(f"{m} - 1.0"), self.put(f"np.float64({k}) - ({self.choose(tiny, '54.0', '0.0')})")
        )
        edge = self.choose(f"{x} == 0.0", "-math.inf", "math.nan")
        return self.choose(f"{x} < math.inf", self.choose(f"{x} > 0.0", found, edge), x)

    def log1p(self, x: str) -> str:
        u = self.put(f"1.0 + {x}")
        k, m = self._split(u)
        lost = self.choose(f"{x} > 1.0", f"1.0 - ({u} - {x})", f"{x} - ({u} - 1.0)")
        down = self.put(f"np.int64((1023 - {k}) << 52).view(np.float64)")
        found = self._log_of(self.put(f"({m} - 1.0) + {lost}*{down}"), self.put(f"np.float64({k})"))
        edge = self.choose(f"{x} == -1.0", "-math.inf", "math.nan")
        return self.choose(f"{x} < math.inf", self.choose(f"{x} > -1.0", found, edge), x)

    def ramp(self, x: str, decay: str) -> str:
        """log(1 + exp(x)), given e = exp(-abs(x)): max(x, 0) + log(1 + e)."""
        big = f"{decay} > 0.41421356237309503"
        f = self.choose(big, f"({decay} - 1.0)*0.5", decay)
        return self.put(f"{self.choose(f'{x} < 0.0', '0.0', x)} + {self._log_of(f, self.choose(big, '1.0', '0.0'))}")

    def asinh(self, x: str) -> str:
        a = self.put(f"abs({x})")
        rest = self.choose(f"{a} > 1e150", a, f"{a}*{a}/(1.0 + math.sqrt(1.0 + {a}*{a}))")
        return self.put(f"math.copysign({self.log1p(self.put(f'{a} + {rest}'))}, {x})")

    def atan(self, x: str) -> str:
        a = self.put(f"abs({x})")
        far, middle = f"{a} > 2.414213562373095", f"{a} > 0.41421356237309503"
        above = self.choose(far, "-1.0", self.choose(middle, f"{a} - 1.0", a))
        below = self.choose(far, a, self.choose(middle, f"{a} + 1.0", "1.0"))
        start = self.choose(far, "1.5707963267948966", self.choose(middle, "0.7853981633974483", "0.0"))
        rest = self.choose(far, "6.123233995736766e-17", self.choose(middle, "3.061616997868383e-17", "0.0"))
        r = self.put(f"{above}/{below}")
        z = self.put(f"{r}*{r}")
        value = self.put(f"{start} + ({rest} + ({r} + {r}*({z}*{self.polynomial(_ATAN, z)})))")
        return self.put(f"math.copysign({value}, {x})")

    # Others

    def _circle(self, x: str) -> tuple[str, str, str]:
        """The quadrant as a whole number, sine and cosine of the angle in it."""
        t = self.put(f"{x}*0.6366197723675814 + {_MAGIC}")
        k = self.put(f"{t} - {_MAGIC}")
        r = self.put(f"(({x} - {k}*{_HALF_PI[0]}) - {k}*{_HALF_PI[1]}) - {k}*{_HALF_PI[2]}")
        z = self.put(f"{r}*{r}")
        sine = self.put(f"{r} + {r}*({z}*{self.polynomial(_SIN, z)})")
        cosine = self.put(f"1.0 - (0.5*{z} - {z}*{z}*{self.polynomial(_COS, z)})")
        return self.put(f"np.float64({t}).view(np.int64)"), sine, cosine

    def _turned(self, x: str, quarter: int) -> str:
        t, sine, cosine = self._circle(x)
        j = self.put(f"{t} + {quarter}") if quarter else t
        value = self.choose(f"({j} & 1) == 0", sine, cosine)
        signed = self.choose(f"({j} & 2) == 0", value, f"-{value}")
        return self.choose(f"abs({x}) <= 1e6", signed, "math.nan")

    def sin(self, x: str) -> str:
        return self._turned(x, 0)

    def cos(self, x: str) -> str:
        return self._turned(x, 1)

    def _beyond(self, x: str) -> str:
        """erfc(abs(x))."""
        a = self._least(self.put(f"abs({x})"), "30.0")
        low, high, line = self.put(f"{a} - 3.0"), self.put(f"{a} + 3.0"), self.put(f"1.0 + 2.0*{a}")
        both = self.inverse(self.put(f"{high}*{line}"))
        series = self.polynomial(_ERFC, self.put(f"{low}*{line}*{both}"))
        return self.put(f"{self.gauss(x)}*({series}*({high}*{both}))")

    def erf(self, x: str) -> str:
        near = self.put(f"{x}*{self.polynomial(_ERF, self.put(f'{x}*{x}'))}")
        far = self.put(f"math.copysign(1.0 - {self._beyond(x)}, {x})")
        return self.choose(f"abs({x}) > 0.6", far, near)

    def erfc(self, x: str) -> str:
        far = self._beyond(x)
        return self.choose(f"{x} < 0.0", f"2.0 - {far}", far)

    def sqrt(self, x: str) -> str:
        return self.put(f"math.sqrt({x})")

    def div(self, above: str, below: str) -> str:
        return self.put(f"{above}*{self.inverse(below)}" if above != "1.0" else f"1.0/{below}")

    def pow(self, x: str, exponent: str) -> str:
        """x^p for x >= 0."""
        return self.exp(self.put(f"{exponent}*{self.log(x)}"))
