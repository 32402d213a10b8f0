"""``rgflow variation``: the library's numbers as a table, growth in words, suggestions, errors."""

import pytest

import rgflow as rg
from rgflow.scaling import suggest_variation, variation


def rows(out):
    """Layer to cells."""
    lines = [line.split() for line in out.splitlines()]
    start = next(i for i, line in enumerate(lines) if line[:1] == ["layer"])
    names, found = lines[start][1:], {}
    for line in lines[start + 2 :]:
        if not line:
            break
        found[int(line[0])] = dict(zip(names, line[1:], strict=True))
    return found


def test_the_table_is_the_library_s(rgflow):
    done = rgflow("variation", "tanh", "--depth", "16", "--beta", "0.2", "--beta-V", "1/4", "--gamma0", "0.3")
    assert (done.code, done.err) == (0, "")
    ds = variation("tanh", 16, beta_W=0.2, beta_V=0.25, beta_a=0.2, beta_b=0.2, gamma0=0.3)
    table = rows(done.out)
    for l in (0, 8, 16):
        for name in ("p", "e", "chi"):
            assert float(table[l][name]) == pytest.approx(float(ds[name][l]), rel=6e-4)
    assert table[0]["q"] == "-"
    assert "polynomial: 5 l^(4/5)/4" in done.out
    assert "stretched exponential" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_beyond_floats(rgflow):
    done = rgflow("variation", "relu", "--depth", "4000")
    assert rows(done.out)[4000]["p"].startswith("1e+70")
    assert "exponential: (3/2)^l" in done.out


def test_suggestions(rgflow):
    done = rgflow("variation", "tanh", "--suggest", "variance", "--tolerance", "5")
    found = suggest_variation("tanh", 100, tolerance=5)
    assert f"l^-{found.beta:.4g}" in done.out
    assert float(rows(done.out)[0]["chi"]) <= 5
    narrow = rgflow("variation", "tanh", "--depth", "30", "--suggest", "width")
    assert "divided at blocks 3, 8, 15, 24" in " ".join(narrow.out.split())


def test_widths_latex_picture_and_file(rgflow, tmp_path):
    picture, file = tmp_path / "x.png", tmp_path / "x.nc"
    arguments = ("--widths", "2048:16,25,36,49,64,81", "--plot", str(picture), "--save", str(file))
    done = rgflow("variation", "tanh", *arguments)
    assert done.code == 0
    assert float(rows(done.out)[0]["chi"]) == 15.59
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert rg.load(file).attrs["kind"] == "variation"
    latex = rgflow("variation", "tanh", "--latex").out
    assert latex.startswith(r"\begin{aligned}")


def test_growth_that_is_not_known_does_not_hide_the_numbers(rgflow):
    done = rgflow("variation", "sin(z)", "--depth", "5")
    assert done.code == 0
    assert "not known" in done.out
    assert rgflow("variation", "relu(z)^(3/4)", "--depth", "5").out.startswith("relu(z)^(3/4), 5 blocks")


@pytest.mark.parametrize(
    "arguments",
    [
        ("thanh",),
        ("tanh", "--beta", "x"),
        ("tanh", "--beta", "symbolic"),
        ("tanh", "--beta", "-1"),
        ("tanh", "--widths", "8:200"),
        ("tanh", "--widths", "a"),
        ("tanh", "--suggest", "depth"),
        ("tanh", "--suggest", "width", "--beta", "1"),
        ("tanh", "--tolerance", "2"),
        ("tanh", "--suggest", "width", "--tolerance", "2"),
        ("relu", "--reduced"),
        ("tanh", "--plot", "x.txt"),
    ],
)
def test_errors_are_one_line(rgflow, arguments):
    done = rgflow("variation", *arguments)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said", "not_said"),
    [
        (("tanh", "--beta", "-1"), "--beta is '-1'", "--beta-W"),
        (("tanh", "--beta-V", "-1"), "--beta-V is '-1'", "beta_V"),
        (("relu", "--reduced"), "leave --reduced out", "reduced=False"),
        (("tanh", "--depth", "3000", "--suggest", "width"), "--suggest variance", "how="),
        (("tanh", "--suggest", "depth"), "--suggest is 'depth'", "how is"),
        (("tanh", "--suggest", "width", "--tolerance", "2"), "--tolerance is 2.0", "how="),
        (("tanh", "--C-W", "-1"), "--C-W is -1.0", "C_W"),
        (("tanh", "--p0", "0"), "--p0 is 0.0", " p0"),
        (("tanh", "--depth", "1000000000"), "--depth 1000000000 takes", " depth "),
    ],
)
def test_errors_name_options(rgflow, arguments, said, not_said):
    done = rgflow("variation", *arguments)
    assert done.code == 1
    assert said in done.err
    assert not_said not in done.err


def test_thirds(rgflow):
    done = rgflow("variation", "tanh", "--depth", "3", "--beta-V", "1/3")
    assert "333333" not in done.out
    fed = rgflow("variation", "gaussian", "--depth", "3", "--beta-V", "1/3", "--C-a", "0")
    assert "l^(4/9)" in fed.out
    assert "0.4444" not in fed.out  # powers stay exact beside amplitudes that are not
