"""The page in a headless Chromium, and random interactions with it: used by the browser tests."""

import os
import random
import shutil
import socket
import threading
import time
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
IGNORED = "Failed to load resource: net::ERR_CONNECTION"  # a server that was stopped on purpose


def needs(what):
    """Skip where a browser is missing, unless this is CI, where it must be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI is set: the browser tests must run there")
    pytest.skip(f"{what} is missing")


@contextmanager
def serving():
    """An explorer that answers, without warming up; its address."""
    try:
        import uvicorn

        from rgflow.explorer.app import application
    except ImportError:
        needs("the extra explore (starlette, uvicorn, latex2mathml)")
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(warm=False), log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    server.should_exit = True
    thread.join(10)


@contextmanager
def chromium():
    """A browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        needs("playwright")
    if CHROMIUM is None:
        needs("Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Page:
    """A page that remembers what its console said."""

    def __init__(self, browser, where, query="", width=1280, height=900, scheme="light"):
        self.said: list[str] = []
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True
        )
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.goto(where + query)
        self.page.wait_for_selector('html:not([data-drawn="0"])', state="attached")

    def settled(self, seconds=20.0):
        """Wait until everything asked was drawn."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.page.evaluate(
                "() => Number(document.documentElement.dataset.drawn) >= Number(document.documentElement.dataset.asked)"
            ):
                return
            time.sleep(0.02)
        raise AssertionError("the page did not answer")

    def until(self, condition, seconds=30.0):
        """Wait for a condition on the page, a JavaScript function."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, f"{condition} did not come true"
            time.sleep(0.05)

    def slide(self, name, value):
        """Move a slider by its place, 0..400."""
        self.page.evaluate(
            "([id, value]) => { const one = document.getElementById(id); one.value = value;"
            " one.dispatchEvent(new Event('input', {bubbles: true})); }",
            [name, value],
        )

    def choose(self, menu, value):
        """An option of a menu."""
        self.page.select_option(f"#{menu}", value)

    def line(self, panel):
        """What the first line of a panel looks like."""
        return self.page.evaluate(
            "name => [...document.querySelectorAll(`#panel-${name} svg g path`)].filter((p) => p.style.stroke &&"
            " p.getAttribute('display') !== 'none').map((p) => p.getAttribute('d')).join('|')",
            panel,
        )

    def text(self, place):
        """The text of an element."""
        return self.page.inner_text(place)

    def close(self):
        """Close it, and say what its console said."""
        self.context.close()
        return [one for one in self.said if IGNORED not in one]


def wander(page, count, seed):
    """Random interactions of all sorts; the page must go on answering."""
    draw = random.Random(seed)
    sliders = (
        "() => [...document.querySelectorAll('input[type=range]')]"
        ".filter((x) => !x.closest('.field').hidden).map((x) => x.id)"
    )
    options = "id => [...document.getElementById(id).options].filter((x) => !x.disabled && x.value).map((x) => x.value)"
    formulas = (
        "z*tanh(z)",
        "tanh(z",
        "erf(z) + z/10",
        "z^99",
        "exp(exp(z))",
        "1/z",
        "Abs(z)",
        "sqrt(z)",
        "nonsense",
        "z",
    )

    def slide():
        page.slide(draw.choice(page.page.evaluate(sliders)), draw.randint(0, 400))

    def menu():
        name = draw.choice(("activation", "layer"))
        page.choose(name, draw.choice(page.page.evaluate(options, name)))

    def key():
        page.page.focus(f"#{draw.choice(page.page.evaluate(sliders))}")
        page.page.keyboard.press(draw.choice(("ArrowRight", "ArrowLeft", "PageUp", "PageDown", "Home", "End")))

    def point():
        panel = draw.choice(("K", "V", "Theta", "chi", "trust", "phase"))
        page.page.click(f"#panel-{panel} .chart", position={"x": draw.randint(60, 250), "y": draw.randint(15, 180)})

    def formula():
        page.choose("activation", "")
        page.page.fill("#formula", draw.choice(formulas))
        time.sleep(0.3)

    def button():
        page.page.click(draw.choice(("#tune", "#reset", "#share", "#recursions summary >> nth=0")), no_wait_after=True)

    def typed():
        page.page.fill("#C_W-number", draw.choice(("1.234", "-3", "1e9", "", "0")))
        page.page.keyboard.press("Enter")

    def resize():
        page.page.set_viewport_size({"width": draw.choice((400, 700, 1000, 1440)), "height": 800})

    sorts = [slide] * 10 + [menu] * 3 + [key] * 4 + [point] * 3 + [button] * 2 + [formula, typed, resize]
    for _ in range(count):
        draw.choice(sorts)()
        page.settled()
