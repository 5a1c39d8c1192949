"""Records as figures.

A figure function takes records (or images) and returns a `Figure`. What it draws is computed by `tables`; nothing here
knows a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.report import captions, tables
from aeda_core.report.look import BLUE, INK, LOOKS, STYLE, VERMILLION, WIDTH, Figure, finished
from aeda_core.report.paper import METHOD_LABELS
from aeda_core.report.tables import DECIMALS, Estimate, number
from aeda_core.runs import RunRecord

AXES = {
    "bacc": "bACC (%)",
    "bias": "model bias",
    "r": "transferability r(m)",
    "difference": "feature difference, Eq. (7)",
    "fooled": "share of examples that fool h_b",
    "bias_head": "accuracy of h_b",
    "loss": "training loss",
}
LIMITS = {"bacc": (None, 100), "bias": (0, None), "r": (0, 1), "difference": (0, None), "fooled": (0, 1)}

# --- the figures of chapter 05 ----------------------------------------------------------------------------------------


def fig7(training: BiasedImages, test: BiasedImages, source: str) -> Figure:
    """Fig. 7: the ten training digits on their backgrounds, and test digits on both.

    training: ten images, digits 0 to 9; test: twenty, 0 to 9 on the first background, then on the second
    """
    rows = {
        "training": training.images,
        f"test, {test.bias_names[0]}": test.images[:10],
        f"test, {test.bias_names[1]}": test.images[10:],
    }
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 2.5), layout="constrained")
        axes = canvas.subplots(3, 1, gridspec_kw={"hspace": 0.06})
        for ax, (name, images) in zip(axes, rows.items(), strict=True):
            strip = _side_by_side(images)
            ax.imshow(strip, interpolation="none")
            ax.set_ylabel(name, rotation=0, ha="right", va="center")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        per_digit = strip.shape[1] / 10
        axes[-1].set_xticks([(i + 0.5) * per_digit for i in range(10)], labels=test.target_names, fontweight="bold")
        axes[-1].tick_params(length=0)
        return finished(
            canvas,
            "fig7",
            alt="Three rows of the handwritten digits 0 to 9 in white. Training row: 0 to 4 on a red background, 5 to "
            "9 on a brown one. Test rows: all ten digits on red, and all ten on brown.",
            caption="What the classifier is shown and what it is asked. In training the background narrows the "
            "digit down to five, 0 to 4 on red and 5 to 9 on brown; in testing every digit comes on both "
            f"(after Fig. 7 of the paper). Images from {captions.data_phrase(source)}.",
        )


def fig_table(records: Sequence[RunRecord]) -> Figure:
    """Table 1 or 2 as a dot plot: bACC and model bias of every method, beside the paper's values."""
    runs, paper = tables.frame(records), tables.published_for(records)
    methods = list(runs["method"].unique())
    refused = {method for method, own in runs.groupby("method") if own["refused"].notna().all()}
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 1.1 + 0.36 * len(methods)), layout="constrained")
        left, right = canvas.subplots(1, 2, sharey=True)
        for ax, column, better in ((left, "bacc", "higher is better"), (right, "bias", "lower is better")):
            found = tables.estimates(runs, column)
            for y, method in enumerate(methods):
                if method in refused:
                    ax.text(0.5, y, "needs every group", style="italic", ha="center", va="center", alpha=0.75,
                            transform=ax.get_yaxis_transform())  # fmt: skip
                else:
                    _dot(ax, y - 0.13, found[method], runs.loc[runs["method"] == method, column])
                published = paper.get(method, {}).get(column)
                if published is not None:
                    ax.plot(published, y + 0.2, "D", markersize=5, color=INK, markerfacecolor="none")
            ax.set_xlabel(f"{AXES[column]}, {better}")
            ax.grid(axis="x")
            ax.tick_params(axis="y", length=0)
            ax.spines["left"].set_visible(False)
            for y in range(len(methods) - 1):
                ax.axhline(y + 0.5, color=INK, alpha=0.12, linewidth=0.6)
        left.set_yticks(range(len(methods)), [METHOD_LABELS[m] for m in methods])
        left.set_ylim(len(methods) - 0.5, -0.5)
        left.set_xlim(min(48, left.get_xlim()[0]), 100.5)
        right.set_xlim(-0.15, max(9, right.get_xlim()[1]))
        unit = captions.unit_of(records)
        canvas.legend(handles=_dot_legend(captions.has_intervals(records), unit), loc="outside upper right", ncols=3)
        values = "; ".join(_in_words(runs, method) for method in methods)
        return finished(
            canvas,
            "table",
            alt=f"Dot plot of bACC and model bias for {len(methods)} methods. {values}.",
            caption=f"{tables.TITLES[records[0].spec.data['name']]}, drawn. Filled dots: the mean of our runs"
            + (f", with its 95 % interval and the single {unit}s" if captions.has_intervals(records) else "")
            + "; open diamonds: the paper. "
            + ("A method that balances groups cannot start where one of them is empty. " if refused else "")
            + captions.origin(records),
            records=records,
        )


def fig8(records: Sequence[RunRecord], methods: Sequence[str] = ("original", "aeda_robust")) -> Figure:
    """Fig. 8: for each of `methods` two confusion matrices, test digits on red and on brown, in percent of a row."""
    shown = [record for record in records if record.spec.method in methods and not record.refused]
    if missing := set(methods) - {record.spec.method for record in shown}:
        raise ValueError(f"no record of {', '.join(sorted(missing))}; pass the records of every method to be shown.")
    never = "never" if all(record.spec.data["correlation"] == 1 for record in shown) else "rarely"
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 3.75 * len(methods)), layout="constrained")
        axes = canvas.subplots(len(methods), 2, squeeze=False)
        for row, method in zip(axes, methods, strict=True):
            counts = sum(record.counts for record in shown if record.spec.method == method)
            percent = 100 * counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)  # a row without images stays 0
            for ax, matrix, background, unseen in zip(row, percent, ("red", "brown"), (5, 0), strict=True):
                _confusion(ax, matrix)
                ax.set_title(f"{METHOD_LABELS[method]}, tested on {background}")
                ax.add_patch(Rectangle((-0.5, unseen - 0.5), 10, 5, fill=False, edgecolor=VERMILLION, linewidth=1.6))
                ax.text(9.75, unseen + 2, f"{never} on {background} in training", rotation=270, ha="left", va="center",
                        fontsize=8, style="italic")  # fmt: skip
            row[0].set_ylabel("true digit")
        for ax in axes[-1]:
            ax.set_xlabel("predicted digit")
        own, other = (tables.estimates(tables.frame(shown), side) for side in ("own", "other"))
        words = "; ".join(
            f"{METHOD_LABELS[m]}: {number(own[m].mean, 0)} % right on the background known from training, "
            f"{number(other[m].mean, 0)} % on the other"
            for m in methods
        )
        return finished(
            canvas,
            "fig8",
            alt=f"Confusion matrices of {len(methods)} methods for test digits on red and on brown. {words}.",
            caption="Which digit is taken for which, in percent of the true digit's test images, summed over seeds; "
            f"cells of at least 1 % carry their number. The frame holds the digits that training {never} "
            f"showed on this background (after Fig. 8 of the paper). {captions.origin(shown)}",
            records=shown,
        )


def fig_curves(
    records: Sequence[RunRecord], columns: Sequence[str] = ("bacc", "bias"), methods: Sequence[str] | None = None
) -> Figure:
    """Curves over the epochs, on held-out training images: `columns` of `training.train`, a panel each.

    methods: those to be drawn, by their `captions.name`; all by default
    """
    records = [r for r in records if methods is None or captions.name(r) in methods]
    rows = tables.epochs(records)
    stops = {r.spec.options["stop"] for r in records if "stop" in r.spec.options}
    last = max((len(record.epochs) for record in records), default=0)
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 0.3 + 2.3 * len(columns)), layout="constrained")
        panels = canvas.subplots(len(columns), 1, sharex=True, squeeze=False)[:, 0]
        ends: dict[str, dict[str, float]] = {}
        for ax, column in zip(panels, columns, strict=True):
            ends[column] = {}
            for method, curve in rows.dropna(subset=column).groupby("method", sort=False):
                ends[column][method] = _curve(ax, curve, column, LOOKS[method])
            _limit(ax, column)
            for stop in stops:
                ax.axvline(stop, color=INK, alpha=0.4, linewidth=0.8, linestyle=":")
            ax.set_title(AXES[column])
            ax.grid(axis="y")
            ax.set_xlim(1, max(2, last))  # a single epoch leaves a dot on the left
            ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
            _label_ends(ax, ends[column])
        panels[-1].set_xlabel("epoch")
        words = "; ".join(
            f"{AXES[c]}: "
            + (
                ", ".join(f"{METHOD_LABELS[m]} {v:.{DECIMALS.get(c, 2)}f}" for m, v in ends[c].items())
                or "never measured"
            )
            for c in columns
        )
        unit = captions.unit_of(records)
        spread = (
            f"bands: 95 % interval over the {unit}s" if captions.has_intervals(records) else f"one {unit}, so no band"
        )
        return finished(
            canvas,
            "curves",
            alt=f"Curves over {last} epochs. Values after the last one: {words}.",
            caption=f"While the classifiers train: {' and '.join(AXES[c] for c in columns)}, measured on "
            f"{_looked_at(columns, records)}. Lines: mean; {spread}. "
            + (f"Dotted: epoch {min(stops)}, the last with new examples where they stop. " if stops else "")
            + f"{captions.origin(records)}",
            records=records,
        )


def fig_accuracy_fairness(records: Sequence[RunRecord]) -> Figure:
    """Model bias against bACC, a point a method: whether accuracy and fairness rise together (Sec. 4.4.1)."""
    shown = [record for record in records if not record.refused]
    runs, paper = tables.frame(shown), tables.published_for(shown)
    bacc, bias = tables.estimates(runs, "bacc"), tables.estimates(runs, "bias")
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 4.3), layout="constrained")
        ax = canvas.subplots()
        for method in bacc:
            colour = LOOKS[method]["color"]
            here = (bias[method].mean, bacc[method].mean)
            if method in paper and paper[method]["bacc"] is not None:
                there = (paper[method]["bias"], paper[method]["bacc"])
                ax.plot(*zip(here, there, strict=True), color=colour, linewidth=0.8, linestyle=":")
                ax.plot(*there, "D", markersize=5, color=colour, markerfacecolor="none")
            seeds = runs[runs["method"] == method]
            ax.plot(seeds["bias"], seeds["bacc"], "o", color=colour, markersize=3, alpha=0.4, markeredgewidth=0)
            ax.plot(*here, "o", color=colour, markersize=7)
        ax.set(xlabel="model bias (fairer to the left)", ylabel="bACC (%)")
        ax.set_xlim(-0.2, max(9.5, ax.get_xlim()[1] + 1))
        ax.set_ylim(min(48, ax.get_ylim()[0]), 101)
        ax.grid()
        _label_points(ax, {m: (bias[m].mean, bacc[m].mean) for m in bacc})
        return finished(
            canvas,
            "accuracy-fairness",
            alt="Scatter plot of model bias and bACC. " + "; ".join(_in_words(runs, m) for m in bacc) + ".",
            caption="Accuracy and fairness rise together where the points climb to the left. Filled dots: the mean of "
            f"our runs; small dots: single {captions.unit_of(records)}s; open diamonds: the paper, tied to the same "
            "method. " + captions.origin(shown),
            records=shown,
        )


# --- drawing ----------------------------------------------------------------------------------------------------------


def _side_by_side(images: Tensor, gap: int = 3) -> np.ndarray:
    """uint8 images (N, 3, H, W) as one RGBA strip, a transparent gap around each."""
    pixels = images.permute(0, 2, 3, 1).cpu().numpy()
    opaque = np.concatenate([pixels, np.full((*pixels.shape[:3], 1), 255, np.uint8)], axis=3)
    padded = np.pad(opaque, ((0, 0), (0, 0), (gap, gap), (0, 0)))
    return np.concatenate(list(padded), axis=1)


def _dot(ax: Axes, y: float, estimate: Estimate, values: pd.Series) -> None:
    if np.isfinite(estimate.low):
        ax.plot([estimate.low, estimate.high], [y, y], color=BLUE, linewidth=2.2, solid_capstyle="butt")
        ax.plot(values, [y] * len(values), "o", markersize=3.2, color=INK, alpha=0.4, markeredgewidth=0)
    ax.plot(estimate.mean, y, "o", markersize=6, color=BLUE, markeredgewidth=0)


def _dot_legend(intervals: bool, unit: str) -> list[Line2D]:
    ours = Line2D([], [], color=BLUE, marker="o", markersize=6, linewidth=2.2 if intervals else 0,
                  label="ours, mean and 95 % interval" if intervals else "ours, one run")  # fmt: skip
    seed = Line2D([], [], color=INK, marker="o", markersize=3.2, alpha=0.4, linewidth=0, label=f"one {unit}")
    paper = Line2D([], [], color=INK, marker="D", markersize=5, markerfacecolor="none", linewidth=0, label="the paper")
    return [ours, seed, paper] if intervals else [ours, paper]


def _confusion(ax: Axes, percent: np.ndarray) -> None:
    """Cells as tiles of one hue, transparent where there is nothing, never too dark for the page's ink on them."""
    cells = [(t, p) for t in range(10) for p in range(10) if percent[t, p] >= 0.5]
    shades = [(BLUE, 0.04 + 0.52 * percent[cell] / 100) for cell in cells]
    tiles = [Rectangle((p - 0.47, t - 0.47), 0.94, 0.94, facecolor=s) for (t, p), s in zip(cells, shades, strict=True)]
    ax.add_collection(PatchCollection(tiles, match_original=True, linewidth=0))
    for t, p in cells:
        if percent[t, p] >= 1:
            ax.text(p, t, f"{percent[t, p]:.0f}", ha="center", va="center_baseline", fontsize=7.5,
                    fontweight="bold" if t == p else "normal")  # fmt: skip
    ax.set(xlim=(-0.5, 9.5), ylim=(9.5, -0.5), aspect="equal", xticks=range(10), yticks=range(10))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(True)
    ax.spines[:].set_alpha(0.35)


def _curve(ax: Axes, curve: pd.DataFrame, column: str, look: Mapping[str, Any]) -> float:
    """Draw the mean over seeds with its interval; returns the last mean."""
    found = {epoch: Estimate.of(rows[column]) for epoch, rows in curve.groupby("epoch")}
    x, mean = list(found), [e.mean for e in found.values()]
    ax.plot(x, mean, linewidth=1.6, marker="o" if len(x) == 1 else None, **look)
    if all(np.isfinite(e.low) for e in found.values()):
        low, high = [e.low for e in found.values()], [e.high for e in found.values()]
        low, high = np.clip([low, high], *LIMITS.get(column, (None, None)))
        ax.fill_between(x, low, high, color=look["color"], alpha=0.16, linewidth=0)
    return mean[-1]


def _limit(ax: Axes, column: str) -> None:
    """The quantity's own range where it has one, with a little air so that a line on the edge is seen whole."""
    limits = LIMITS.get(column, (None, None))
    bottom, top = (own if own is not None else seen for own, seen in zip(limits, ax.get_ylim(), strict=True))
    air = 0.025 * (top - bottom)
    ax.set_ylim(bottom - air, top + air)


def _label_ends(ax: Axes, ends: Mapping[str, float]) -> None:
    """Names at the ends of the lines, moved apart where they would overlap, each tied to its line."""
    low, high = ax.get_ylim()
    if not ends:
        ax.text(0.5, 0.5, "never measured", style="italic", ha="center", va="center", transform=ax.transAxes)
        return
    names = sorted(ends, key=ends.__getitem__)
    for method, y in zip(names, _spread([ends[m] for m in names], (high - low) * 0.088, low, high), strict=True):
        ax.annotate(METHOD_LABELS[method], (1, ends[method]), (1.05, y), xycoords=ax.get_yaxis_transform(),
                    textcoords=ax.get_yaxis_transform(), va="center", fontsize=8.5, annotation_clip=False,
                    arrowprops={"arrowstyle": "-", "shrinkA": 1, "shrinkB": 0, "linewidth": 1.1, "relpos": (0, 0.5),
                                **LOOKS[method]})  # fmt: skip


def _label_points(ax: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    low, high = ax.get_ylim()
    names = sorted(points, key=lambda method: points[method][1])
    heights = _spread([points[m][1] for m in names], (high - low) * 0.052, low, high)
    for method, y in zip(names, heights, strict=True):
        ax.annotate(METHOD_LABELS[method], points[method], (points[method][0] + 0.55, y), va="center",
                    arrowprops={"arrowstyle": "-", "color": INK, "alpha": 0.35, "linewidth": 0.7, "shrinkA": 1,
                                "shrinkB": 4, "relpos": (0, 0.5)})  # fmt: skip


def _spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending `positions`, moved as little as it takes to be `gap` apart and, where they fit, within [low, high]."""
    y = np.asarray(positions, dtype=float)
    for _ in range(200):
        for i in range(len(y) - 1):
            if (short := gap - (y[i + 1] - y[i])) > 0:
                y[i], y[i + 1] = y[i] - short / 2, y[i + 1] + short / 2
        y += max(0, low - y[0]) - max(0, y[-1] - high)
    return y.tolist()


def _in_words(runs: pd.DataFrame, method: str) -> str:
    own = runs[runs["method"] == method]
    if own["refused"].notna().all():
        return f"{METHOD_LABELS[method]}: needs every group"
    return f"{METHOD_LABELS[method]}: bACC {own['bacc'].mean():.1f} %, bias {own['bias'].mean():.2f}"


def _looked_at(columns: Iterable[str], records: Sequence[RunRecord]) -> str:
    """What the rows of `training.train` are about."""
    faces = records[0].spec.data["name"] == "celeba"
    held_out = "faces held out of training" if faces else "held-out training digits on both backgrounds"
    probed = "training images and their adversarial examples"
    kinds = dict.fromkeys(held_out if c in ("bacc", "bias") else probed for c in columns)
    return " and ".join(kinds)
