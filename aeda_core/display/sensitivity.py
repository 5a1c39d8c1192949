"""What chapter 10 shows: a row of two panels for each choice, bACC and model bias over what it was varied over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from aeda_core.display.look import INK, PALETTE, Figure, canvas, finished, legend, look, styled
from aeda_core.display.plots import AXES, dots, key, own_range
from aeda_core.display.tables import Prose, Table, rows
from aeda_core.experiments.sensitivity import CHOICES, Choice
from aeda_core.findings.measures import DECIMALS, estimates, frame
from aeda_core.findings.paper import label
from aeda_core.runs import RunRecord

MEASURES = ("bacc", "bias")

ByValue = Mapping[tuple[str, str], Sequence[RunRecord]]
"""The runs of a choice, by method and value."""


@styled
def fig_choices(runs: Mapping[str, ByValue], names: Sequence[str]) -> Figure:
    """The choices `names`, as `experiments.sensitivity.records` gives them."""
    drawn, axes = canvas(1.75 * len(names) + 0.5, len(names), 2, squeeze=False)
    for row, name in zip(axes, names, strict=True):
        for ax, measure in zip(row, MEASURES, strict=True):
            _panel(ax, CHOICES[name], runs[name], measure)
    methods = dict.fromkeys(method for name in names for method, _ in runs[name])
    keys = [
        key(label(method), **{"marker": "o", "markersize": 4, "linewidth": 1.5, **look(method)}) for method in methods
    ]
    legend(drawn, "upper right", 4, handles=keys)
    words = " ".join(_in_words(CHOICES[name], runs[name]) for name in names)
    return finished(drawn, "choices", _records(own for name in names for own in runs[name].values()), words=words)


def _panel(ax: Axes, choice: Choice, runs: ByValue, measure: str) -> None:
    data = pd.DataFrame(
        [(method, value, getattr(r, measure)) for (method, value), own in runs.items() for r in own],
        columns=["method", "value", measure],
    )
    values = list(data["value"].unique())
    for method, own in data.groupby("method", sort=False):
        colour = look(method)["color"]
        dots(ax, own, x="value", y=measure, order=values, single={"color": colour, "size": 4}, errorbar=None, marker="",
             linewidth=1.4, **look(method))  # fmt: skip
    if choice.ours in values:
        x = values.index(choice.ours)
        ax.axvspan(x - 0.28, x + 0.28, color=INK, alpha=0.1, linewidth=0)
    ax.set_xticks(range(len(values)), [f"{value}\nP" if value == choice.papers else value for value in values])
    ax.set(xlim=(-0.5, len(values) - 0.5), xlabel="", ylabel=AXES[measure])
    own_range(ax, "y", measure)
    ax.grid(axis="y")
    if measure == "bacc":
        ax.set_title(choice.title if choice.ours in values else f"{choice.title}; ours is {choice.ours}")


def _in_words(choice: Choice, runs: ByValue) -> str:
    parts = [
        f"{value}: " + ", ".join(f"{name} {_told(own, m)}" for m, name in (("bacc", "bACC"), ("bias", "bias")))
        for value, own in _robust(runs).items()
    ]
    return f"{choice.title}: {'; '.join(parts)}."


def spans(runs: Mapping[str, ByValue]) -> Table:
    """How far aeda_robust moves with each choice, from its worst value to its best, the widest in bACC first."""
    cells: dict[str, dict[str, str]] = {}
    for name in _widest_first(runs):
        robust, title = _robust(runs[name]), CHOICES[name].title
        cells[title] = {}
        for measure in MEASURES:
            for word, value in zip(("worst", "best"), _ends(robust, measure), strict=True):
                cells[title][f"{AXES[measure]}: {word}"] = f"{_told(robust[value], measure)} at {value}"
    records = _records(own for by_value in runs.values() for own in by_value.values())
    return Table.of("spans", rows(cells, "choice"), records)


def in_short(runs: Mapping[str, ByValue]) -> Prose:
    """The three choices on which aeda_robust depends most."""
    lines = []
    for name in _widest_first(runs)[:3]:
        robust = _robust(runs[name])
        worst, best = _ends(robust, "bacc")
        lines.append(
            f"* **{CHOICES[name].title}**: bACC goes from {_told(robust[worst], 'bacc')} % at {worst} to "
            f"{_told(robust[best], 'bacc')} % at {best}.".replace("\n", " ")
        )
    return Prose("\n".join(lines))


def _widest_first(runs: Mapping[str, ByValue]) -> list[str]:
    """The choices by how far aeda_robust's bACC moves with them."""
    return sorted(runs, key=lambda name: -np.ptp([_mean(own, "bacc") for own in _robust(runs[name]).values()]))


def _ends(robust: Mapping[str, Sequence[RunRecord]], measure: str) -> tuple[str, str]:
    """The values of a choice with the worst and with the best `measure`."""
    ranked = sorted(robust, key=lambda value: _mean(robust[value], measure), reverse=measure == "bias")
    return ranked[0], ranked[-1]


@styled
def fig_cheaper(runs: Mapping[str, Sequence[RunRecord]]) -> Figure:
    """Quality over cost, as `experiments.sensitivity.cheaper` gives the runs."""
    costs = _relative_costs(runs)
    drawn, panels = canvas(2.9, 1, 2)
    for ax, measure in zip(panels, MEASURES, strict=True):
        for (name, own), marker, colour in zip(runs.items(), "osD^", PALETTE[:4], strict=True):
            values = [getattr(record, measure) for record in own]
            ax.plot(costs[name], values, marker, color=colour, markersize=3, markeredgewidth=0)
            ax.plot(np.mean(costs[name]), np.mean(values), marker, color=colour, markersize=8, label=name)
        ax.set(xlim=(0, None), xlabel="CPU time (Original = 1)", ylabel=AXES[measure])
        own_range(ax, "y", measure)
        ax.grid()
    legend(drawn, "upper right", 2, *ax.get_legend_handles_labels())
    words = " ".join(
        f"{name}: {np.mean(costs[name]):.1f} times the CPU time of Original, bACC {_mean(own, 'bacc'):.2f}, bias "
        f"{_mean(own, 'bias'):.2f}."
        for name, own in runs.items()
    )
    return finished(drawn, "cheaper", _records(runs.values()), words=words)


def cheaper(runs: Mapping[str, Sequence[RunRecord]]) -> Table:
    """The same in numbers: means over seeds with 95 % intervals, and the seed that is left with the most bias."""
    costs = _relative_costs(runs)
    cells = {
        name: {"seeds": str(len(own)), "CPU time (Original = 1)": f"{np.mean(costs[name]):.2f}"}
        | {AXES[m]: estimates(frame(own), m)[own[0].name].text(DECIMALS[m]) for m in MEASURES}
        | {"bias, worst seed": f"{max(record.bias for record in own):.{DECIMALS['bias']}f}"}
        for name, own in runs.items()
    }
    return Table.of("cheaper-numbers", rows(cells, "examples"), _records(runs.values()))


def _relative_costs(runs: Mapping[str, Sequence[RunRecord]]) -> dict[str, list[float]]:
    """CPU seconds of each run over those of the first kind's run of the same seed."""
    base = {r.spec.seed: r.provenance["cpu_seconds"] for r in next(iter(runs.values()))}
    return {
        name: [r.provenance["cpu_seconds"] / max(base[r.spec.seed], 0.1) for r in own] for name, own in runs.items()
    }


def _robust(runs: ByValue) -> dict[str, Sequence[RunRecord]]:
    """The runs of aeda_robust, by value on one line."""
    return {value.replace("\n", " "): own for (method, value), own in runs.items() if method == "aeda_robust"}


def _mean(own: Sequence[RunRecord], measure: str) -> float:
    return float(np.mean([getattr(record, measure) for record in own]))


def _told(own: Sequence[RunRecord], measure: str) -> str:
    return f"{_mean(own, measure):.{DECIMALS[measure]}f}"


def _records(groups: Iterable[Sequence[RunRecord]]) -> list[RunRecord]:
    """All runs of `groups`, each once."""
    return list({record.spec.id: record for own in groups for record in own}.values())
