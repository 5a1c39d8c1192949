"""What chapter 10 shows: a row of two panels for each choice, bACC and model bias over what it was varied over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from aeda_core.experiments.sensitivity import CHOICES, Choice
from aeda_core.report import captions
from aeda_core.report.figures import AXES
from aeda_core.report.look import INK, LOOKS, PALETTE, STYLE, WIDTH, Figure, finished
from aeda_core.report.paper import METHOD_LABELS
from aeda_core.report.tables import DECIMALS, Estimate, Table
from aeda_core.runs import RunRecord

MEASURES = ("bacc", "bias")

ByValue = Mapping[tuple[str, str], Sequence[RunRecord]]
"""The runs of a choice, by method and value."""


def fig_choices(runs: Mapping[str, ByValue], names: Sequence[str]) -> Figure:
    """The choices `names`, as `experiments.sensitivity.records` gives them."""
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 1.75 * len(names) + 0.5), layout="constrained")
        axes = canvas.subplots(len(names), 2, squeeze=False)
        for row, name in zip(axes, names, strict=True):
            for ax, measure in zip(row, MEASURES, strict=True):
                _panel(ax, CHOICES[name], runs[name], measure)
        canvas.legend(handles=_legend(runs, names), loc="outside upper right", ncols=4)
        shown = {r.spec.id: r for name in names for own in runs[name].values() for r in own}
        records = list(shown.values())
        return finished(
            canvas,
            "choices",
            alt=" ".join(_in_words(CHOICES[name], runs[name]) for name in names),
            caption="How accuracy (left, higher is better) and bias (right, lower is better) move with one choice, "
            "all others as in the base run. Dots: single seeds; lines: their mean; the filled column: our choice, "
            "a P below it: the paper's, where it says. "
            f"Small C-MNIST, test digits on both backgrounds. {captions.origin(records)}",
            records=records,
        )


def spans(runs: Mapping[str, ByValue]) -> Table:
    """How far aeda_robust moves with each choice, from its worst value to its best, the widest in bACC first."""
    rows = {}
    for name, by_value in runs.items():
        means = {
            measure: {
                value.replace("\n", " "): float(np.mean(_values(own, measure)))
                for (method, value), own in by_value.items()
                if method == "aeda_robust"
            }
            for measure in MEASURES
        }
        row = {}
        for measure, sign in zip(MEASURES, (1, -1), strict=True):
            ranked = sorted(means[measure], key=lambda value: sign * means[measure][value])
            worst, best = ranked[0], ranked[-1]
            title, decimals = AXES[measure], DECIMALS[measure]
            row[f"{title}: worst"] = f"{means[measure][worst]:.{decimals}f} at {worst}"
            row[f"{title}: best"] = f"{means[measure][best]:.{decimals}f} at {best}"
        rows[CHOICES[name].title] = row, np.ptp(list(means["bacc"].values()))
    ordered = sorted(rows, key=lambda title: -rows[title][1])
    records = list({r.spec.id: r for own in runs.values() for each in own.values() for r in each}.values())
    return Table(
        pd.DataFrame([rows[title][0] for title in ordered], index=ordered).rename_axis(columns="choice"),
        "What each choice can do to aeda_robust, means over seeds, the choice that matters most for accuracy first. "
        + captions.origin(records),
        records=records,
    )


def fig_cheaper(runs: Mapping[str, Sequence[RunRecord]]) -> Figure:
    """Quality over cost, as `experiments.sensitivity.cheaper` gives the runs."""
    costs = _relative_costs(runs)
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 2.9), layout="constrained")
        for ax, measure in zip(canvas.subplots(1, 2), MEASURES, strict=True):
            for (name, own), marker, colour in zip(runs.items(), "osD^", PALETTE[:4], strict=True):
                values = _values(own, measure)
                ax.plot(costs[name], values, marker, color=colour, markersize=4, alpha=0.5, markeredgewidth=0)
                ax.plot(np.mean(costs[name]), np.mean(values), marker, color=colour, markersize=8, label=name)
            ax.set_xlim(0, None)
            ax.set_xlabel("CPU time (Original = 1)")
            ax.set_ylabel(AXES[measure])
            ax.grid()
        handles, labels = ax.get_legend_handles_labels()
        canvas.legend(handles, labels, loc="outside upper right", ncols=2)
        records = [record for own in runs.values() for record in own]
        return finished(
            canvas,
            "cheaper",
            alt=" ".join(
                f"{name}: {np.mean(costs[name]):.1f} times the CPU time of Original, "
                f"bACC {np.mean(_values(own, 'bacc')):.2f}, bias {np.mean(_values(own, 'bias')):.2f}."
                for name, own in runs.items()
            ),
            caption="Accuracy (left, higher is better) and bias (right, lower is better) on C-MNIST over the CPU time "
            "of a training, in units of Original's of the same seed. Small marks: seeds; large marks: their mean. "
            f"{captions.origin(records)}",
            records=records,
        )


def cheaper(runs: Mapping[str, Sequence[RunRecord]]) -> Table:
    """The same in numbers: means over seeds with 95 % intervals."""
    costs = _relative_costs(runs)
    rows = {
        name: {
            "CPU time (Original = 1)": f"{np.mean(costs[name]):.2f}",
            **{AXES[m]: Estimate.of(_values(own, m)).text(DECIMALS[m]) for m in MEASURES},
        }
        for name, own in runs.items()
    }
    records = [record for own in runs.values() for record in own]
    return Table(
        pd.DataFrame(rows.values(), index=list(rows)).rename_axis(columns="examples"),
        "What cheaper examples cost and are worth, means over seeds with 95 % intervals. " + captions.origin(records),
        records=records,
    )


def _relative_costs(runs: Mapping[str, Sequence[RunRecord]]) -> dict[str, list[float]]:
    """CPU seconds of each run over those of the first kind's run of the same seed."""
    base = {r.spec.seed: r.provenance["cpu_seconds"] for r in next(iter(runs.values()))}
    return {
        name: [r.provenance["cpu_seconds"] / max(base[r.spec.seed], 0.1) for r in own] for name, own in runs.items()
    }


def _panel(ax: Axes, choice: Choice, runs: ByValue, measure: str) -> None:
    names = list(dict.fromkeys(value for _, value in runs))
    for method in dict.fromkeys(method for method, _ in runs):
        look = LOOKS[method]
        points = [_values(runs[method, name], measure) for name in names]
        ax.plot(range(len(names)), [np.mean(p) for p in points], linewidth=1.4, **look)
        for x, values in enumerate(points):
            ax.plot([x] * len(values), values, "o", markersize=4, color=look["color"], markeredgewidth=0)
    if choice.ours in names:
        x = names.index(choice.ours)
        ax.axvspan(x - 0.28, x + 0.28, color=INK, alpha=0.1, linewidth=0)
    labels = [f"{name}\nP" if name == choice.papers else name for name in names]
    ax.set_xticks(range(len(names)), labels)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_ylabel(AXES[measure])
    ax.set_ylim(*((None, 101) if measure == "bacc" else (0, None)))
    ax.grid(axis="y")
    if measure == "bacc":
        ax.set_title(choice.title if choice.ours in names else f"{choice.title}; ours is {choice.ours}")


def _values(records: Sequence[RunRecord], measure: str) -> list[float]:
    return [getattr(record, measure) for record in records]


def _legend(runs: Mapping[str, ByValue], names: Sequence[str]) -> list[Line2D]:
    methods = dict.fromkeys(method for name in names for method, _ in runs[name])
    return [Line2D([], [], marker="o", markersize=4, label=METHOD_LABELS[m], **LOOKS[m]) for m in methods]


def _in_words(choice: Choice, runs: ByValue) -> str:
    parts = [
        f"{value.replace(chr(10), ' ')}: bACC {np.mean(_values(own, 'bacc')):.{DECIMALS['bacc']}f}, "
        f"bias {np.mean(_values(own, 'bias')):.{DECIMALS['bias']}f}"
        for (method, value), own in runs.items()
        if method == "aeda_robust"
    ]
    return f"{choice.title}: {'; '.join(parts)}."
