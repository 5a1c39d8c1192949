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
    """`visit("book/intro", "dark", 390)`: the page, with what went wrong and what it loaded."""
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

UNNAMED = """() => [...document.querySelectorAll('main table:not(.indextable)')]
    .filter((t) => !t.caption).map((t) => t.outerHTML.slice(0, 300))"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole(visit, name, theme):
    """Nothing fails, nothing comes from elsewhere, nothing is too wide, and all can be reached and read."""
    page = visit(name, theme, 390 if theme == "light" else 1440)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    # what a picture holds is spoken for by its label, and there are thousands of paths
    page.evaluate("document.querySelectorAll('svg[role=img] > g').forEach((g) => g.remove())")
    assert findings(page) == []
    assert page.evaluate(UNNAMED) == []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(SMALL) == [], f"smaller than 24 px at {width} px"
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


# --- links and search -------------------------------------------------------------------------------------------------


class Anchors(HTMLParser):
    """The ids of a page, and where its links lead."""

    def __init__(self, page: Path):
        super().__init__()
        self.ids, self.links = set(), set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids |= {attrs["id"]} if "id" in attrs else set()
        self.links |= {attrs["href"]} if tag == "a" and attrs.get("href") else set()


def test_links_lead_somewhere(html):
    pages = {page: Anchors(page) for page in [*html.glob("*.html"), *html.glob("book/*.html")]}
    dead = []
    for page, anchors in pages.items():
        for link in anchors.links:
            place, anchor = urldefrag(urljoin(page.as_uri(), link))
            to = Path(unquote(urlsplit(place).path))
            known = pages[to].ids if to in pages else set()
            if place.startswith("file:") and (not to.is_file() or (anchor and to in pages and anchor not in known)):
                dead.append(f"{page.name}: {link}")
    assert dead == []


def test_search_finds_a_term(visit):
    page = visit("search")
    page.locator(".bd-search:visible input, #search-form input").first.fill("transferability")
    page.keyboard.press("Enter")
    found = page.locator("#search-results .search li a")
    found.first.wait_for()
    found.first.click()
    page.wait_for_load_state()
    assert "transferability" in page.locator("main").inner_text().lower()


# --- what moves -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("name", ["book/04_method", "book/live"])
def test_slider_shows_another_frame(visit, name, width):
    page = visit(name, width=width)
    slider = page.locator(".aeda-slider input")
    shown = """[...document.querySelectorAll('[data-frame]')]
        .filter((f) => f.style.display !== 'none').map((f) => f.dataset.frame)"""
    before = slider.input_value()
    assert set(page.evaluate(shown)) == {before}
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert slider.input_value() == str(int(before) - 1)
    assert set(page.evaluate(shown)) == {slider.input_value()}


MARKED = {"book/01_bias_attribution": ("fig-fig2", "chubby"), "book/08_accuracy_and_fairness": ("fig-fig10c", "young")}


@pytest.mark.parametrize(("kind", "width"), [("column", 1440), ("phone", 390)])
@pytest.mark.parametrize("name", MARKED)
def test_a_mark_tells_its_values_when_chosen_pointed_at_or_tapped(visit, name, kind, width):
    anchor, task = MARKED[name]
    page = visit(name, width=width)
    figure = page.locator(f"#{anchor}")
    marks, said = figure.locator("[data-of]"), figure.locator(".aeda-marks output")
    mark, faded = figure.locator(f".aeda-{kind} [data-of='{task}'] use").first, figure.locator(".aeda-other")
    figure.scroll_into_view_if_needed()
    assert faded.count() == 0
    chosen = figure.locator(".aeda-marks select")
    chosen.focus()
    page.keyboard.type(task)
    assert said.inner_text().startswith(f"{task}: ")
    assert faded.count() == marks.count() - figure.locator(f"[data-of='{task}']").count() > 10
    chosen.select_option("all")
    assert faded.count() == 0

    place = mark.bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    assert said.inner_text().startswith(f"{task}: ")
    page.mouse.move(5, 5)
    assert faded.count() == 0
    page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.move(5, 5)
    assert said.inner_text().startswith(f"{task}: ") and chosen.input_value() == task
    assert page.wrong == []


LETTERS = """() => [...document.querySelectorAll('.aeda-picture svg text')]
    .map((t) => [t, t.getScreenCTM()]).filter(([t, at]) => at && t.textContent && t.checkVisibility())
    .map(([t, at]) => [parseFloat(getComputedStyle(t).fontSize) * Math.hypot(at.a, at.b), t.textContent])
    .filter(([size]) => size < 9)"""


CUT = """() => [...document.querySelectorAll('.aeda-picture svg text')]
    .map((t) => [t.getBoundingClientRect(), t.closest('svg').getBoundingClientRect(), t.textContent])
    .filter(([t, svg]) => t.width && (t.left < svg.left - 1 || t.right > svg.right + 1))
    .map(([t, svg, words]) => words)"""

SCROLLS = """() => [...document.querySelectorAll('.aeda-picture')]
    .filter((p) => p.scrollWidth > p.clientWidth).map((p) => p.closest('figure').id)"""


@pytest.mark.parametrize("name", PAGES)
def test_figures_fit_a_phone(visit, name):
    """Nothing scrolls sideways, nothing is cut, and no letter is smaller than 9 px."""
    page = visit(name, width=390)
    assert page.evaluate(SCROLLS) == []
    assert page.evaluate(CUT) == []
    assert page.evaluate(LETTERS) == []


@pytest.mark.parametrize(("width", "kind"), [(390, "phone"), (820, "column"), (1440, "column")])
def test_of_the_two_drawings_of_a_figure_the_one_that_fits_is_seen(visit, width, kind):
    page = visit("book/04_method", width=width)
    drawings = "[...document.querySelectorAll('.aeda-picture')].map((e) => [e.className, e.checkVisibility()])"
    seen = page.evaluate(drawings)
    assert len(seen) == 2 * page.locator(".aeda-figure").count() > 6
    assert all(visible == name.endswith(kind) for name, visible in seen)


def test_every_exhibit_of_a_chapter_has_a_number_that_links_to_it(visit):
    page = visit("book/05_cmnist")
    exhibits = page.locator("main .aeda-figure, main .aeda-table-box")
    numbers = page.locator("main .aeda-number")
    assert numbers.count() == exhibits.count() > 10
    assert numbers.all_inner_texts()[0].startswith("Figure 5.1")
    for number in numbers.all():
        assert page.locator(number.get_attribute("href")).locator(".aeda-number").count() == 1


def test_what_scrolls_is_reached_by_the_keyboard(visit):
    page = visit("book/05_cmnist", width=390)
    box = page.locator(".aeda-table-box[tabindex='0'][role=region]").first
    assert len(box.get_attribute("aria-label")) > 10
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")


@pytest.mark.parametrize("name", PAGES)
def test_print_cuts_nothing(visit, name):
    """On A4, 718 px between the margins: no line, table or picture ends beyond them or scrolls."""
    page = visit(name, width=718)
    page.emulate_media(media="print")
    cut = """() => [...document.querySelectorAll('main *')]
        .filter((e) => e.checkVisibility() && !e.closest('svg *, math *, .visually-hidden'))
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1
            || (e.matches('pre, table') && e.scrollWidth > e.clientWidth + 1))
        .map((e) => e.outerHTML.slice(0, 120))"""
    assert page.evaluate(cut) == []


def test_what_is_printed_is_light(visit):
    page = visit("book/intro", "dark")
    page.evaluate("addEventListener('beforeprint', () => (window.printed = document.documentElement.dataset.theme))")
    page.pdf()
    assert page.evaluate("window.printed") == "light"
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")


# --- the attack, live -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live():
    """What the page holds, and its classifiers in torch."""
    text = (PROJECT / "book" / "_static" / "live-model.js").read_text(encoding="utf-8")
    told = json.loads(text.removeprefix("const LIVE = ").rstrip().removesuffix(";"))
    classifiers = []
    for each in told["models"]:
        classifier = small_cnn(width=12, n_features=48).eval()
        state = {
            name: torch.from_numpy(np.frombuffer(base64.b64decode(each["weights"][name]), np.float32).copy()).view(
                old.shape
            )
            for name, old in classifier.state_dict().items()
        }
        classifier.load_state_dict(state)
        classifiers.append(classifier)
    return told, classifiers


def test_weights_of_the_live_page_are_small():
    assert (PROJECT / "book" / "_static" / "live-model.js").stat().st_size <= 300_000


@pytest.mark.parametrize("number", [0, 1])
def test_live_classifier_agrees_with_torch(visit, live, number):
    """Logits, gradients and a step, on images without ties: where two pixels are equal a maximum has no gradient."""
    told, classifiers = live
    images = torch.rand(4, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    page, classifier = visit("book/live"), classifiers[number]
    for image in images:
        x, given = image[None].requires_grad_(), image.flatten().tolist()
        target, bias = classifier(x)
        towards = bias.argmin(1)  # what the bias head sees already has a gradient near 0
        (gradient,) = torch.autograd.grad(bias_loss(bias, towards), x)
        ours = page.evaluate(
            "([n, x, b]) => { const l = MODELS[n].logits(x), g = MODELS[n].gradient(x, b);"
            "return [l.target, l.bias, g].map((values) => [...values]); }",
            [number, given, towards.item()],
        )
        scale = gradient.abs().max()
        for here, there in zip(ours, (target, bias, gradient / scale), strict=True):
            here = torch.tensor(here) / (scale if len(here) == x.numel() else 1)
            torch.testing.assert_close(here, there.detach().flatten(), atol=1e-4, rtol=1e-4)
        attack = Attack(epsilon=0.3, step_size=told["step"] * 0.3, steps=1, lambda_=1)
        step = torch.tensor(
            page.evaluate("([n, x, b]) => [...attack(MODELS[n], x, b, 0.3)[1]]", [number, given, towards.item()])
        )
        sure = (gradient.abs() > 1e-3 * scale).flatten()  # a smaller one may round to either sign
        expected = attack(classifier, image[None], towards).flatten()
        torch.testing.assert_close(step[sure], expected[sure], atol=1e-6, rtol=0)


def answer(page) -> str:
    return page.locator("#live output").inner_text()


def test_live_attack_by_keyboard(visit):
    page = visit("book/live")
    first = answer(page)
    assert re.search(r"bias head red .* After step 5 .* bias head brown", first)
    page.locator("#live [name=model]").first.focus()
    page.keyboard.press("ArrowRight")
    assert answer(page) != first
    page.locator("#live [name=digit][value='4']").focus()
    page.keyboard.press("Enter")
    assert "target head reads 4" in answer(page)
    page.locator("#live-radius").focus()
    page.keyboard.press("Home")
    assert page.locator("[data-shown=radius]").inner_text() == "0.00"
    page.locator("#live-step").focus()
    page.keyboard.press("Home")
    assert "After step 0" in answer(page)
    assert page.wrong == []


def test_live_radius_turns_the_digit_into_its_example_while_both_heads_answer(windows, html):
    """By the arrow keys, with the pictures moving, which is how a reader has it who asked for nothing else."""
    page = windows["light"].new_page()
    page.emulate_media(reduced_motion="no-preference")
    page.goto((html / "book" / "live.html").as_uri())
    radius, red = page.locator("#live-radius"), page.locator("#live [data-head=bias] > div").first
    assert page.locator("label[for=live-radius]").inner_text().startswith("ε = ")
    radius.focus()
    page.keyboard.press("Home")
    pictures, shares = [], []
    for _ in range(11):
        pictures.append(page.locator("#live canvas").nth(2).evaluate("(e) => e.toDataURL()"))
        shares.append(int(red.locator("span").last.inner_text().split()[0]))
        assert f"bias head {'red' if shares[-1] > 50 else 'brown'}" in answer(page).partition("After step 5 ")[2]
        page.keyboard.press("ArrowRight")
    assert radius.get_attribute("aria-valuetext") == "0.22"
    assert len(set(pictures)) == len(pictures)
    assert shares[0] > 90 and shares[-1] < 10
    page.close()


def test_live_digit_is_drawn_with_a_finger(chromium, html):
    page = chromium.new_context(viewport={"width": 390, "height": HEIGHT}, has_touch=True, is_mobile=True).new_page()
    page.goto((html / "book" / "live.html").as_uri())
    pad = page.locator("#live canvas").first
    pad.scroll_into_view_if_needed()
    assert pad.evaluate("(e) => getComputedStyle(e).touchAction") == "none"
    box = pad.bounding_box()
    x = box["x"] + box["width"] / 2
    finger = page.context.new_cdp_session(page)
    down = [{"x": x, "y": box["y"] + box["height"] * share} for share in (0.2, 0.4, 0.6, 0.8)]
    for kind, points in [("touchStart", down[:1]), *(("touchMove", [each]) for each in down[1:]), ("touchEnd", [])]:
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function("document.querySelector('#live-step').value === '5'")
    assert "Before the attack the target head reads 1" in answer(page)
    page.context.close()


def test_without_a_script_the_live_page_is_a_picture(chromium, html):
    page = chromium.new_context(java_script_enabled=False, offline=True).new_page()
    page.goto((html / "book" / "live.html").as_uri())
    assert page.locator("noscript img").is_visible() and not page.locator("#live").is_visible()
    page.context.close()
