"""The figures of chapter 04 in the plane: Fig. 1, Fig. 5 with its slider, and what training comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from aeda_core.display import captions
from aeda_core.display.look import (
    BLUE,
    INK,
    VERMILLION,
    Canvas,
    Figure,
    canvas,
    finished,
    legend,
    on_phone,
    sheet,
    styled,
)
from aeda_core.display.plots import dots, key, own_range, rules
from aeda_core.display.slider import Slider, with_frames
from aeda_core.display.tables import Prose
from aeda_core.experiments.method import Outcome, Perturbation, Plane
from aeda_core.findings.measures import Estimate
from aeda_core.findings.paper import label

CLASSES = (BLUE, VERMILLION)
"""Colours of the two target classes, left and right."""

MARKERS = ("o", "^")
"""Shapes of the two bias values, low and high."""

LINES = {"target": "-", "bias": (0, (5, 2.5))}
"""How the decision lines of the two tasks are drawn."""

SHOWN = 6
"""Points of each of the two large groups whose way under attack is drawn."""

GROUPS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""(target, bias)"""


# --- Fig. 1 -----------------------------------------------------------------------------------------------------------


@styled
def fig1(before: Plane, after: Plane, attacks: Sequence[Perturbation], lambda_: float) -> Figure:
    """Fig. 1 in the plane: a lopsided training set, the attack, and the set that is trained on instead.

    before, after: the plane of plain training and of AEDA
    attacks:       on the points and the classifier of `before`; the one with λ = `lambda_` is drawn
    """
    sizes = {group: int(_members(before, *group).sum()) for group in GROUPS}
    balanced = {(t, b): sizes[t, b] + sizes[t, 1 - b] for t, b in GROUPS}
    drawn, (first, second, third) = canvas(3.1, 1, 3, sharex=True, sharey=True)
    _points(first, before)
    _line(first, before, "target")
    _points(second, before, alpha=0.35)
    _line(second, before, "target", alpha=0.35)
    _points(second, before, _shown(before), size=5, alpha=1)
    _ways(second, before, attacks[_position(attacks, lambda_)], _shown(before))
    _points(third, after)
    _examples(third, after, after.examples, np.arange(len(after.points)), alpha=0.55)
    _line(third, after, "target")
    titles = ("What there is", "The attack", "What is trained on")
    for ax, title, counts in zip((first, second, third), titles, (sizes, {}, balanced), strict=True):
        _frame(ax, title)
        for (t, b), n in counts.items():
            ax.text((0.03, 0.97)[t], (0.03, 0.97)[b], str(n), ha=("left", "right")[t], va=("bottom", "top")[b],
                    color=CLASSES[t], fontweight="bold", fontsize=11, transform=ax.transAxes)  # fmt: skip
    first.set_ylabel("bias: low to high")
    second.set_xlabel("target: left to right")
    _legend(drawn, ("target",), "lower center")
    in_words = ", ".join(f"{sizes[t, b]} {('left', 'right')[t]} and {('low', 'high')[b]}" for t, b in GROUPS)
    told = {"groups": in_words, "balanced": " or ".join(map(str, dict.fromkeys(balanced.values())))}
    told |= {"few": min(sizes.values()), "many": max(sizes.values()), "n": len(before.points)}
    return finished(drawn, "fig1", **told)


# --- Fig. 5 -----------------------------------------------------------------------------------------------------------


@styled
def fig5(before: Plane, attacks: Sequence[Perturbation], lambda_: float) -> Slider:
    """Fig. 5 in the plane: the attack with λ = 1 beside the attack with any λ, which a slider chooses.

    attacks: over ascending λ, the last with λ = 1; `lambda_`: the one of them that is seen first
    """
    lambdas = [attack.lambda_ for attack in attacks]
    if lambdas != sorted(lambdas) or lambdas[-1] != 1:
        raise ValueError(f"λ goes through {lambdas}; Fig. 5 needs an ascending λ that ends with 1.")
    initial, shown = _position(attacks, lambda_), _shown(before)
    drawn = sheet(6.1, 9.2)
    drawn.get_layout_engine().set(h_pad=0.08)
    below, heights = ([["a"], ["b"]], (2, 2, 1)) if on_phone() else ([["a", "b"]], (2.25, 1))
    panels = drawn.subplot_mosaic([*below, ["shares"] * len(below[0])], height_ratios=heights)
    for ax in (panels["a"], panels["b"]):
        _points(ax, before, alpha=0.4)
        _points(ax, before, shown, size=5, alpha=1)
        for task in LINES:
            _line(ax, before, task)
        _frame(ax, " ")
        ax.set_xlabel("target: left to right")
    panels["a"].set(title="(a) λ = 1, Eq. (2): the bias task alone", ylabel="bias: low to high")
    _ways(panels["a"], before, attacks[-1], shown)
    _shares(panels["shares"], attacks)
    for i, attack in enumerate(attacks):
        _frame_of_slider(panels, before, attack, shown, f"frame:{i}")
    _legend(drawn, tuple(LINES), "upper center")
    told = {"last": _says(attacks[-1]), "initial": _says(attacks[initial]), "shown": SHOWN, "n": len(before.points)}
    figure = finished(drawn, "fig5", **told)
    labels, says = [f"{value:g}" for value in lambdas], [_says(attack) for attack in attacks]
    return Slider(with_frames(figure.svg, initial), figure.alt, figure.caption, "λ", labels, says, initial,
                  name=figure.name)  # fmt: skip


def _frame_of_slider(
    panels: Mapping[str, Axes], before: Plane, attack: Perturbation, shown: np.ndarray, gid: str
) -> None:
    """What one position of the slider adds to the panels."""
    artists = _ways(panels["b"], before, attack, shown)
    title = f"(b) λ = {attack.lambda_:g}, Eq. (3): both tasks"
    artists.append(panels["b"].annotate(title, (0, 1), (0, 6), xycoords="axes fraction", fontweight="bold",
                                        textcoords="offset points", fontsize=9.5))  # fmt: skip
    artists += panels["shares"].plot([attack.lambda_] * 2, [0, attack.both], color=BLUE, linewidth=2.4)
    artists += panels["shares"].plot([attack.lambda_] * 2, [attack.flipped, attack.kept], "o", color=INK,
                                     markersize=4.5)  # fmt: skip
    for artist in artists:
        artist.set_gid(gid)


def _shares(ax: Axes, attacks: Sequence[Perturbation]) -> None:
    """The three shares over λ; a task's has the stroke of its decision line."""
    x = [attack.lambda_ for attack in attacks]
    ax.fill_between(x, [a.both for a in attacks], color=BLUE, alpha=0.22, linewidth=0, label="both")
    for name, task, words in (("flipped", "bias", "bias value changed"), ("kept", "target", "class kept")):
        ax.plot(x, [getattr(a, name) for a in attacks], color=INK, linestyle=LINES[task], linewidth=1.4, label=words)
    ax.set(xlim=(-0.01, 1.01), ylim=(0, 1.04), xlabel="λ")
    ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    ax.grid(axis="y")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=8)


def _says(attack: Perturbation) -> str:
    return (
        f"λ = {attack.lambda_:g}: the bias head sees the other value in {attack.flipped:.0%} of the examples, the "
        f"target head still their own class in {attack.kept:.0%}, and both is true of {attack.both:.0%}."
    ).replace("%", " %")


def in_words(attacks: Sequence[Perturbation], lambda_: float) -> Prose:
    """What the attack achieves at λ = 1, at the chapter's λ and at 0."""
    shown = (attacks[-1], attacks[_position(attacks, lambda_)], attacks[0])
    return Prose("\n".join(f"* {_says(attack)}" for attack in shown))


def _position(attacks: Sequence[Perturbation], lambda_: float) -> int:
    lambdas = [attack.lambda_ for attack in attacks]
    if lambda_ not in lambdas:
        raise ValueError(f"there is no attack with λ = {lambda_:g}; there are {', '.join(f'{v:g}' for v in lambdas)}.")
    return lambdas.index(lambda_)


# --- what came of it --------------------------------------------------------------------------------------------------


@styled
def fig_outcomes(outcomes: Sequence[Outcome], ceiling: float, profile: str) -> Figure:
    """bACC and model bias of every method and λ that was trained in the plane, a dot a seed.

    ceiling: the accuracy in percent of the best vertical line; `profile`: which says how many seeds there are
    """
    data = pd.DataFrame([{"name": _named(each), "bacc": each.bacc, "bias": each.bias} for each in outcomes])
    names, n_seeds = list(data["name"].unique()), len({outcome.seed for outcome in outcomes})
    drawn, (left, right) = canvas(0.9 + 0.36 * len(names), 1, 2, sharey=True)
    mean = {"marker": "|", "markersize": 15, "markeredgewidth": 1.8, "color": INK, "errorbar": None}
    for ax, quantity, title in (
        (left, "bacc", "bACC (%), higher is better"),
        (right, "bias", "model bias, lower is better"),
    ):
        single = {"color": BLUE, "size": 4.5}
        dots(ax, data, x=quantity, y="name", order=names, single=single, **mean)
        ax.set(xlabel=title, ylabel="")
        own_range(ax, "x", quantity)
        rules(ax, len(names))
    left.axvline(ceiling, color=INK, linestyle=":", linewidth=1)
    found = {name: data[data["name"] == name] for name in names}
    words = "; ".join(
        f"{name}: bACC {Estimate.of(own['bacc']).text(1)} %, bias {Estimate.of(own['bias']).text(2)}"
        for name, own in found.items()
    )
    seeds = f"{n_seeds} seeds, each with points and first weights of its own" if n_seeds > 1 else "one seed"
    told = {"words": words, "seeds": seeds, "profile": profile, "smoke": captions.SMOKE if profile == "smoke" else ""}
    return finished(drawn, "plane-outcomes", ceiling=ceiling, **told)


def _named(outcome: Outcome) -> str:
    name = label(outcome.method)
    return name if outcome.lambda_ is None else f"{name}, λ = {outcome.lambda_:g}"


# --- the plane --------------------------------------------------------------------------------------------------------


def _members(plane: Plane, target: int, bias: int) -> np.ndarray:
    return (plane.targets == target) & (plane.bias == bias)


def _shown(plane: Plane) -> np.ndarray:
    """The first few points of each large group, whose class and bias value go together."""
    return np.concatenate([np.flatnonzero(_members(plane, group, group))[:SHOWN] for group in (0, 1)])


def _points(ax: Axes, plane: Plane, some: np.ndarray | None = None, *, size: float = 3.6, alpha: float = 0.7) -> None:
    """The training points, or `some` of them, in the colour of their class and the shape of their bias value."""
    some = np.arange(len(plane.points)) if some is None else some
    for t, b in GROUPS:
        x, y = plane.points[some[_members(plane, t, b)[some]]].T
        ax.plot(x, y, MARKERS[b], markersize=size, color=CLASSES[t], alpha=alpha, markeredgewidth=0, linestyle="none")


def _examples(ax: Axes, plane: Plane, examples: np.ndarray, some: np.ndarray, alpha: float = 1) -> list[Artist]:
    """Hollow, in the colour of their class and the shape of the bias value that they were sent to."""
    drawn = []
    for t, b in GROUPS:
        x, y = examples[some[_members(plane, t, b)[some]]].T
        drawn += ax.plot(x, y, MARKERS[1 - b], markersize=4.2, color=CLASSES[t], markerfacecolor="none", alpha=alpha,
                         markeredgewidth=0.9, linestyle="none")  # fmt: skip
    return drawn


def _ways(ax: Axes, plane: Plane, attack: Perturbation, some: np.ndarray) -> list[Artist]:
    """The way that each of the originals `some` takes under attack, and its example."""
    colours = [CLASSES[t] for t in plane.targets[some]]
    ways = LineCollection(np.swapaxes(attack.paths[:, some], 0, 1), colors=colours, linewidths=0.9, alpha=0.8)
    return [ax.add_collection(ways), *_examples(ax, plane, attack.paths[-1], some)]


def _line(ax: Axes, plane: Plane, task: str, alpha: float = 1) -> None:
    margin = plane.margins[task]
    axis = np.linspace(0, 1, len(margin))
    ax.contour(axis, axis, margin, levels=[0], colors=[INK], linestyles=[LINES[task]], linewidths=1.5, alpha=alpha)


def _frame(ax: Axes, title: str) -> None:
    ax.set(xlim=(0.08, 0.92), ylim=(0.08, 0.92), aspect="equal", xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(True)
    ax.spines[:].set_alpha(0.35)


def _legend(drawn: Canvas, tasks: Sequence[str], place: str) -> None:
    """What lines and points are; of a pair of points the first has the low bias value, the second the high one."""

    def pair(**how: object) -> tuple[Line2D, ...]:
        return tuple(key("", marker=marker, markersize=4.5, **how) for marker in MARKERS)

    decisions = [key("", linestyle=LINES[task], linewidth=1.5) for task in tasks]
    legend(
        drawn, place, 4, [*decisions, pair(markeredgewidth=0), pair(markerfacecolor="none")],
        [*(f"decision line, {task} task" for task in tasks), "training points", "adversarial examples"],
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.6)}, fontsize=8,
    )  # fmt: skip
