"""The report of a real run in a real browser: it is drawn, fits a phone, honours dark mode, and loads nothing."""

from __future__ import annotations

import base64
import fcntl
import io
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lensmith as house
from conftest import draw_shape, write_shapes
from lensmith.reports import write_report
from sample_run import change_run, write_rates, write_sample
from sample_tasks import write_labels, write_numbers

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
DESKTOP, PHONE = (1280, 900), (390, 844)
PATIENCE = 20.0  # seconds for one answer


class Browser:
    """Chromium without a window, spoken to over a pipe (DevTools protocol: JSON messages, each ending in a zero)."""

    def __init__(self, program: str, profile: Path) -> None:
        from_us, self._out = _pipe()
        self._in, from_it = _pipe()
        actions = [
            (os.POSIX_SPAWN_DUP2, from_us, 3),
            (os.POSIX_SPAWN_DUP2, from_it, 4),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ]
        words = [program, *FLAGS, f"--user-data-dir={profile}"]
        # A group of its own, so that its children end with it.
        self._process = os.posix_spawn(program, words, os.environ, file_actions=actions, setpgroup=0)
        os.close(from_us)
        os.close(from_it)
        self._number, self._buffer = 0, b""
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = ""
        self._session = str(self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    _session = ""

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its result; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression gives on the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, page: Path, size: tuple[int, int], dark: bool) -> None:
        """Load a file at a size of the window, in light or dark mode."""
        width, height = size
        phone = size == PHONE
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.ask("Page.navigate", url=page.as_uri())
        end = time.monotonic() + PATIENCE
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            assert time.monotonic() < end, "the page did not load"
            self.events.append(self._receive())

    def screenshot(self) -> np.ndarray:
        """Return what is seen, (h, w, 3) uint8."""
        content = base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))

    def close(self) -> None:
        """End the browser and all its children."""
        os.close(self._out)
        os.close(self._in)
        os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._in], [], [], PATIENCE)[0], "the browser does not answer"
            part = os.read(self._in, 1 << 16)
            assert part, "the browser has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


def _pipe() -> tuple[int, int]:
    """Return a pipe whose ends lie above 9, clear of the 3 and 4 that they become in the browser."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("there is no Chromium here: the report is not looked at")
    opened = Browser(program, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with plain classes, one with a very long name, and one that tries to be markup."""
    place = tmp_path_factory.mktemp("browser")
    folder = write_shapes(place / "shapes", each=10, size=32)
    for number, name in enumerate(("a_class_name_without_any_place_to_break_" * 4, "<script>alert(1)", "two words")):
        (folder / name).mkdir()
        for one in range(10):
            draw_shape("disc", 700 + 10 * number + one, 32).save(folder / name / f"{name[:100]}-{one}.png")
    (folder / "disc" / "broken.png").write_bytes(b"")
    shutil.copy(folder / "disc" / "000.png", folder / "disc" / "copy.png")
    run = house.train(
        folder, recipe="scratch", network="convnet/8-16", epochs=4, image_size=32, out=place / "runs", quiet=True
    )
    return run.report


def complaints(browser: Browser) -> list[object]:
    """Return errors and warnings of the console, and what the page tried to load besides itself."""
    found: list[object] = []
    for event in browser.events:
        method, parameters = event.get("method"), event.get("params", {})
        if method in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            found.append(parameters)
        if method == "Network.requestWillBeSent":
            address = parameters["request"]["url"]
            if not address.startswith("data:") and parameters.get("type") != "Document":
                found.append(address)
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_report_is_drawn(size: tuple[int, int], dark: bool, browser: Browser, page: Path) -> None:
    browser.open(page, size, dark)
    seen = browser.screenshot()
    assert seen.shape == (size[1], size[0], 3)
    assert len(np.unique(seen.reshape(-1, 3), axis=0)) > 100
    corner = seen[-3:, :3].mean()
    assert corner < 70 if dark else corner > 200, f"the ground is {corner:.0f}"
    assert complaints(browser) == []
    assert browser.value("document.querySelectorAll('script').length") == 0
    title = browser.value("document.querySelector('h1').getBoundingClientRect().toJSON()")
    assert title["width"] > 100 and 0 <= title["top"] < size[1]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_sticks_out_sideways(size: tuple[int, int], browser: Browser, page: Path) -> None:
    browser.open(page, size, dark=False)
    wide = (
        "(() => { const root = document.scrollingElement; root.scrollLeft = 1e4;"
        " return [root.scrollLeft, root.scrollWidth, window.innerWidth]; })()"
    )
    assert browser.value(wide) == [0, size[0], size[0]]
    closed = browser.value("document.scrollingElement.scrollHeight")
    opened = browser.value("[...document.querySelectorAll('details')].map(d => d.open = true).length")
    assert opened > 0
    assert browser.value("document.scrollingElement.scrollHeight") > closed
    assert browser.value(wide) == [0, size[0], size[0]]


def test_pictures_are_shown_and_text_can_be_read(browser: Browser, page: Path) -> None:
    browser.open(page, PHONE, dark=False)
    browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    images = browser.value("[...document.images].map(i => [i.complete, i.naturalWidth, i.alt])")
    assert len(images) >= 8
    assert all(complete and width > 100 for complete, width, _ in images)
    assert all(text for _, _, text in images), "a picture has no words for those who cannot see it"
    small = browser.value(
        "[...document.querySelectorAll('p, td, th, li, dd, dt, figcaption')]"
        ".filter(e => e.textContent.trim() && e.getClientRects().length)"
        ".map(e => parseFloat(getComputedStyle(e).fontSize)).reduce((a, b) => Math.min(a, b))"
    )
    assert small >= 11
    assert browser.value("document.title") and browser.value("document.documentElement.lang")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(dark: bool, browser: Browser, page: Path) -> None:
    """Contrast of at least 4.5 to 1 for text on the ground of the page (WCAG 2.2, criterion 1.4.3)."""
    browser.open(page, DESKTOP, dark)
    assert not faint_text(browser)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Reports of made runs, for what the real one above does not have: a ladder, a warning, labels, numbers."""
    place = tmp_path_factory.mktemp("made")
    ladder = write_sample(place / "ladder", recipe="auto", pictures=1)
    write_rates(ladder)
    frozen = json.loads((ladder / "run.json").read_text(encoding="utf-8"))["frozen"]
    change_run(ladder, frozen=frozen | {"after": "0" * 64})
    return [write_report(run) for run in (ladder, write_numbers(place / "numbers"), write_labels(place / "labels"))]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_pages_of_other_runs_fit_and_can_be_read(
    size: tuple[int, int], dark: bool, browser: Browser, made: list[Path]
) -> None:
    for page in made:
        browser.open(page, size, dark)
        assert complaints(browser) == []
        browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.value("document.scrollingElement.scrollWidth") == size[0], page
        assert not faint_text(browser), page
        # Words in a figure are at least as large as the smallest text of the page, however the figure is scaled.
        small = browser.value(
            "[...document.querySelectorAll('svg text')].filter(e => e.textContent.trim())"
            ".map(e => [e.getBoundingClientRect().height, e.textContent]).sort((a, b) => a[0] - b[0])[0]"
        )
        assert small[0] >= 11, (page, small)
        # Nor does any of them reach out of its figure.
        outside = browser.value(
            "[...document.querySelectorAll('svg.chart text')].filter(e => { const t = e.getBoundingClientRect(),"
            " s = e.ownerSVGElement.getBoundingClientRect();"
            " return t.left < s.left - 1 || t.right > s.right + 1 || t.bottom > s.bottom + 1; })"
            ".map(e => e.textContent)"
        )
        assert outside == [], page


def faint_text(browser: Browser) -> dict[str, object]:
    """Return the texts whose contrast to what lies behind them is below 4.5."""
    pairs = browser.value(
        "(() => { const grounds = e => { const found = [];"
        " for (; e; e = e.parentElement) found.push(getComputedStyle(e).backgroundColor); return found; };"
        " return [...document.querySelectorAll('h1, h2, h3, p, td, th, li, dd, dt, summary, figcaption, .outcome')]"
        ".filter(e => e.textContent.trim() && e.getClientRects().length)"
        ".map(e => [getComputedStyle(e).color, grounds(e), e.textContent.trim().slice(0, 30)]); })()"
    )
    assert len(pairs) > 30
    faint = {}
    for text, grounds, words in pairs:
        ground = np.ones(3)
        for colour in reversed(grounds):  # from the page to the element
            ground = laid_over(colour, ground)
        found = contrast(laid_over(text, ground), ground)
        if found < 4.5:
            faint[words] = (text, grounds[0], round(found, 2))
    return faint


def laid_over(colour: str, ground: np.ndarray) -> np.ndarray:
    """Return the CSS colour `rgb(r, g, b)` or `rgba(r, g, b, a)` over a ground, (3,) in 0..1."""
    parts = [float(part) for part in colour.partition("(")[2].rstrip(")").split(",")]
    share = parts[3] if len(parts) == 4 else 1.0
    return share * np.array(parts[:3]) / 255 + (1 - share) * ground


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """Return the contrast of two colours, 1 to 21."""
    lights = []
    for colour in (one, other):
        linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ (0.2126, 0.7152, 0.0722)))
    return (max(lights) + 0.05) / (min(lights) + 0.05)
