"""The list of results: every file parses, every row is whole, and README.md counts what is there."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "derivations" / "list"
KINDS = ("recursion", "closed form", "exponent", "table row", "definition", "measurement")
FIELDS = {"id", "kind", "place", "equation", "says"}
PAPERS = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.toml"))}


def faults(paper: dict) -> list[str]:
    """What is wrong with the rows of one paper."""
    rows = paper["row"]
    found = [f"{row.get('id')}: fields {sorted(row)}" for row in rows if set(row) - {"why"} != FIELDS]
    whole = [row for row in rows if set(row) - {"why"} == FIELDS]
    found += [f"{row['id']}: kind {row['kind']}" for row in whole if row["kind"] not in KINDS]
    found += [f"{row['id']}: name" for row in whole if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", row["id"])]
    found += [f"{row['id']}: {key} is empty or broken" for row in whole for key in set(row) if not one_line(row[key])]
    found += [f"{row['id']}: brackets" for row in whole if not balanced(row["equation"])]
    found += [f"{name}: twice" for name, times in Counter(row["id"] for row in whole).items() if times > 1]
    said = Counter(row["equation"] for row in whole)
    return found + [f"{row['id']}: equation twice" for row in whole if said[row["equation"]] > 1]


def one_line(text: object) -> bool:
    return isinstance(text, str) and text == text.strip() != "" and "\n" not in text


def balanced(latex: str) -> bool:
    """Braces close, averages close, and every ``\\left`` has its ``\\right``."""
    pairs = (("{", "}"), (r"\langle", r"\rangle"), (r"\left(?![a-z])", r"\right(?![a-z])"))
    plain = latex.replace(r"\{", " ").replace(r"\}", " ")
    return all(len(re.findall(a, plain)) == len(re.findall(b, plain)) for a, b in map(escaped, pairs))


def escaped(pair: tuple[str, str]) -> tuple[str, str]:
    return pair[0].replace("\\l", r"\\l").replace("{", r"\{"), pair[1].replace("\\r", r"\\r").replace("}", r"\}")


def counts(paper: dict) -> list[int]:
    kinds = Counter(row["kind"] for row in paper["row"])
    return [*(kinds[kind] for kind in KINDS), len(paper["row"])]


@pytest.mark.parametrize("name", PAPERS)
def test_rows(name):
    paper = PAPERS[name]
    assert set(paper) == {"paper", "arxiv", "row"}
    assert one_line(paper["paper"])
    assert re.fullmatch(r"\d{4}\.\d{5}(, \d{4}\.\d{5})*", paper["arxiv"])
    assert faults(paper) == []


def test_readme_counts():
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert table[0] == ["paper", *KINDS, "rows"]
    stated = {name: list(map(int, cells)) for name, *cells in table[1:]}
    there = {name: counts(paper) for name, paper in PAPERS.items()}
    assert stated == there | {"all": [sum(column) for column in zip(*there.values(), strict=True)]}


GOOD = {"id": "kernel", "kind": "recursion", "place": "(4.118)?", "equation": r"K'=\langle z\rangle", "says": "kernel"}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "theorem"},
        {"id": "four point"},
        {"says": ""},
        {"place": "chapter 4\n"},
        {"equation": r"\frac{1}{2"},
        {"equation": r"\left(1"},
        {"equation": r"\langle z"},
        {"page": "7"},
    ],
)
def test_control_a_broken_row_is_seen(change):
    assert faults({"row": [GOOD]}) == []
    assert len(faults({"row": [GOOD | change]})) == 1
    assert len(faults({"row": [GOOD, GOOD | {"equation": "K"}]})) == 1
    assert len(faults({"row": [GOOD, GOOD | {"id": "metric"}]})) == 2
