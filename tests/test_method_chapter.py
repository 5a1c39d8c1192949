"""Chapter 04: the code that it shows exists, the attack that it draws is the library's, and what it says came out."""

import ast
import html
import re
import shutil
import subprocess
from xml.etree import ElementTree

import nbformat
import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from aeda_core import cli
from aeda_core.attack import Attack
from aeda_core.datasets.base import PROJECT
from aeda_core.display import diagram, look
from aeda_core.display import method as figures
from aeda_core.display.slider import with_frames
from aeda_core.experiments import method
from aeda_core.experiments.method import LAMBDAS, MethodParameters
from aeda_core.models import frozen, pixels
from aeda_core.profiles import ParameterError

NOTEBOOK = PROJECT / "book" / "04_method.ipynb"
TEXT = "\n\n".join(cell.source for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "markdown")
INCLUDE = re.compile(r"```\{literalinclude\} (?P<file>\S+)\n(?P<options>(?::[^\n]*\n)+)```")
SHOWS = {
    1: {"bias_per_target", "model_bias"},
    2: {"Attack.__call__", "Attack.descend"},
    3: {"Attack.__call__", "Attack.descend"},
    4: {"Augmented.loss"},
    5: {"AEDAOnline.train_bias_head"},
    6: {"AEDAOnline.train_bias_head", "AEDARobust"},
}
"""Which objects implement an equation."""


@pytest.fixture(scope="module")
def parameters():
    return MethodParameters.load("recorded")


@pytest.fixture(scope="module")
def before(parameters):
    return method.before(parameters)


@pytest.fixture(scope="module")
def attacks(parameters, before):
    return method.perturbations(parameters, before)


@pytest.fixture(scope="module")
def slider(before, attacks):
    return figures.fig5(method.plane(before), attacks, 0.6)


# --- the code that is shown ---


def included(directive: re.Match) -> str:
    """The lines that a literalinclude brings onto the page; AssertionError where there are none."""
    options = dict(re.findall(r":([\w-]+): ?(.*)", directive["options"]))
    path = (NOTEBOOK.parent / directive["file"]).resolve()
    source = path.read_text()
    nodes = ast.parse(source).body
    for name in options["pyobject"].split("."):
        found = [node for node in nodes if getattr(node, "name", None) == name]
        assert found, f"{path.name} has no {options['pyobject']}"
        nodes = found[0].body
    lines = ast.get_source_segment(source, found[0]).splitlines()
    for option, cut in (("start-at", lambda i: slice(i, None)), ("end-at", lambda i: slice(None, i + 1))):
        if option in options:
            at = [i for i, line in enumerate(lines) if options[option] in line]
            assert at, f"{options['pyobject']} has no line with {options[option]!r}"
            lines = lines[cut(at[0])]
    return "\n".join(lines)


def test_code_that_is_shown_is_there():
    directives = list(INCLUDE.finditer(TEXT))
    assert len(directives) == TEXT.count("{literalinclude}") >= 8
    assert all(included(directive).strip() for directive in directives)


@pytest.mark.parametrize(
    "broken",
    [
        "```{literalinclude} ../aeda_core/attack.py\n:pyobject: Attack.vanished\n```",
        "```{literalinclude} ../aeda_core/attack.py\n:pyobject: Attack.__call__\n:start-at: def eq33\n```",
    ],
)
def test_code_that_vanished_would_be_noticed(broken):
    with pytest.raises(AssertionError):
        included(INCLUDE.match(broken))


def test_no_code_is_copied_into_the_text():
    assert re.findall(r"```(?!\{literalinclude\}|bash\n|\n|$)[^\n]*", TEXT) == []


@pytest.mark.parametrize("number", SHOWS)
def test_equation_stands_beside_the_lines_that_implement_it(number):
    """Behind the displayed equation, and before the section ends, come the objects that say they are it."""
    after = TEXT[TEXT.index(rf"\qquad \text{{Eq. ({number})}}") :]
    section = after.split("\n## ")[0]
    assert SHOWS[number] <= set(re.findall(r":pyobject: (\S+)", section))


def test_lines_of_eq3_are_only_those_of_eq3():
    (shown,) = (included(d) for d in INCLUDE.finditer(TEXT) if "Attack.__call__" in d["options"])
    assert shown.strip().startswith("def eq3(") and shown.endswith("return loss")
    assert "self.lambda_ *" in shown and "(1 - self.lambda_) *" in shown


# --- the plane ---


def test_drawn_points_are_as_lopsided_as_asked(parameters):
    data = method.drawn(parameters, 4000, 0.95, seed=7)
    sizes = data.group_sizes()
    assert sizes.sum(1).tolist() == [2000, 2000]
    assert float(sizes.diagonal().sum()) / 4000 == pytest.approx(0.95, abs=0.02)
    x, y = (pixels(data.images).view(-1, 2)).T
    assert float(x[data.targets == 1].mean() - x[data.targets == 0].mean()) == pytest.approx(0.26, abs=0.01)
    assert float(y[data.bias == 1].mean() - y[data.bias == 0].mean()) == pytest.approx(0.32, abs=0.01)


def test_same_seed_same_classifier_whatever_was_drawn_before(parameters, before):
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    again = method.before(parameters)
    assert torch.equal(torch.random.get_rng_state(), state) and torch.get_num_threads() == threads
    for one, other in zip(before.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_before_has_seen_no_example_and_has_a_trained_bias_head(before):
    """The classifier of Fig. 5 is what Eq. (4) without X_adv and Eq. (5) come to."""
    assert not before.has_examples and method.plane(before).examples is None
    with frozen(before.model), torch.no_grad():
        seen = before.model(pixels(before.data.images))[1].argmax(1)
    assert float((seen == before.data.bias).float().mean()) > 0.95


def test_ways_are_those_of_the_librarys_attack(parameters, before, attacks):
    data = before.data
    for attack in attacks[::4]:
        i_fgsm = Attack(parameters.norm, parameters.epsilon, parameters.step_size, parameters.steps, attack.lambda_)
        x_adv = i_fgsm(before.model, pixels(data.images), 1 - data.bias, data.targets)
        assert np.array_equal(attack.paths[-1], x_adv.view(-1, 2).numpy())
        assert np.array_equal(attack.paths[0], pixels(data.images).view(-1, 2).numpy())
        assert len(attack.paths) == parameters.steps + 1
        lengths = np.linalg.norm(np.diff(attack.paths, axis=0), axis=2)
        assert lengths.max() <= parameters.step_size + 1e-5


def test_attack_is_not_implemented_twice(parameters, before, monkeypatch):
    """Where the library's attack stands still, so do the points of the figure."""
    monkeypatch.setattr(Attack, "descend", lambda self, loss, images, start: images)
    for attack in method.perturbations(parameters, before)[::10]:
        assert np.array_equal(attack.paths[-1], attack.paths[0])


def test_at_lambda_1_the_target_head_has_no_say(parameters):
    """Eq. (2): the ways are the same whatever h_t is."""
    one = method.before(parameters.model_copy(update={"epochs": 3}))
    (eq2, *_), (kept, *_) = method.perturbations(parameters, one)[::-1], method.perturbations(parameters, one)
    with torch.no_grad():
        one.model.target_head.weight.mul_(-1)
    turned = method.perturbations(parameters, one)
    assert np.array_equal(turned[-1].paths, eq2.paths)
    assert not np.array_equal(turned[0].paths, kept.paths)


def test_chosen_lambda_is_among_the_ways(parameters, before):
    own = parameters.model_copy(update={"lambda_": 0.98})
    assert [a.lambda_ for a in method.perturbations(own, before)] == sorted({*LAMBDAS, 0.98})


# --- what the chapter says about it ---

# Of single classifiers of two coordinates, and so far from the bounds that no rounding reaches them. What becomes of
# the methods is drawn from what was trained, and no test demands it.


def test_lambda_decides_as_the_text_says(attacks):
    at = {attack.lambda_: attack for attack in attacks}
    assert at[1.0].flipped > 0.9 and at[1.0].kept < 0.25
    assert at[0.6].flipped > 0.9 and at[0.6].kept > 0.9 and at[0.6].both > 0.8
    assert at[0.0].flipped < 0.15 and at[0.0].kept > 0.95
    assert all(a.both <= min(a.flipped, a.kept) for a in attacks)


def lean(plane: method.Plane) -> float:
    """Degrees by which the target's decision line departs from the vertical, between the clouds."""
    margin = plane.margins["target"][20:61]
    crossings = np.abs(margin).argmin(axis=1) / (method.RESOLUTION - 1)
    slope = np.polyfit(np.linspace(0.25, 0.75, len(crossings)), crossings, 1)[0]
    return abs(float(np.degrees(np.arctan(slope))))


def test_examples_bring_the_line_upright(parameters, before):
    assert lean(method.plane(method.after(parameters))) < 0.7 * lean(method.plane(before))


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({"epsilon": 0.15}, lambda attacks: max(a.flipped for a in attacks) < 0.5),
        ({"correlation": 0.5}, lambda attacks: min(a.both for a in attacks if a.lambda_ >= 0.3) > 0.85),
    ],
    ids=["a small budget stops short", "without bias lambda hardly matters"],
)
def test_what_would_change_it_does(change, holds):
    changed = MethodParameters.load("recorded", **change)
    assert holds(method.perturbations(changed, method.before(changed)))


# --- the slider ---


def frames(svg: str) -> dict[str, bool]:
    """For each frame of a slider's SVG whether it is seen."""
    seen: dict[str, set[bool]] = {}
    for number, style in re.findall(r'<g data-frame="(\d+)"([^>]*)>', svg):
        seen.setdefault(number, set()).add("display: none" not in style)
    assert all(len(states) == 1 for states in seen.values())
    return {number: states.pop() for number, states in seen.items()}


def page_of(figure) -> str:
    return figure._repr_mimebundle_()["text/html"]


def test_without_a_script_one_frame_is_seen_and_no_dead_control(slider):
    seen = frames(slider.svg)
    assert [number for number, state in seen.items() if state] == [str(LAMBDAS.index(0.6))]
    assert re.search(r'<div class="aeda-slider"[^>]* hidden>', page_of(slider))
    assert "<noscript><p>λ = 0.6: " in page_of(slider)


def test_slider_has_a_frame_a_label_and_a_sentence_for_each_position(slider):
    page = page_of(slider)
    assert list(map(int, frames(slider.svg))) == list(range(len(LAMBDAS)))
    assert len(slider.labels) == len(slider.says) == len(LAMBDAS)
    assert f'min="0" max="{len(LAMBDAS) - 1}" step="1" value="{slider.initial}"' in page
    assert slider.labels[slider.initial] == "0.6"


def test_slider_is_labelled_and_loads_nothing(slider):
    page = page_of(slider)
    (name,) = re.findall(r'<input type="range" id="([^"]+)"', page)
    assert f'<label for="{name}">' in page and f'<output for="{name}" aria-live="polite">' in page
    assert f'getElementById("{slider.id}")' in page and name == slider.id
    assert not re.search(r"\bsrc=|@import|\bfetch\(|import\(|url\((?!#)", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_two_sliders_on_a_page_do_not_move_each_other(before, attacks, slider):
    other = figures.fig5(method.plane(before), attacks, 0.3)
    assert other.id != slider.id
    assert other.svg != slider.svg


def test_frames_are_found_by_their_names_alone():
    svg = '<g data-frame="1"><g/></g><g data-frame="11"><g/></g><g/>'
    assert with_frames(svg, 1) == '<g data-frame="1"><g/></g><g data-frame="11" style="display: none"><g/></g><g/>'


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("position", [0, 20])
def test_moving_the_slider_shows_its_frame(slider, position, tmp_path):
    page = tmp_path / "page.html"
    move = (
        f"<script>const s = document.querySelector('input'); s.value = {position};"
        "s.dispatchEvent(new Event('input'));</script>"
    )
    page.write_text(f"<!doctype html><meta charset='utf-8'>{page_of(slider)}{move}")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    command = ["chromium", *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    assert [number for number, seen in frames(dom).items() if seen] == [str(position)]
    assert f"λ = <b>{slider.labels[position]}</b>" in dom
    assert f'aria-valuetext="{slider.labels[position]}"' in dom
    (said,) = re.findall(r"<output[^>]*>(.*?)</output>", dom)
    assert html.unescape(said) == slider.says[position]
    assert not re.search(r'<div class="aeda-slider"[^>]* hidden', dom)


@pytest.mark.parametrize(
    ("chosen", "lambda_", "words"),
    [
        (slice(None), 0.61, "there is no attack with λ = 0.61"),
        (slice(0, 5), 0.1, "needs an ascending λ that ends with 1"),
    ],
)
def test_fig5_refuses_what_it_cannot_show(before, attacks, chosen, lambda_, words):
    with pytest.raises(ValueError, match=words):
        figures.fig5(method.plane(before), attacks[chosen], lambda_)


# --- the other figures ---


def test_fig1_counts_every_group_and_evens_them_out(before, attacks, parameters):
    figure = figures.fig1(method.plane(before), method.plane(method.after(parameters)), attacks, 0.6)
    sizes = before.data.group_sizes()
    written = re.findall(r">(\d+)</text>", figure.svg)
    assert sorted(map(int, written)) == sorted([*sizes.flatten().tolist(), *sizes.sum(1).tolist() * 2])
    assert f"groups of {int(sizes.min())} to {int(sizes.max())} points" in figure.caption


@pytest.mark.parametrize(("plain", "attacked"), [(70.0, 95.0), (95.0, 50.0), (100.0, 100.0)])
def test_outcomes_are_drawn_with_their_seeds_and_the_ceiling_whatever_they_are(plain, attacked):
    rows = [("original", None, plain), ("aeda_online", 0.6, attacked), ("aeda_robust", 0.6, attacked)]
    outcomes = [method.Outcome(name, by, seed, bacc, 2 - bacc / 50) for seed in range(5) for name, by, bacc in rows]
    figure = figures.fig_outcomes(outcomes, 96.8, "recorded")
    assert "5 seeds" in figure.caption and "96.8 %" in figure.caption
    single = figures.fig_outcomes(outcomes[:3], 96.8, "smoke").caption
    assert "one seed;" in single and "numbers mean nothing" in single and "mean nothing" not in figure.caption
    for label, bacc in (("Original", plain), ("AEDA_online, λ = 0.6", attacked)):
        assert f"{label}: bACC {bacc:.1f} [{bacc:.1f}, {bacc:.1f}] %, bias {2 - bacc / 50:.2f} [" in figure.alt


def test_diagram_can_be_read_by_who_cannot_see_it():
    figure = diagram.fig6()
    svg, small = (ElementTree.fromstring(each) for each in (figure.svg, figure.small))
    assert figure.svg in figure._repr_html_() and figure.small in figure._repr_html_()
    title, description = list(svg)[:2]
    for each in (svg, small):
        assert each.get("aria-labelledby").split() == [title.get("id"), description.get("id")]
    words, same = (
        {"".join(text.itertext()) for text in each.iter("{http://www.w3.org/2000/svg}text")} for each in (svg, small)
    )
    assert words == same
    assert title.text == figure.title and description.text == figure.alt
    assert {f"Eq. ({n})" for n in (3, 4, 5, 6)} == set(re.findall(r"Eq\. \(\d\)", figure.svg))


def test_diagram_takes_its_ink_from_the_page():
    figure = diagram.fig6()
    colours = set(re.findall(r'(?:fill|stroke)="(#\w+|[a-zA-Z]+)"', figure.svg + figure.small))
    assert colours <= {"none", "currentColor", "#fff", *look.PALETTE}
    assert 'fill="currentColor"' in figure._repr_html_() and "font-family" not in figure._repr_html_()


# --- its place among the chapters ---


def test_chapters_stand_in_order():
    part = yaml.safe_load((PROJECT / "_toc.yml").read_text())["parts"][0]
    files = [chapter["file"] for chapter in part["chapters"]]
    assert files.pop(files.index("book/04_method") + 1) == "book/live"  # of the method, without a number
    assert files == sorted(files)


def test_a_chapter_without_runs_says_so():
    asked = CliRunner().invoke(cli.app, ["run", "original", "--chapter", "method"])
    assert isinstance(asked.exception, ParameterError)
    assert str(asked.exception).startswith("chapter 'method' has no run of original with seed 0")
    swept = CliRunner().invoke(cli.app, ["sweep", "method"])
    assert (swept.exit_code, swept.output) == (0, "method: 0 runs recorded at profile paper\n")
