r"""``family``: an abc-parametrisation of a deep network, by name or by its exponents.

.. math:: W^l = n^{-a_l} w^l, \qquad w^l_0 \sim n^{-b_l} N(0, s^2), \qquad \text{rate of } w^l: \eta\, n^{-c_l}

in three groups of layers: input (l = 1, fan-in n_0), hidden (1 < l < L) and output (l = L), L counting weight layers.
The presets are definitions of papers; all that follows from them is derived (:meth:`Family.exponents`).

Source: Yang and Hu, arXiv:2011.14522 (abc); Hajjar, Chizat, Giraud, arXiv:2110.15596 (integrable, IP-LLR, hybrid);
Yaida, arXiv:2210.04909 (one-parameter family).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from numbers import Real
from typing import TYPE_CHECKING, Any

from rgflow.activations import activation as find_activation
from rgflow.checks import positive, whole
from rgflow.errors import InputError, UnknownName
from rgflow.scaling.families.aligned import aligned
from rgflow.scaling.families.depth import depth_powers, rate_power, web
from rgflow.scaling.families.described import planned
from rgflow.scaling.families.exponents import FamilyExponents, exponents
from rgflow.scaling.families.powers import Power
from rgflow.scaling.families.presets import PRESETS, preset
from rgflow.scaling.families.triple import ABC, GROUPS, OPTIMIZERS, ByGroup, exact, symbolic
from rgflow.scaling.homogeneous import refuse_jumps

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Family:
    """How initial variances and learning rates of a network go with its width n and depth L.

    Attributes
    ----------
    name : str
    weights, biases : mapping from "input", "hidden", "output" to ABC
        Biases have a = 0 unless said.
    optimizer : "sgd" or "adam"
        What the rates are for; Adam stands for AdamW and all whose steps do not grow with the gradient.
    first : mapping from group to c, or None
        Exponents c of the weights at the first step, where they differ (IP-LLR); biases keep theirs.
    forget : Fraction or None
        Power of n by which the initial part of the hidden weights is multiplied after the first step (hybrid: -1/2).
    layers : int or None
        L, the number of weight layers, where exponents depend on it.
    depth_rate : Fraction
        Power of L on every learning rate; 0 leaves the depth alone. See :meth:`with_depth`.
    """

    name: str
    weights: Mapping[str, ABC]
    biases: Mapping[str, ABC] = field(default_factory=lambda: dict.fromkeys(GROUPS, ABC()))
    optimizer: str = "sgd"
    first: Mapping[str, Any] | None = None
    forget: Fraction | None = None
    layers: int | None = None
    depth_rate: Any = Fraction(0)

    def __post_init__(self) -> None:
        for kind in ("weights", "biases"):
            given = getattr(self, kind)
            if not isinstance(given, Mapping) or set(given) != set(GROUPS):
                raise InputError(f"{kind} of a family are {given!r}; give an ABC for each of {', '.join(GROUPS)}")
            if not all(isinstance(value, ABC) for value in given.values()):
                raise InputError(f"{kind} of a family are {given!r}; each must be an ABC(a, b, c)")
            object.__setattr__(self, kind, ByGroup({group: given[group] for group in GROUPS}))
        if self.optimizer not in OPTIMIZERS:
            raise UnknownName("optimizer", self.optimizer, OPTIMIZERS)
        if self.first is not None:
            if not set(self.first) <= set(GROUPS):
                raise InputError(f"first is {self.first!r}; give c at the first step for some of {', '.join(GROUPS)}")
            c = {group: exact("c", self.first[group]) for group in GROUPS if group in self.first}
            object.__setattr__(self, "first", ByGroup(c))
        if self.forget is not None:
            object.__setattr__(self, "forget", exact("forget", self.forget))
        if self.layers is not None:
            object.__setattr__(self, "layers", whole("layers", self.layers, 2))
        object.__setattr__(self, "depth_rate", exact("depth_rate", self.depth_rate))

    # What outputs see

    def std_power(self, group: str, *, bias: bool = False) -> Any:
        """Power of n of the initial standard deviation of the weights (biases) of a group: -(a + b)."""
        return self._of(group, bias).std_power

    def rate_power(self, group: str, first: bool = False, *, bias: bool = False) -> Any:
        """Power of n of their learning rate: -(2a + c), for Adam -(a + c); ``first``: at the first step."""
        abc = self._of(group, bias)
        if first and not bias and self.first is not None and group in self.first:
            abc = replace(abc, c=self.first[group])
        return abc.rate_power(self.optimizer)

    def _of(self, group: str, bias: bool) -> ABC:
        if group not in GROUPS:
            raise UnknownName("group of layers", group, GROUPS)
        return (self.biases if bias else self.weights)[group]

    # The same family otherwise written

    def gauge(self, theta: Any = 0, **by_group: Any) -> Family:
        """An equivalent family: a of weights larger by theta (or by group), b and c so that W is the same.

        >>> family("mup").gauge(input="1/2").weights["input"]
        ABC(a=Fraction(0, 1), b=Fraction(0, 1), c=Fraction(-1, 1))
        """
        for group in by_group:
            if group not in GROUPS:
                raise UnknownName("group of layers", group, GROUPS)
        shift = {group: exact("theta", by_group.get(group, theta)) for group in GROUPS}
        moved = {group: abc.gauge(shift[group], self.optimizer) for group, abc in self.weights.items()}
        times = 2 if self.optimizer == "sgd" else 1
        first = self.first and {group: c - times * shift[group] for group, c in self.first.items()}
        return replace(self, weights=moved, first=first)

    @property
    def effective(self) -> Family:
        """The family in the gauge a = 0: standard deviations n^-b and rates n^-c of the weights themselves."""
        still = self.gauge(**{group: -abc.a for group, abc in self.weights.items()})
        biases = {group: abc.gauge(-abc.a, self.optimizer) for group, abc in self.biases.items()}
        return replace(still, biases=biases)

    # What follows

    @property
    def symbol(self) -> Any:
        """The symbol that exponents hold, or None."""
        triples = (*self.weights.values(), *self.biases.values())
        symbols = {symbol for abc in triples for value in (abc.a, abc.b, abc.c) for symbol in _symbols(value)}
        if len(symbols) > 1:
            raise InputError(f"{self.name} holds several symbols, {symbols}; give all but one a number")
        return next(iter(symbols), None)

    def exponents(
        self, layers: int | None = None, activation: Any = "relu", *, biases: bool = False
    ) -> FamilyExponents:
        """Derive the powers of the width of all observables, updates and changes.

        Parameters
        ----------
        layers : int
            L, the number of weight layers, at least 2; by default the family's own, or 4.
        activation : activation
            As for :func:`rgflow.activation`. It matters where kernels vanish with n: a homogeneous one, or one with a
            series at the origin.
        biases : bool
            Whether there are any; without, they are neither drawn nor trained.

        Returns
        -------
        FamilyExponents

        Raises
        ------
        InputError
            If a kernel grows with n and the activation is not homogeneous; for another depth than the family's.
        NoClosedForm
            If a kernel vanishes with n and the activation is flat at the origin.
        KinkError
            For an activation that jumps.

        >>> found = family("ip").exponents(layers=5)
        >>> found.regime, found["own_relative"][1:4]
        ('frozen', (Fraction(-1, 2), Fraction(-1, 2), Fraction(-1, 2)))
        """
        given = self.layers if layers is None else layers
        depth = whole("layers", 4 if given is None else given, 2)
        if self.layers is not None and depth != self.layers and self.first is not None:
            raise InputError(f"{self.name} was made for {self.layers} layers, not {depth}; make it for those")
        plan = planned(
            self.weights,
            self.biases if biases else None,
            depth,
            optimizer=self.optimizer,
            first=self.first,
            forget=self.forget,
        )
        sigma = find_activation(activation)
        refuse_jumps(sigma)
        return exponents(self.name, plan, sigma, self.symbol)

    def gamma(self, n: Any, L: Any, activation: Any = "relu") -> Any:
        r"""The emergent scale that width n and depth L share, L/n^{1-s} for the one-parameter family.

        .. math:: \gamma = n^g L^d, \qquad ddH/H^3 \sim \gamma

        the relative change of the tangent kernel while outputs move by order one, constant factors left out, at
        criticality. g is derived by power counting, d from the universality class of the activation (1 if it is
        scale-invariant or its kernel vanishes).

        Parameters
        ----------
        n, L : number or SymPy expression

        Raises
        ------
        InputError
            For a family whose hidden kernels do not stay of order one, or rates for Adam.

        >>> family("meta", s="1/2").gamma(100, 5), family("mup").gamma(100, 5)
        (0.5, 5.0)
        """
        g, d = self._gamma_powers(activation)
        if self.symbol is None and all(isinstance(x, Real) for x in (n, L)):
            return positive("n", n) ** float(g) * positive("L", L) ** float(d)
        return symbolic("n", n) ** symbolic("gamma", g) * symbolic("L", L) ** symbolic("gamma", d)

    def match_depth(self, n: Any, new_n: Any, L: Any, activation: Any = "relu") -> Any:
        """The depth at width new_n with the gamma of depth L at width n: L (new_n/n)^{1-s} for family "meta".

        >>> family("ntk").match_depth(64, 128, 10), family("mup").match_depth(64, 128, 10)
        (20.0, 10.0)
        """
        g, d = self._gamma_powers(activation)
        if self.symbol is None and all(isinstance(x, Real) for x in (n, new_n, L)):
            return positive("L", L) * (positive("new_n", new_n) / positive("n", n)) ** float(-g / d)
        ratio = symbolic("new_n", new_n) / symbolic("n", n)
        return symbolic("L", L) * ratio ** symbolic("gamma", -g / d)

    def web(self, n: Any = None, L: Any = None, s: Any = None, activation: Any = "relu") -> xarray.Dataset:
        """gamma over widths and depths: the web of weakly coupled, effectively deep and strongly coupled networks.

        Parameters
        ----------
        n, L : arrays, optional
            Widths and depths, by default 2^4..2^14 and 1..2^10.
        s : array, optional
            Values of the family's symbol, by default 0, 1/2, 1; a family without symbol has none.

        Returns
        -------
        xarray.Dataset
            ``gamma``, dims ``s``, ``depth``, ``width``.
        """
        g, d = self._gamma_powers(activation)
        return web(self.name, find_activation(activation), Power.read(g), d, n, L, s, self.symbol)

    def _gamma_powers(self, activation: Any) -> tuple[Any, Any]:
        found = self.exponents(activation=activation)
        hidden = found["preactivation"][:-1]
        if any(power != 0 for power in hidden):
            raise InputError(
                f"preactivations of {self.name} go like n^({hidden[-1]}) with the width: how its observables go with "
                "depth is known where they stay of order one"
            )
        depth = depth_powers(activation)
        return found.gamma, max(depth["dNTK"], depth["ddNTK"])

    def with_depth(self, activation: Any = "relu") -> Family:
        """The family whose rates keep the tangent kernel of order one at any depth: times L^(p_perpendicular - 1).

        L^-1 for scale-invariant activations. Where the kernel vanishes with depth, rates also differ from layer to
        layer (:func:`rgflow.learning_rates`), and those of Adam are not known: InputError.

        >>> family("mup").with_depth("relu").depth_rate
        Fraction(-1, 1)
        """
        power = rate_power(activation)
        if self.optimizer == "adam" and power != -1:  # backward signals change with depth, which signs do not see
            raise InputError(
                f"rates for Adam with depth are known where signals keep their size from layer to layer, as with relu; "
                f"not with {activation!r}"
            )
        return replace(self, depth_rate=power)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("", "a", "b", "c", "std", "rate")]
        for kind, values in (("weights", self.weights), ("biases", self.biases)):
            for group, abc in values.items():
                first = self.first.get(group) if self.first and kind == "weights" else None
                c = str(abc.c) if first is None else f"{abc.c} (first step {first})"
                bias = kind == "biases"
                powers = (self.std_power(group, bias=bias), self.rate_power(group, bias=bias))
                rows.append((f"{group} {kind}", str(abc.a), str(abc.b), c, *(f"n^({power})" for power in powers)))
        notes = [f"initial hidden weights times n^({self.forget}) after the first step"] if self.forget else []
        notes += [f"rates times L^({self.depth_rate})"] if self.depth_rate else []
        return "\n".join([f"{self.name}, {self.optimizer}", *aligned(rows), *notes])


def _symbols(value: Any) -> set[Any]:
    return set(getattr(value, "free_symbols", ()))


def family(
    name: str | Family, *, s: Any = None, layers: int | None = None, optimizer: str = "sgd", homogeneity: int = 1
) -> Family:
    """A scaling family by its name.

    Parameters
    ----------
    name : str
        "ntk", "standard", "mup", "ip" (integrable), "ip-llr" (its large first step), "hybrid" (muP that forgets the
        initial hidden weights after the first step), "meta" (one-parameter family); or a Family, which is returned.
    s : number in [0, 1], or a SymPy symbol
        Of "meta": 0 is the neural-tangent end, 1 the maximal-update end.
    layers : int
        L, the number of weight layers; "ip-llr" needs it.
    optimizer : "sgd", "adam" or "adamw"
        The integrable families are for gradient descent.
    homogeneity : int
        p of a positively p-homogeneous activation, sigma(t z) = t^p sigma(z); "ip-llr" depends on it.

    Returns
    -------
    Family

    Raises
    ------
    UnknownName, InputError

    >>> family("mup").weights["input"]
    ABC(a=Fraction(-1, 2), b=Fraction(1, 2), c=Fraction(0, 1))
    >>> family("meta", s=1).effective.weights == family("mup").effective.weights
    True
    """
    if isinstance(name, Family):
        return name
    if not isinstance(name, str) or name not in PRESETS:
        raise UnknownName("scaling family", name, PRESETS)
    if optimizer not in (*OPTIMIZERS, "adamw"):
        raise UnknownName("optimizer", optimizer, (*OPTIMIZERS, "adamw"))
    return Family(name=name, layers=layers, **preset(name, s, layers, optimizer.removesuffix("w"), homogeneity))
