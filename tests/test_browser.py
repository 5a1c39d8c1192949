"""The built book as readers meet it in Chromium: every page, light and dark, on a phone and on a desk, offline."""

import base64
import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import numpy as np
import pytest
import torch

from aeda_core import Attack, small_cnn
from aeda_core.datasets.base import PROJECT
from aeda_core.models import bias_loss

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[browser]")
axe = pytest.importorskip("axe_playwright_python.base", reason="axe is not installed: pip install -e .[browser]")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium, chromium-browser or google-chrome to drive"),
]

PAGES = [f"book/{path.stem}" for path in sorted((PROJECT / "book").glob("*.*")) if path.suffix in (".md", ".ipynb")]
PAGES += ["search", "genindex"]
WIDTHS = (390, 820, 1440)
HEIGHT = 900
HEAVIEST = 1_500_000
"""Bytes that a page may load, itself included, uncompressed."""

OF_OTHERS = {
    "aria-required-children": "docutils calls a bibliography a list and its works no list items",
}
"""What axe finds serious or critical and is none of ours, by rule, with a reason."""


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM)


@pytest.fixture(scope="module")
def windows(chromium):
    """By theme, a browser window without a network."""
    options = {"offline": True, "reduced_motion": "reduce"}
    return {theme: chromium.new_context(color_scheme=theme, **options) for theme in ("light", "dark")}


@pytest.fixture
def visit(windows, html):
    """`visit("book/intro", "dark", 390)`: a page, once it is there, that has kept what went wrong and what it loaded."""
    opened = []

    def open_page(name, theme="light", width=1440):
        page = windows[theme].new_page()
        opened.append(page)
        page.wrong, page.loaded = [], set()
        page.on("console", lambda said: page.wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("requestfailed", lambda request: page.wrong.append(f"failed: {request.url}"))
        page.on("request", lambda request: page.loaded.add(request.url))
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.goto((html / f"{name}.html").as_uri())
        return page

    yield open_page
    for page in opened:
        page.close()


# --- every page -------------------------------------------------------------------------------------------------------

SMALL = """() => [...document.querySelectorAll('main summary, main button, main input, main label:has(input)')]
    .filter((e) => e.checkVisibility() && !(e.matches('label *')) && Math.min(e.clientWidth, e.clientHeight) < 24)
    .map((e) => e.outerHTML.slice(0, 120))"""

UNNAMED = """() => [...document.querySelectorAll('main table:not(.field-list)')]
    .filter((t) => !t.caption).map((t) => t.outerHTML.slice(0, 300))"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole(visit, name, theme):
    """Nothing fails, nothing comes from elsewhere, nothing is too wide, and all can be reached and read."""
    page = visit(name, theme)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(SMALL) == [], f"smaller than 24 px at {width} px"
    assert page.evaluate(UNNAMED) == []
    # what a picture holds is spoken for by its label, and there are thousands of paths; contrasts hold at any width
    page.evaluate("document.querySelectorAll('svg[role=img] > g').forEach((g) => g.remove())")
    page.set_viewport_size({"width": 390 if theme == "light" else 1440, "height": HEIGHT})
    assert findings(page) == []
    assert page.wrong == []
    assert [url for url in page.loaded if not url.startswith(("file:", "data:"))] == []


def findings(page) -> list[str]:
    """What axe finds serious or critical, a line for each rule and element."""
    page.evaluate(axe.AXE_SCRIPT)
    found = page.evaluate("axe.run({resultTypes: ['violations'], preload: false})")["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {node['html'][:200]}"
        for rule in found
        if rule["impact"] in ("serious", "critical") and rule["id"] not in OF_OTHERS
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_page_is_light(visit, name):
    loaded = [Path(unquote(urlsplit(url).path)) for url in visit(name).loaded if url.startswith("file:")]
    sizes = Counter({path.name: path.stat().st_size for path in set(loaded)})
    assert sizes.total() <= HEAVIEST, sizes.most_common(5)
