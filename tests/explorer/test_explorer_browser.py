"""The page as people meet it, in a headless Chromium: clicks, keys, a narrow window, links, and a quiet console."""

import pytest
from explorer.explorer_page import Page, chromium, serving, wander


@pytest.fixture(scope="module")
def where():
    with serving() as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def opened(browser, where):
    """Opens pages, and in the end asks whether their consoles were quiet."""
    pages = []

    def open_(query="", **how):
        pages.append(Page(browser, where, query, **how))
        return pages[-1]

    yield open_
    assert [line for page in pages for line in page.close()] == []


def colours(picture):
    """How many different colours a picture has."""
    import io

    import numpy as np
    from matplotlib.image import imread

    pixels = (imread(io.BytesIO(picture))[..., :3] * 255).astype(np.uint32)
    return len(np.unique(pixels @ np.array([65536, 256, 1])))


def test_it_shows_something_at_once(opened):
    page = opened("?activation=relu&C_W=2")
    assert page.text("#title").startswith("relu, 32 layers")
    for panel in ("K", "Theta", "chi"):
        assert page.line(panel).startswith("M")
        assert colours(page.page.locator(f"#panel-{panel}").screenshot()) > 20
    page.until("() => document.querySelector('#panel-V .inside path[d^=M]') !== null")
    page.until("() => document.querySelectorAll('#equations math').length >= 5")
    page.until("() => document.querySelector('#panel-phase svg').textContent.includes('chaotic')")
    assert colours(page.page.locator("#panel-phase").screenshot()) > 40
    assert "njit" in page.text("#source")


def test_every_panel_moves(opened):
    page = opened("?activation=relu&C_W=2&depth=12")
    page.until("() => document.querySelector('#panel-V .inside path[d^=M]') !== null")
    before = {panel: page.line(panel) for panel in ("K", "Theta", "chi")}
    marker = "() => document.querySelector('#panel-phase svg').getAttribute('aria-label')"
    page.until("() => document.querySelector('#panel-phase svg').hasAttribute('aria-label')")
    place = page.page.evaluate(marker)
    page.slide("C_W", 150)
    page.settled()
    assert all(page.line(panel) != before[panel] for panel in before)
    assert page.page.evaluate(marker) != place


def test_the_keyboard_reaches_everything(opened):
    page = opened("?activation=relu&C_W=2&depth=12")
    page.page.focus("#C_W")
    value = page.page.input_value("#C_W-number")
    page.page.keyboard.press("ArrowRight")
    page.settled()
    assert page.page.input_value("#C_W-number") != value
    page.page.focus("#panel-K svg")
    for _ in range(3):
        page.page.keyboard.press("ArrowRight")
    for panel in ("K", "Theta"):
        assert "ℓ = 3:" in page.page.evaluate(f"() => document.querySelector('#panel-{panel} .readout').textContent")
    page.until("() => document.querySelector('#panel-phase svg').hasAttribute('aria-label')")
    page.page.focus("#panel-phase svg")
    value = page.page.input_value("#C_b-number")
    page.page.keyboard.press("ArrowUp")
    page.settled()
    assert float(page.page.input_value("#C_b-number")) > float(value)
    unnamed = page.page.evaluate(
        "() => [...document.querySelectorAll('input, select, button, svg[tabindex]')]"
        ".filter((one) => !one.closest('[hidden]') && !one.labels?.length)"
        ".filter((one) => !(one.getAttribute('aria-label') || one.textContent.trim())).map((one) => one.id)"
    )
    assert unnamed == []


def test_a_link_brings_everything_back(opened):
    page = opened("?activation=relu&C_W=2")
    page.choose("layer", "layernorm")
    page.choose("place", "after")
    for name, value in (("skip", 200), ("epsilon", 60), ("width", 300), ("depth", 100), ("lambda_b", 250)):
        page.slide(name, value)
    page.settled()
    page.until("() => location.search.includes('layernorm') && location.search.includes('lambda_b=2.5')")
    other = opened(page.page.evaluate("() => location.search"))
    assert other.text("#title") == page.text("#title")
    # the line of infinite width is drawn last; that with the part 1/n may still be on its way to one of them
    assert other.line("K").split("|")[-1] == page.line("K").split("|")[-1]
    for name in ("skip", "epsilon", "width", "depth", "lambda_b"):
        assert other.page.input_value(f"#{name}-number") == page.page.input_value(f"#{name}-number")
    assert other.page.input_value("#place") == "after"


@pytest.mark.parametrize(
    "query", ["?C_W=-3", "?foo=1", "?activation=__import__('os')", "?layer=<script>alert(1)</script>"]
)
def test_a_hostile_link_is_refused_with_a_message(opened, query):
    page = opened(query)
    page.until("() => !document.getElementById('banner').hidden")
    assert "This address was refused" in page.text("#banner")
    assert page.text("#title").startswith("tanh")
    assert page.page.locator("#banner script").count() == 0


def test_a_wrong_formula_is_told_in_place(opened):
    page = opened("?activation=relu&C_W=2&depth=6")
    page.choose("activation", "")
    page.page.fill("#formula", "tanh(z")
    page.until("() => !document.getElementById('formula-problem').hidden")
    assert "tanh(z" in page.text("#formula-problem")
    page.page.fill("#formula", "tanh(z) + z/5")
    page.until("() => document.getElementById('title').textContent.startsWith('tanh(z) + z/5')")
    assert page.page.is_hidden("#formula-problem")
    page.page.fill("#C_W-number", "-1")
    page.page.keyboard.press("Enter")
    assert "between" in page.text("#numbers .problem >> visible=true")


def test_a_narrow_window_is_one_column(opened):
    page = opened("?activation=relu&C_W=2", width=400, height=800)
    assert page.page.evaluate("() => document.scrollingElement.scrollWidth") <= 400
    left = page.page.evaluate(
        "() => [...document.querySelectorAll('figure')].map((f) => Math.round(f.getBoundingClientRect().left))"
    )
    assert len(set(left)) == 1


def test_it_is_dark_in_the_dark(opened):
    page = opened("?activation=relu&C_W=2", scheme="dark")
    shade = page.page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
    assert max(int(part) for part in shade[4:-1].split(",")) < 60


def test_sampling_draws_points_and_can_be_cancelled(opened):
    page = opened("?activation=relu&C_W=2&depth=6&width=64")
    page.page.fill("#networks-number", "20000")
    page.page.keyboard.press("Enter")
    page.page.click("#sample")
    assert page.page.is_visible("#progress")
    page.page.click("#cancel")
    page.until("() => document.getElementById('sample-says').textContent === 'cancelled'")
    page.page.fill("#networks-number", "1000")
    page.page.keyboard.press("Enter")
    page.page.click("#sample")
    page.until("() => document.querySelectorAll('#panel-K circle:not([display])').length > 3")
    assert "1000 networks" in page.text("#sample-says")
    page.slide("C_W", 100)
    page.settled()
    assert page.page.evaluate("() => document.querySelectorAll('#panel-K circle:not([display])').length") == 0


def test_tuning_goes_to_the_critical_point(opened):
    page = opened("?activation=relu&C_W=1.3&C_b=0.2&depth=6")
    page.page.click("#tune")
    page.until("() => document.getElementById('C_W-number').value === '2'")
    assert page.page.input_value("#C_b-number") == "0"
    assert "scale-invariant" in page.text("#tune-says")


def test_what_is_shown_can_be_kept(opened, tmp_path):
    page = opened("?activation=relu&C_W=2&depth=6")
    for kind, start in (("py", b'"""'), ("nc", b"\x89HDF")):
        with page.page.expect_download() as download:
            page.page.click(f"[data-kind={kind}]")
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        assert path.read_bytes().startswith(start)


def test_random_interactions(opened):
    page = opened("?activation=relu&C_W=2&depth=12")
    wander(page, 60, seed=1)
    assert page.line("chi")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_random_interactions(opened, seed):
    page = opened()
    wander(page, 250, seed=seed)
    assert page.text("#title")


def test_control_a_noisy_console_is_seen(browser, where):
    """Negative control: an error in the page is remembered, and would fail the tests above."""
    page = Page(browser, where)
    page.page.evaluate("() => { setTimeout(() => { throw new Error('on purpose'); }, 0); }")
    page.page.evaluate("() => console.warn('also this')")
    page.page.wait_for_timeout(100)
    assert len(page.close()) == 2
