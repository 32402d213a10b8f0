"""States: what is taken, what is refused, and that an address brings everything back."""

import json
from contextlib import suppress

import pytest

import rgflow as rg
from rgflow.errors import FormulaError, InputError, RgflowError, UnknownName
from rgflow.explorer.answer import answer
from rgflow.explorer.fields import FIELDS, choices, kinds, numbers
from rgflow.explorer.state import LONGEST_QUERY, Refused, state_of, state_of_query


@pytest.mark.parametrize("name", list(kinds()))
def test_an_address_brings_back_every_kind(name):
    given = {"layer": name, "activation": "z*tanh(z) + erf(z)/7" if name != "reduced" else "tanh(z) + z/3"}
    given |= {field: 0.1 + FIELDS[field].least for field in numbers(kinds()[name]) if not FIELDS[field].whole}
    given["first_kernel"] = 0.123456789012345
    state = state_of(given)
    assert state_of_query("?" + state.query()) == state
    assert state_of(json.loads(json.dumps(state.as_dict()))) == state
    assert state.network().depth == state.depth == 32


def test_the_kinds_of_the_page_are_those_of_the_engine():
    from rgflow.network.layer import KINDS

    mine = {name for name in KINDS if KINDS[name].__module__.startswith("rgflow.")}
    assert {kind.__name__ for kind in kinds().values()} >= mine
    assert json.dumps(choices())


HOSTILE = [
    {"C_W": -1},
    {"C_W": float("nan")},
    {"C_W": float("inf")},
    {"C_W": 10**400},
    {"C_W": True},
    {"C_W": "1"},
    {"C_W": None},
    {"C_W": [1]},
    {"depth": 513},
    {"depth": 2.5},
    {"depth": 1},
    {"width": 10**6 + 1},
    {"width": 0},
    {"first_kernel": 0},
    {"skip": 0.5},
    {"layer": "no such"},
    {"layer": 3},
    {"layer": "Dense"},
    {"place": "before"},
    {"layer": "layernorm", "place": "beside"},
    {"__class__": 1},
    {"activation": ""},
    {"activation": "z" * 201},
    {"activation": 5},
    [],
    "tanh",
    None,
]


@pytest.mark.parametrize("given", HOSTILE, ids=lambda given: str(given)[:40])
def test_what_is_no_state_is_refused(given):
    with pytest.raises(Refused) as caught:
        state_of(given)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"activation": "tahn"}, (UnknownName, FormulaError)),
        ({"activation": "__import__('os').system('true')"}, FormulaError),
        ({"activation": "z.__class__"}, FormulaError),
        ({"C_b": 2.0}, InputError),
        ({"C_W": 0.0}, InputError),
        ({"layer": "reduced", "activation": "relu"}, InputError),
    ],
)
def test_what_has_no_network_says_why(given, error):
    with pytest.raises(error) as caught:
        state_of(given)
    assert not isinstance(caught.value, Refused)


def test_a_deep_formula_is_read_or_refused_by_the_parser():
    with suppress(RgflowError):
        state_of({"activation": "(" * 99 + "z" + ")" * 99})


@pytest.mark.parametrize(
    "query",
    ["?C_W=1&C_W=2", "?C_W=x", "?C_W", "?C_W=1e999", "?=1", "?<script>=1", "?depth=1e9", "?a=" + "b" * LONGEST_QUERY],
)
def test_hostile_addresses_are_refused(query):
    with pytest.raises(Refused):
        state_of_query(query)


@pytest.mark.parametrize(
    "given",
    [
        {"activation": "gelu", "C_W": 1.9, "C_b": 0.1, "width": 90},
        {"activation": "Abs(z) + z/3", "layer": "orthogonal", "C_W": 0.8, "width": 40},
        {"activation": "relu", "layer": "linear", "C_W": 0.9},
    ],
    ids=lambda given: given["activation"],
)
def test_totals_and_errors_are_those_of_the_engine(given):
    """One pass of the kernel and the panels' own arithmetic against rg.flow and rg.total."""
    state = state_of({**given, "depth": 14})
    found = answer(state)
    ds = rg.flow(state.network(), first_kernel=1.0, order=1)
    tot = rg.total(ds)
    assert found["first_order"] == "here"
    for letter in ("K", "Theta"):
        assert found[f"{letter}_total"] == pytest.approx(tot[letter].values, rel=1e-10)
        # rg.total adds the numerical error
        assert found[f"{letter}_error"] == pytest.approx(tot[f"{letter}_error"].values, rel=1e-6, abs=1e-9)
    unit = tot["fan_in"].values * ds["K"].values ** 2
    assert found["V"] == pytest.approx(tot["V"].values / unit, rel=1e-10)
    assert found["V_error"] == pytest.approx(tot["V_error"].values / unit, rel=1e-6, abs=1e-9)
    assert found["trusted"]["V"] == int(ds["trusted_layers"].sel(letter="V"))


def test_what_is_not_known_is_said():
    assert answer(state_of({"layer": "residual", "depth": 49}))["note"].startswith("the part 1/n of residual layers")
    assert answer(state_of({"layer": "residual", "depth": 8}))["first_order"] == "later"
    assert answer(state_of({"layer": "reduced"}))["first_order"] == "none"
    assert answer(state_of({"depth": 300}))["first_order"] == "later"
    assert answer(state_of({"activation": "exp", "C_W": 3}))["stopped"]
