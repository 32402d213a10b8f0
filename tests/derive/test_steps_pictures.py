"""Diagrams as pictures: well-formed, the same text every time, and nothing lies on anything else."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import combinations
from math import hypot
from pathlib import Path

import pytest

import rgflow as rg

SVG = "{http://www.w3.org/2000/svg}"


class Picture:
    """What a reader sees, read from the file: discs, brackets in them, blobs, legs."""

    def __init__(self, text):
        self.root = ET.fromstring(text)
        self.box = [float(x) for x in self.root.get("viewBox").split()]
        self.discs = [self.numbers(e, "cx", "cy", "rx", "ry") for e in self.root.iter(f"{SVG}ellipse")]
        self.blobs = [self.numbers(e, "cx", "cy", "r") for e in self.root.iter(f"{SVG}circle")]
        self.pills = [self.numbers(e, "x", "y", "width", "height") for e in self.root.iter(f"{SVG}rect")]
        self.legs = [self.curve(e.get("d")) for e in self.root.iter(f"{SVG}path") if e.get("stroke") != "#ffffff"]
        self.labels = ["".join(e.itertext()) for e in self.root.iter(f"{SVG}text")]
        tags = [e for e in self.root.iter(f"{SVG}text") if e.get("paint-order")]
        self.tags = [(*self.numbers(e, "x", "y"), len(e.text)) for e in tags]

    @staticmethod
    def numbers(element, *names):
        return [float(element.get(name)) for name in names]

    @staticmethod
    def curve(path):
        (x0, y0), (x1, y1), (x2, y2) = (
            map(float, p.split(",")) for p in path.replace("M", "").replace("Q", "").split()
        )
        return [
            ((1 - t) ** 2 * x0 + 2 * t * (1 - t) * x1 + t**2 * x2, (1 - t) ** 2 * y0 + 2 * t * (1 - t) * y1 + t**2 * y2)
            for t in (i / 40 for i in range(41))
        ]

    def faults(self):
        """Every pair of things that touch and should not, or that leave the page."""
        x, y, w, h = self.box
        found = [
            ("outside", at) for leg in self.legs for at in leg if not (x <= at[0] <= x + w and y <= at[1] <= y + h)
        ]
        for cx, cy, rx, ry in [*self.discs, *((bx, by, r, r) for bx, by, r in self.blobs)]:
            if cx - rx < x or cx + rx > x + w or cy - ry < y or cy + ry > y + h:
                found.append(("outside", (cx, cy)))
        for (ax, ay, ar), (bx, by, br) in combinations(self.blobs, 2):
            if hypot(ax - bx, ay - by) < ar + br + 1:
                found.append(("blobs", (ax, ay), (bx, by)))
        for bx, by, r in self.blobs:
            found += [
                ("blob on disc", (bx, by))
                for cx, cy, rx, ry in self.discs
                if hypot((bx - cx) / (rx + r), (by - cy) / (ry + r)) < 1
            ]
        for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(self.discs, 2):
            if hypot((ax - bx) / (aw + bw), (ay - by) / (ah + bh)) < 1:
                found.append(("discs", (ax, ay), (bx, by)))
        for px, py, pw, ph in self.pills:
            held = any(
                hypot((px + dx - cx) / rx, (py + dy - cy) / ry) < 1
                for cx, cy, rx, ry in self.discs
                if abs(px + pw / 2 - cx) < 0.2 and abs(py + ph / 2 - cy) < ry
                for dx, dy in ((0, ph / 2), (pw, ph / 2))
            )
            if not held:
                found.append(("bracket leaves its disc", (px, py)))
        for leg in self.legs:
            for px, py, pw, ph in self.pills:
                inside = [at for at in leg[:-6] if px < at[0] < px + pw and py < at[1] < py + ph]
                found += [("leg through a bracket", at) for at in inside[:1]]
        for leg in self.legs:
            for bx, by, r in self.blobs:
                if hypot(leg[0][0] - bx, leg[0][1] - by) > r and any(hypot(a - bx, b - by) < r for a, b in leg):
                    found.append(("leg through a blob", (bx, by)))
        for tx, ty, letters in self.tags:  # a letter is some 5.5 wide and 8 high
            words = [(tx + 5.5 * letters * (i / 8 - 0.5), ty - 4) for i in range(9)]
            if words[0][0] < x or words[-1][0] > x + w:
                found.append(("outside", words[0]))
            found += [
                ("label on a blob", (tx, ty)) for bx, by, r in self.blobs for a, b in words if hypot(a - bx, b - by) < r
            ]
            for px, py, pw, ph in self.pills:
                if any(px < a < px + pw and py < b < py + ph for a, b in words):
                    found.append(("label on a bracket", (tx, ty)))
        for (ax, ay, an), (bx, by, bn) in combinations(self.tags, 2):
            if abs(ax - bx) < 2.75 * (an + bn) and abs(ay - by) < 8:
                found.append(("labels", (ax, ay), (bx, by)))
        return found


def drawn(name, samples="many"):
    steps = rg.derive(name, samples=samples).steps
    return {each.name: each for h in steps.hypergraphs for each in (h, *h.diagrams)}


def resolved(name):
    steps = rg.derive(name, samples="many").steps
    return [each for diagram in steps.diagrams for each in diagram.contractions if each.resolved]


QUICK = ["V", "K_1", "F", "A", "B", "V_1", "V6", "K_2", "B_1"]
LARGE = ["K_3", "V_2", "V6_1", "1 2|3 4|5 6|7 8"]


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_nothing_overlaps(name):
    for number, each in drawn(name).items():
        picture = Picture(each.svg())
        assert picture.faults() == [], number
        assert len(picture.blobs) == len(each.edges)
        assert len(picture.legs) == sum(len(edge.legs) for edge in each.edges)
        assert picture.root.find(f"{SVG}title").text.split()[-1] == number


@pytest.mark.parametrize(
    "name", ["F", "A", "B", "R", "Theta_1", *(pytest.param(n, marks=pytest.mark.slow) for n in ("F_1", "A_1", "R_1"))]
)
def test_labels_of_legs_overlap_nothing(name):
    found = resolved(name)
    assert found
    for each in found:
        picture = Picture(each.svg())
        assert picture.faults() == [], each.name
        assert len(picture.tags) == len(picture.legs)


def test_own_parts_have_pictures():
    steps = rg.derive("K_1", samples="many", layer=rg.Residual(), closure="book").steps
    found = [each for diagram in steps.diagrams for each in (diagram, *diagram.contractions)]
    assert all(Picture(each.svg()).faults() == [] for each in found)
    assert any("⟨o12⟩" in Picture(each.svg()).labels for each in found)


def test_labels_of_legs():
    assert [Picture(each.svg()).labels[-3:-1] for each in resolved("F")] == [["2e ∂", "4e ∂"]]
    labels = {each.name: Picture(each.svg()).labels for each in resolved("A")}
    assert labels["2a.1"][-3:] == ["1e 2e", "3f 4f", "r"]
    assert labels["2a.2"][-3:] == ["1e 2e", "∂∂", "r"]


def test_labels():
    pictures = {number: Picture(each.svg()).labels for number, each in drawn("V_1").items()}
    assert pictures["1a"] == ["⟨g12g34⟩", "κ1{1}", "r"]
    assert pictures["2d"] == ["⟨g12⟩", "⟨g34⟩", "κ2", "−½ r"]
    assert pictures["6"] == ["c(g12)", "c(g34)", "κ2", "κ2", "½ r²"]


def test_the_same_text_under_another_hash_seed(tmp_path):
    code = "import rgflow as rg; print(''.join(rg.derive('V_1', samples='many').steps.pictures().values()), end='')"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "4", "PYTHONIOENCODING": "utf-8", "PATH": "", "HOME": str(tmp_path)},
        cwd=Path(rg.__file__).parents[1],
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    assert found == "".join(rg.derive("V_1", samples="many").steps.pictures().values())


@pytest.mark.parametrize("kind", [rg.Dense(), rg.Linear(), rg.Orthogonal()])
@pytest.mark.parametrize("name", ["K", "Theta", "V"])
def test_what_the_law_adds_has_pictures(kind, name):
    for diagram in rg.derive(name, samples="many", layer=kind).steps.diagrams:
        picture = Picture(diagram.svg())
        assert picture.labels
        assert picture.faults() == []


def test_names_of_files():
    steps = rg.derive("1 2|3 4e|5 6e").steps
    assert {name.split("-")[0] for name in steps.pictures()} == {"G"}
    assert all(name.endswith(".svg") and not set(name) & set("/\\|[] ") for name in steps.pictures())


def test_control_an_overlap_is_seen():
    text = drawn("V")["2a"].svg()
    blob = next(ET.fromstring(text).iter(f"{SVG}circle")).get("cx")
    disc = next(ET.fromstring(text).iter(f"{SVG}ellipse")).get("cx")
    assert Picture(text).faults() == []
    assert Picture(text.replace(f'<circle cx="{blob}"', f'<circle cx="{disc}"')).faults() != []


def test_pictures_of_the_page_are_those_that_are_drawn():
    """``docs/steps.md`` shows what the program draws; UPDATE=1 in the environment draws them again."""
    folder = Path(__file__).parents[2] / "docs" / "diagrams"
    page = (folder.parent / "steps.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\(diagrams/([^)]+)\)", page))
    known = {}
    for tensor in ("V", "V_1", "Theta_1"):
        known |= rg.derive(tensor, samples="many").steps.pictures()
    for name in named if os.environ.get("UPDATE") else ():
        (folder / name).write_text(known[name], encoding="utf-8")
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == {
        name: known[name] for name in named
    }
