"""``FamilyExponents``: all derived exponents of a family, as a value that prints and becomes a Dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.activations import Activation
from rgflow.errors import InputError, UnknownName
from rgflow.labelled import dataset
from rgflow.scaling.families.aligned import aligned
from rgflow.scaling.families.initial import OBSERVABLES, at_start, shares
from rgflow.scaling.families.powers import NOTHING, Power, between_zero_and_one
from rgflow.scaling.families.regimes import FEATURES, FROZEN, LAZY, MARGINAL, UNSTABLE, regimes
from rgflow.scaling.families.sizes import Sizes
from rgflow.scaling.families.training import Plan, Signals, into_moved, own_updates, trained

if TYPE_CHECKING:
    import xarray

NO_TANGENT = ("NTK", "NTK spread", "dNTK output", "dNTK", "ddNTK")  # observables that gradient descent alone has
COLUMNS = {
    "preactivation": "z at the start",
    "gradient": "df/dz of one neuron at the start",
    "share": "contribution of the layer to the mean tangent kernel",
    "own": "what the first step of this layer alone puts into its z, at the other signals of the start",
    "own_relative": "own, relative to z at the start",
    "own_moved": "own, where the layers below have moved by order one",
    "change": "z after many steps, less z at the start",
}


@dataclass(frozen=True)
class FamilyExponents:
    """Powers of the width n in a network of L layers whose parameters scale as a family says.

    An exponent is a Fraction, a SymPy expression in the family's s, or None for what is zero at every width.

    Attributes
    ----------
    name : str
    activation : Activation
    symbol : SymPy symbol or None
    plan : Plan
        Powers of n of every layer's hyperparameters.
    powers : mapping
        Of the observables at the start, as :class:`Power`.
    history : tuple of Signals
        After 0, 1, 2, ... steps until nothing changes any more.
    """

    name: str
    activation: Activation
    symbol: Any
    plan: Plan
    powers: dict[str, Power]
    history: tuple[Signals, ...]
    _columns: dict[str, tuple[Power, ...]]

    @property
    def layers(self) -> int:
        """L, the number of weight layers."""
        return len(self.plan.layers)

    def __getitem__(self, name: str) -> Any:
        """The exponent of an observable, or a tuple over layers 1..L of a column."""
        if name in self.powers:
            return self.powers[name].value(self.symbol)
        if name in self._columns:
            return tuple(power.value(self.symbol) for power in self._columns[name])
        raise UnknownName("observable", name, (*self.powers, *self._columns))

    def __iter__(self) -> Iterator[str]:
        return iter((*self.powers, *self._columns))

    def step(self, number: int, what: str = "change") -> tuple[Any, ...]:
        """Exponents over layers after a number of steps: "size", "change", "own" or "gradient"."""
        if what not in ("size", "change", "own", "gradient"):
            raise UnknownName("signal", what, ("size", "change", "own", "gradient"))
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise InputError(f"step is {number!r}; give a number of steps, 0 or more")
        powers = getattr(self.history[min(number, len(self.history) - 1)], what)
        return tuple(power.value(self.symbol) for power in powers)

    # Regimes

    @property
    def regimes(self) -> tuple[tuple[str, str], ...]:
        """(where, regime), as (("0 <= s < 1", "lazy"), ("s = 1", "learns features"))."""
        return tuple((part.where(str(self.symbol or "s")), part.regime) for part in regimes(self.history))

    @property
    def regime(self) -> str:
        """The regime; where it depends on s, "lazy for 0 <= s < 1, learns features for s = 1"."""
        parts = self.regimes
        return parts[0][1] if len(parts) == 1 else ", ".join(f"{regime} for {where}" for where, regime in parts)

    @property
    def stable(self) -> bool:
        """Whether nothing grows with n, for any s."""
        return all(regime != UNSTABLE for _, regime in self.regimes)

    @property
    def learns_features(self) -> bool:
        """Whether hidden signals change by order one, for every s."""
        return self.regime == FEATURES

    @property
    def lazy(self) -> bool:
        """Whether the output moves and no hidden layer does, for every s."""
        return self.regime == LAZY

    @property
    def marginal(self) -> bool:
        """Whether signals change by as much as they are and yet vanish, for every s."""
        return self.regime == MARGINAL

    @property
    def frozen(self) -> bool:
        """Whether nothing moves at infinite width, for every s."""
        return self.regime == FROZEN

    # Change of representations

    @property
    def gamma_power(self) -> Power:
        """Of the relative change of the tangent kernel while the output moves by order one."""
        self._needs_tangent()
        theta = self.powers["NTK"]
        return (self.powers["dNTK"] - theta * 2) | (self.powers["ddNTK"] - theta * 3)

    @property
    def gamma(self) -> Any:
        """That power of n as a Fraction or an expression in s: dH/Theta^2 or ddH/Theta^3, whichever is larger."""
        return self.gamma_power.value(self.symbol)

    def _needs_tangent(self) -> None:
        if self.plan.adam:
            raise InputError(f"{self.name} has rates for Adam, which has no tangent kernel; ask its changes of signals")

    # Tables

    def table(self) -> tuple[tuple[str, ...], ...]:
        """Rows of text: layers down, columns across, with a header."""
        header = ("layer", *self._columns)
        rows = [(str(l + 1), *(str(self._columns[name][l]) for name in self._columns)) for l in range(self.layers)]
        return (header, *rows)

    def __str__(self) -> str:
        head = f"{self.name}, {self.activation.name}, {self.layers} weight layers: {self.regime}"
        start = [f"  {name:<12} n^({power})   {OBSERVABLES[name]}" for name, power in self.powers.items()]
        lines = [f"  {line}" for line in aligned(self.table())]
        return "\n".join([head, "at the start", *start, "powers of n by layer", *lines])

    def latex(self) -> str:
        """The table by layer as a LaTeX tabular (booktabs)."""
        rows = self.table()
        head = " & ".join(name.replace("_", " ") for name in rows[0])
        body = [" & ".join([row[0], *(_tex(cell) for cell in row[1:])]) for row in rows[1:]]
        lines = [f"\\begin{{tabular}}{{{'l' * len(rows[0])}}}", "\\toprule", head + r" \\", "\\midrule"]
        return "\n".join([*lines, *(line + r" \\" for line in body), "\\bottomrule", "\\end{tabular}"])

    def _repr_html_(self) -> str:
        cells = ["".join(f"<td>{cell}</td>" for cell in row) for row in self.table()]
        return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"

    def to_dataset(self, s: Any = None) -> xarray.Dataset:
        """All exponents as numbers.

        Parameters
        ----------
        s : array, optional
            Values of the family's symbol, by default 0, 0.05, ..., 1; a family without symbol has none.

        Returns
        -------
        xarray.Dataset
            Dims ``s`` (absent without a symbol), ``observable``, ``layer`` (1..L), ``step``; -inf for what is zero.
            Dimensionless: powers of n.
        """
        values = between_zero_and_one(s, self.symbol, tuple(Fraction(i, 20) for i in range(21)))
        lead = () if self.symbol is None else ("s",)

        def numbers(powers: Any) -> Any:
            found = np.array([[-np.inf if p.zero else float(p.at(v)) for p in powers] for v in values])
            return found if lead else found[0]

        names = list(self.powers)
        data: dict[str, Any] = {"exponent": ((*lead, "observable"), numbers([self.powers[name] for name in names]))}
        for name, powers in self._columns.items():
            data[name] = ((*lead, "layer"), numbers(powers), {"long_name": COLUMNS[name]})
        for what in ("size", "change", "own", "gradient"):
            by_step = np.stack([numbers(getattr(signals, what)) for signals in self.history])
            data[f"{what}_after"] = (("step", *lead, "layer"), by_step)
        if not self.plan.adam:
            gamma = numbers([self.gamma_power])
            data["gamma"] = (lead, gamma[..., 0])
        coords: dict[str, Any] = {
            "observable": names,
            "layer": np.arange(1, self.layers + 1),
            "step": np.arange(len(self.history)),
        }
        if lead:
            coords["s"] = np.array([float(v) for v in values])
        attrs = {
            "kind": "scaling family",
            "family": self.name,
            "activation": self.activation.formula_text,
            "regime": self.regime,
            "optimizer": "adam" if self.plan.adam else "sgd",
            "units": "power of the width n",
        }
        return dataset(data, coords, attrs)


def exponents(name: str, plan: Plan, activation: Activation, symbol: Any = None) -> FamilyExponents:
    """All exponents of a plan."""
    sizes = Sizes(activation)
    history = trained(plan, sizes)
    start = at_start(plan.layers, sizes)
    share, own = shares(plan.layers, sizes), own_updates(plan, sizes)
    if plan.adam:
        start = {key: power for key, power in start.items() if key not in NO_TANGENT}
        share = [NOTHING] * len(plan.layers)
    columns = {
        "preactivation": history[0].size,
        "gradient": history[0].gradient,
        "share": tuple(share),
        "own": own,
        "own_relative": tuple(one - z for one, z in zip(own, history[0].size, strict=True)),
        "own_moved": into_moved(plan, sizes),
        "change": history[-1].change,
    }
    if plan.adam:
        del columns["share"]
    return FamilyExponents(name, activation, symbol, plan, start, history, columns)


def _tex(cell: str) -> str:
    return f"${cell}$" if cell != "-oo" else "$-\\infty$"
