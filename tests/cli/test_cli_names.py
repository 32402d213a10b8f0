"""Names that are misspelt or half typed: suggestions, wrong usage in one line, and what TAB offers."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["dervie", "V"], 2, "unknown command 'dervie'; did you mean 'derive'? (rgflow --help)"),
        (["flow", "tanh", "--dpth", "3"], 2, "unknown option '--dpth'; did you mean '--depth'"),
        (["flow", "tanh", "--C_W", "2"], 2, "unknown option '--C_W'; did you mean '--C-W'"),
        (["flow", "tanh", "--frobnicate"], 2, "unknown option '--frobnicate' (rgflow flow --help)"),
        (["derive"], 2, "missing argument 'name' (rgflow derive --help)"),
        (["derive", "V", "--samples", "mny"], 2, "'mny' is not one of 'one', 'many' (rgflow derive --help)"),
        (["derive", "V", "--latex", "--json"], 2, "give one of --latex, --sympy and --json (rgflow derive --help)"),
        (["flow", "tahn"], 1, "unknown activation 'tahn'; did you mean 'tanh'?"),
        (["critical", "Gelu"], 1, "unknown activation 'Gelu'; did you mean 'gelu'?"),
        (["derive", "ntk"], 1, "unknown tensor 'ntk'; did you mean 'Theta'?"),
        (["flow", "tanh", "--tensors", "K,Tehta"], 1, "unknown tensor 'Tehta'; did you mean 'Theta'?"),
        (["derive", "V", "--layer", "residul"], 1, "unknown kind of layer 'residul'; did you mean 'residual'?"),
        (["bench", "--only", "gird"], 1, "did you mean 'grid'?"),
        (["cite", "LayrNorm"], 1, "unknown name to cite 'LayrNorm'; did you mean 'LayerNorm'"),
    ],
)
def test_misspelt_names_bring_the_nearest(rgflow, arguments, code, said):
    """In one line on standard error, 2 for wrong usage and 1 for a name of the domain."""
    done = rgflow(*arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("error: ")
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.fixture
def offered(rgflow, monkeypatch):
    """What the program answers a shell, through the variables that its completion script sets."""

    def ask(words: str, shell: str = "bash") -> list[str]:
        monkeypatch.setenv("_RGFLOW_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", words)
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        done = rgflow()
        assert (done.code, done.err) == (0, "")
        return [line for line in done.out.splitlines() if line]

    return ask


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("rgflow der", ["derive"]),
        ("rgflow flow gel", ["gelu", "gelu_tanh"]),
        ("rgflow solve Th", ["Theta", "Theta_1"]),
        ("rgflow flow tanh --tensors K,V6", ["K,V6", "K,V6_1"]),
        ("rgflow derive V --layer resid", ["residual"]),
        ("rgflow derive V --samples ", ["one", "many"]),
        ("rgflow flow tanh --kinks al", ["almost_everywhere"]),
        ("rgflow bench --only grid,le", ["grid,letters"]),
        ("rgflow flow tanh --C-", ["--C-W", "--C-b"]),
        ("rgflow variation tanh --suggest w", ["width"]),
        ("rgflow cite mup", ["mup"]),
        ("rgflow flow nosuch", []),
    ],
)
def test_bash_completes(offered, words, expected):
    assert offered(words) == expected


def test_other_shells_complete_with_meanings(offered):
    (fish,) = offered("rgflow flow soft", "fish")
    assert fish == "softplus\tlog(1 + exp(z))"
    assert any('"softplus":"log(1 + exp(z))"' in line for line in offered("rgflow flow soft", "zsh"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed(rgflow, monkeypatch, tmp_path, shell):
    """In a home that has nothing yet; the file is the script that --show-completion prints."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    shown = rgflow("--show-completion", shell)
    assert f"_RGFLOW_COMPLETE=complete_{shell}" in shown.out
    assert rgflow("--install-completion", shell).code == 0
    written = "\n".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert f"_RGFLOW_COMPLETE=complete_{shell}" in written
