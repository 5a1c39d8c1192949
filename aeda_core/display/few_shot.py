"""What chapter 09 shows: Table 3, drawn and in numbers, and the samples behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from aeda_core.display import captions
from aeda_core.display.look import GREY, INK, Figure, canvas, finished, legend, look, on_phone, styled
from aeda_core.display.plots import BESIDE, HOLLOW, dots, key, picture
from aeda_core.display.tables import Prose, Table, rows
from aeda_core.experiments.few_shot import FEW, variant
from aeda_core.findings import statistics
from aeda_core.findings.few_shot import MEASURES, frame, paper_gain
from aeda_core.findings.measures import Estimate, number
from aeda_core.findings.paper import TABLE3
from aeda_core.findings.statistics import PERCENT, POINTS
from aeda_core.runs import RunRecord

LABELS = {"original": "Original", "repeated": "Shots repeated (ours)", "few_shot": "AEDA_robust"}
COLOURS = {"original": look("original")["color"], "repeated": GREY, "few_shot": look("aeda_robust")["color"]}
TITLES = {**{digit: f"digit {digit}" for digit in FEW}, "four": "mean of the four", "six": "the other six"}


def table3(records: Sequence[RunRecord]) -> Table:
    """Table 3: precision and accuracy of each few-shot digit, by every variant, beside what the paper prints."""
    runs, cells = frame(records), []
    for measure in MEASURES:
        for kind, own in runs.groupby("variant", sort=False):
            found = {
                TITLES[digit]: Estimate.of(of[measure], PERCENT).text(0)
                for digit, of in own.groupby("digit", sort=False)
            }
            cells.append({"method": LABELS[kind], "measured": measure, **found})
    for kind, printed in TABLE3.items():
        whole = printed | {"four": np.mean(list(printed.values()))}
        found = {TITLES[digit]: f"{value:.2f}" for digit, value in whole.items()}
        cells.append({"method": LABELS[kind], "measured": "the paper", **found})
    draws = "Mean over draws [95 % interval]." if _draws(records) > 1 else "A single draw, so no interval."
    data = pd.DataFrame(cells).fillna("").set_index("method").rename_axis(index=None, columns="method")
    return Table.of("table3-numbers", data, records, notes=_never(runs), draws=draws)


def _never(runs: pd.DataFrame) -> list[str]:
    """A footnote for each variant with a digit that was never predicted in some draw."""
    notes = []
    for kind, own in runs[runs["digit"].isin(FEW)].groupby("variant", sort=False):
        counts = own.groupby("digit")["never"].sum()
        if said := ", ".join(f"{digit} in {n}" for digit, n in counts.items() if n):
            draws = own["seed"].nunique()
            notes.append(f"{LABELS[kind]} never predicts {said} of {draws} draws; its precision is 0 there.")
    return notes


@styled
def fig_table3(records: Sequence[RunRecord]) -> Figure:
    """Table 3 drawn: a panel for precision and one for accuracy; of each digit the variants side by side, those of one
    draw tied."""
    runs, several = frame(records), _draws(records) > 1
    runs = runs[runs["digit"].isin(FEW)].assign(name=lambda data: data["digit"].map(TITLES))
    kinds = [kind for kind in LABELS if kind in set(runs["variant"])]
    width = 0.8 - 0.8 / len(kinds)  # as far as seaborn moves single runs apart
    offsets = dict(zip(kinds, np.linspace(-width / 2, width / 2, len(kinds)), strict=True))
    single = {"size": 2.6, "zorder": 1.9} if several else None
    drawn, panels = canvas(5.6, 2, sharex=True)
    for ax, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        for x, digit in enumerate(FEW):
            draws = runs[runs["digit"] == digit].pivot(index="seed", columns="variant", values=measure)[kinds]
            if several:
                ax.plot(np.add(x, list(offsets.values())), draws.T, color=INK, alpha=0.1, linewidth=0.7)
            for kind, printed in TABLE3.items():
                edge = x + offsets[kind] + (-0.12 if kind == "original" else 0.12)
                ax.plot(edge, printed[digit], color=COLOURS[kind], **HOLLOW)
        columns = {"x": "name", "y": measure, "hue": "variant", "hue_order": kinds, "palette": COLOURS}
        dots(ax, runs, **columns, dodge=width, single=single, within=PERCENT)
        ax.set(ylim=(-4, 104), xlim=(-0.55, len(FEW) - 0.45), title=title, xlabel="", ylabel="")
        ax.grid(axis="y")
    panels[-1].tick_params(axis="x", length=0)
    keys = [key(LABELS[kind], color=COLOURS[kind], marker="o", linewidth=2.2) for kind in kinds]
    legend(drawn, "upper right", 4, handles=[*keys, key("the paper", **HOLLOW)])
    words = "; ".join(f"{LABELS[kind]}: {_means(runs[runs['variant'] == kind])}" for kind in kinds)
    interval = ", with its 95 % interval" if several else ""
    return finished(drawn, "table3", records, words=words, interval=interval)


def _means(runs: pd.DataFrame) -> str:
    return ", ".join(
        f"{digit}: precision {number(own['precision'].mean(), 0)} %, accuracy {number(own['accuracy'].mean(), 0)} %"
        for digit, own in runs.groupby("digit", sort=False)
    )


@styled
def fig_samples(images: dict[str, np.ndarray], source: str) -> Figure:
    """Pseudo-samples beside what they were made of, a column for each few-shot digit.

    images: as `experiments.few_shot.samples` gives them
    """
    titles = {"shot": "a shot", "intra": "intra-class:\nattacked colour", "many": "another digit",
              "inter": "inter-class:\nattacked digit"}  # fmt: skip
    shape = (len(titles), len(FEW))
    drawn, axes = canvas(6.2, *shape, phone=(*shape, 3.4))
    for line, (name, title) in zip(axes, titles.items(), strict=True):
        for ax, image in zip(line, images[name], strict=True):
            picture(ax, image.transpose(1, 2, 0))
        line[0].set_ylabel(title, **BESIDE)
    for ax, digit in zip(axes[0], FEW, strict=True):
        ax.set_title(f"for {digit}" if on_phone() else f"for digit {digit}", loc="center")
    return finished(drawn, "samples", source=captions.data_phrase(source))


def gains(records: Sequence[RunRecord]) -> Prose:
    """What AEDA_robust adds to Original in the mean over the four digits, draw by draw, and how much of it repeating
    the shots adds already."""
    runs = frame(records)
    items = []
    for measure, four in ((measure, runs[runs["digit"] == "four"]) for measure in MEASURES):
        own = {kind: dict(zip(of["seed"], of[measure], strict=True)) for kind, of in four.groupby("variant")}
        whole, first, rest = (
            statistics.paired(own[one], own[other])
            for one, other in (("few_shot", "original"), ("repeated", "original"), ("few_shot", "repeated"))
        )
        told = [Estimate.of(values.values(), POINTS).text(1) for values in (whole, first, rest)]
        items.append(
            f"* **{measure}**: {told[0]} points over Original, more in {sum(gain > 0 for gain in whole.values())} of "
            f"{len(whole)} draws; the paper {paper_gain():.1f}. Repeating the shots alone: {told[1]}; the attacks on "
            f"top of that: {told[2]}"
        )
    return Prose("\n".join(items))


def tuning(tried: Sequence[RunRecord]) -> Table:
    """What was tried, on held-out training digits: means of the four digits over the draws."""
    groups: dict[str, list[RunRecord]] = {}
    for record in tried:
        groups.setdefault(_setting(record), []).append(record)
    cells = {}
    for setting, own in groups.items():
        means = frame(own).groupby("digit", sort=False)[["precision", "accuracy", "f1"]].mean()
        cells[setting] = {
            **{title: number(means.loc["four", name], 1) for name, title in {**MEASURES, "f1": "F1 (%)"}.items()},
            "accuracy of the other six (%)": number(means.loc["six", "accuracy"], 1),
            "seconds a run": f"{np.mean([record.provenance['cpu_seconds'] for record in own]):.0f}",
        }
    return Table.of("few-shot-tuning", rows(cells, "method and setting"), tried, n=_draws(tried))


def _setting(record: RunRecord) -> str:
    options, epochs = record.spec.options, record.spec.plan["epochs"]
    words = [f"{name} {options[name]}" for name in ("copies", "share") if name in options]
    words += ["class head not robust"] if not options.get("robust", True) else []
    return ", ".join([LABELS[variant(record.spec)], f"epochs {epochs}", *words])


def _draws(records: Sequence[RunRecord]) -> int:
    return len({record.spec.seed for record in records})
