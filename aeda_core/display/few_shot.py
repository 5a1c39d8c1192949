"""Records of chapter 09 as Table 3, its figure and its claims: what becomes of the digits with four images each."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from aeda_core import metrics
from aeda_core.experiments.few_shot import FEW, variant
from aeda_core.report import captions
from aeda_core.report.look import GREY, INK, LOOKS, STYLE, WIDTH, Figure, finished
from aeda_core.report.paper import TABLE3
from aeda_core.report.tables import Estimate, Prose, Table, number
from aeda_core.runs import RunRecord

LABELS = {"original": "Original", "repeated": "Shots repeated (ours)", "few_shot": "AEDA_robust"}
COLOURS = {"original": LOOKS["original"]["color"], "repeated": GREY, "few_shot": LOOKS["aeda_robust"]["color"]}
MEASURES = {"precision": "precision (%)", "accuracy": "accuracy (%)"}


def precision(counts: ArrayLike) -> np.ndarray:
    """TP / (TP + FP) in percent, float (T,), over both backgrounds; 0 where a class is never predicted, which is 0/0
    (assumption: few-shot-precision)."""
    counts = np.asarray(counts).sum(axis=0)
    return 100 * np.diagonal(counts) / np.maximum(counts.sum(axis=0), 1)


def accuracy(counts: ArrayLike) -> np.ndarray:
    """TP / (TP + FN) in percent, float (T,): the share of a class's images that are recognised, over both
    backgrounds; also called recall. NaN for a class without test images."""
    known = metrics.defined(counts)
    found = np.full(len(known), np.nan)
    found[known] = 100 * metrics.group_accuracy(counts, known).mean(axis=1)
    return found


def f1(counts: ArrayLike) -> np.ndarray:
    """2 TP / (2 TP + FP + FN) in percent, float (T,): the harmonic mean of precision and recall; 0 for a class
    that is neither there nor predicted."""
    counts = np.asarray(counts).sum(axis=0)
    return 200 * np.diagonal(counts) / np.maximum(counts.sum(axis=0) + counts.sum(axis=1), 1)


def never_predicted(counts: ArrayLike) -> np.ndarray:
    """bool (T,): which classes no image was taken for."""
    return np.asarray(counts).sum(axis=(0, 1)) == 0


def frame(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row a run and digit, `four` being the mean of the few-shot digits and `six` that of the others.

    variant, seed; digit; precision, accuracy and f1 in percent; never: whether the digit was never predicted
    """
    rows = []
    for record in records:
        of = {
            name: kind(record.counts) for name, kind in (("precision", precision), ("accuracy", accuracy), ("f1", f1))
        }
        others = [digit for digit in range(10) if digit not in FEW]
        groups = {**{digit: [digit] for digit in FEW}, "four": list(FEW), "six": others}
        for digit, members in groups.items():
            row = {name: float(values[members].mean()) for name, values in of.items()}
            never = bool(never_predicted(record.counts)[members].all())
            rows.append(
                {"variant": variant(record.spec), "seed": record.spec.seed, "digit": digit, **row, "never": never}
            )
    return pd.DataFrame(rows, columns=["variant", "seed", "digit", "precision", "accuracy", "f1", "never"])


def table3(records: Sequence[RunRecord]) -> Table:
    """Table 3: precision and accuracy of each few-shot digit, by every variant, beside what the paper prints."""
    runs = frame(records)
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for measure in MEASURES:
        for kind, own in runs.groupby("variant", sort=False):
            cells = {_title(d): Estimate.of(of[measure]).text(0) for d, of in own.groupby("digit", sort=False)}
            rows[LABELS[kind], measure] = cells
    for kind, printed in TABLE3.items():
        cells = {_title(digit): f"{value:.2f}" for digit, value in printed.items()}
        rows[LABELS[kind], "the paper"] = cells | {_title("four"): f"{np.mean(list(printed.values())):.2f}"}
    data = pd.DataFrame([{"": what, **cells} for (_, what), cells in rows.items()], index=[name for name, _ in rows])
    return Table(
        data.fillna("").rename_axis(columns="method"),
        "What becomes of the digits with few images, on the test digits of C-MNIST, each on both backgrounds. "
        "Precision: of the images taken for the digit, those that are it, and 0 where none is; accuracy: of the "
        "digit's images, those that are recognised; the paper prints one number and calls it both. "
        f"{_spread(records)} {_origin(records)}",
        _never(runs),
        records=records,
    )


def fig_table3(records: Sequence[RunRecord]) -> Figure:
    """Table 3 drawn: a panel for precision and one for accuracy; of each digit the variants side by side, the two of
    the paper tied draw by draw."""
    runs = frame(records)
    kinds = [kind for kind in LABELS if kind in set(runs["variant"])]
    offsets = dict(zip(kinds, np.linspace(-0.26, 0.26, len(kinds)), strict=True))
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 5.6), layout="constrained")
        panels = canvas.subplots(2, 1, sharex=True)
        for ax, (measure, title) in zip(panels, MEASURES.items(), strict=True):
            for x, digit in enumerate(FEW):
                _digit(ax, x, runs[runs["digit"] == digit], measure, offsets)
                for kind, printed in TABLE3.items():
                    edge = x + offsets[kind] + (-0.12 if kind == "original" else 0.12)
                    ax.plot(edge, printed[digit], "D", markersize=5, color=COLOURS[kind], markerfacecolor="none")
            ax.set_title(title)
            ax.set(ylim=(-4, 104), xlim=(-0.55, len(FEW) - 0.45))
            ax.grid(axis="y")
        panels[-1].set_xticks(range(len(FEW)), [f"digit {digit}" for digit in FEW])
        panels[-1].tick_params(axis="x", length=0)
        ours = [Line2D([], [], color=COLOURS[k], marker="o", linewidth=2.2, label=LABELS[k]) for k in kinds]
        paper = Line2D([], [], color=INK, marker="D", markerfacecolor="none", linewidth=0, label="the paper")
        canvas.legend(handles=[*ours, paper], loc="outside upper right", ncols=4)
        words = "; ".join(f"{LABELS[k]}: " + _means(runs[runs["variant"] == k]) for k in kinds)
        return finished(
            canvas,
            "table3",
            alt=f"Dot plots of precision and accuracy of the digits 2, 4, 6 and 8. {words}.",
            caption="Four digits with four images each. Filled dots: the mean of our runs"
            + (", with its 95 % interval" if _n(records) > 1 else "")
            + "; small dots: single draws of the shots, those of one draw tied; open diamonds: the paper's one draw, "
            "its only numbers in both panels. A digit that is never predicted has a precision of 0. "
            + _origin(records),
            records=records,
        )


def fig_samples(images: dict[str, np.ndarray], source: str) -> Figure:
    """Pseudo-samples beside what they were made of, a column for each few-shot digit.

    images: as `experiments.few_shot.samples` gives them
    """
    rows = {"shot": "a shot", "intra": "intra-class:\nattacked colour", "many": "another digit",
            "inter": "inter-class:\nattacked digit"}  # fmt: skip
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 6.2), layout="constrained")
        axes = canvas.subplots(len(rows), len(FEW))
        for line, (name, title) in zip(axes, rows.items(), strict=True):
            for ax, image in zip(line, images[name], strict=True):
                ax.imshow(image.transpose(1, 2, 0), interpolation="none")
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
            line[0].set_ylabel(title, rotation=0, ha="right", va="center")
        for ax, digit in zip(axes[0], FEW, strict=True):
            ax.set_title(f"for digit {digit}", loc="center")
        return finished(
            canvas,
            "samples",
            alt="Four rows of four coloured digits: shots of 2, 4, 6 and 8; the same with stains in other colours; "
            "images of other digits; the same with stains, too.",
            caption="Pseudo-samples of the last attack. Second row: the shots above, attacked until their colour seems "
            "the other one; they keep their label. Fourth row: the images of other digits above, attacked towards the "
            "few-shot digit of the column; they get its label. "
            f"Digits from {captions.data_phrase(source)}.",
        )


def gains(records: Sequence[RunRecord]) -> Prose:
    """What AEDA_robust adds to Original in the mean over the four digits, draw by draw, and how much of it repeating
    the shots adds already."""
    values = by_seed(records)
    items = []
    for measure in MEASURES:
        own = {kind: values[kind, measure, "four"] for kind in LABELS if (kind, measure, "four") in values}
        whole, first = (metrics.paired(own[kind], own["original"]) for kind in ("few_shot", "repeated"))
        rest = metrics.paired(own["few_shot"], own["repeated"])
        up = sum(own["few_shot"][seed] > own["original"][seed] for seed in own["original"])
        items.append(
            f"* **{measure}**: {_mean(whole)} points over Original, more in {up} of {len(whole)} draws; the paper "
            f"{paper_gain():.1f}. Repeating the shots alone: {_mean(first)}; the attacks on top of that: {_mean(rest)}"
        )
    return Prose("\n".join(items))


def tuning(tried: Sequence[RunRecord]) -> Table:
    """What was tried, on held-out training digits: means of the four digits over the draws."""
    groups: dict[str, list[RunRecord]] = {}
    for record in tried:
        groups.setdefault(_setting(record), []).append(record)
    rows = {}
    for setting, own in groups.items():
        runs = frame(own)
        four = runs[runs["digit"] == "four"]
        rows[setting] = {
            **{title: number(four[name].mean(), 1) for name, title in {**MEASURES, "f1": "F1 (%)"}.items()},
            "accuracy of the other six (%)": number(runs.loc[runs["digit"] == "six", "accuracy"].mean(), 1),
            "seconds a run": f"{np.mean([record.provenance['cpu_seconds'] for record in own]):.0f}",
        }
    return Table(
        pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="method and setting"),
        "What was tried, judged on held-out training digits on both backgrounds, never on test digits: means of the "
        f"digits 2, 4, 6 and 8 over {_n(tried)} draws of their own. {captions.origin(tried)}",
        records=tried,
    )


def paper_gain() -> float:
    """What Table 3 adds up to: the mean of the four differences, which the text rounds to 27."""
    return float(np.mean([TABLE3["few_shot"][digit] - TABLE3["original"][digit] for digit in FEW]))


def differences(records: Sequence[RunRecord], measure: str) -> dict[int, float]:
    """What AEDA_robust adds to Original's `measure` in the mean over the four digits, in points, by seed."""
    values = by_seed(records)
    return metrics.paired(*(values.get((kind, measure, "four"), {}) for kind in ("few_shot", "original")))


BySeed = dict[tuple[str, str, int | str], dict[int, float]]


def by_seed(records: Sequence[RunRecord]) -> BySeed:
    """By variant, measure and digit: the value of each seed."""
    return {
        (kind, measure, digit): dict(zip(own["seed"], own[measure], strict=True))
        for (kind, digit), own in frame(records).groupby(["variant", "digit"], sort=False)
        for measure in MEASURES
    }


def _mean(values: dict[int, float]) -> str:
    return Estimate.of(list(values.values())).text(1)


def _digit(ax: Axes, x: int, runs: pd.DataFrame, measure: str, offsets: dict[str, float]) -> None:
    """The variants of one digit around x."""
    draws = runs.pivot(index="seed", columns="variant", values=measure)[list(offsets)]
    if len(draws) > 1:
        ax.plot(np.add(x, list(offsets.values())), draws.to_numpy().T, color=INK, alpha=0.1, linewidth=0.7)
    for kind, offset in offsets.items():
        estimate = Estimate.of(draws[kind])
        if np.isfinite(estimate.low):
            ax.plot([x + offset] * len(draws), draws[kind], "o", markersize=3, color=COLOURS[kind], alpha=0.35,
                    markeredgewidth=0)  # fmt: skip
            ax.plot([x + offset] * 2, [estimate.low, estimate.high], color=COLOURS[kind], linewidth=2.2)
        ax.plot(x + offset, estimate.mean, "o", markersize=6.5, color=COLOURS[kind], markeredgewidth=0)


def _means(runs: pd.DataFrame) -> str:
    return ", ".join(
        f"{digit}: precision {number(own['precision'].mean(), 0)} %, accuracy {number(own['accuracy'].mean(), 0)} %"
        for digit, own in runs.groupby("digit", sort=False)
        if digit in FEW
    )


def _never(runs: pd.DataFrame) -> list[str]:
    """A footnote for each variant with a digit that was never predicted in some draw."""
    notes = []
    for kind, own in runs[runs["digit"].isin(FEW)].groupby("variant", sort=False):
        counts = own.groupby("digit")["never"].sum()
        said = ", ".join(f"{digit} in {n}" for digit, n in counts.items() if n)
        if said:
            notes.append(
                f"{LABELS[kind]} never predicts {said} of {own['seed'].nunique()} draws; its precision is 0 there."
            )
    return notes


def _setting(record: RunRecord) -> str:
    spec, kind = record.spec, variant(record.spec)
    given = {"epochs": spec.plan["epochs"]} | {k: spec.options[k] for k in ("copies", "share") if k in spec.options}
    words = [f"{name} {value}" for name, value in given.items()]
    words += ["class head not robust"] if not spec.options.get("robust", True) else []
    return ", ".join([LABELS[kind], *words])


def _title(digit: int | str) -> str:
    return {"four": "mean of the four", "six": "the other six"}.get(digit, f"digit {digit}")


def _n(records: Sequence[RunRecord]) -> int:
    return len({record.spec.seed for record in records})


def _spread(records: Sequence[RunRecord]) -> str:
    return "Mean over draws [95 % interval]." if _n(records) > 1 else "A single draw, so no interval."


def _origin(records: Sequence[RunRecord]) -> str:
    return "A seed draws the shots and the first weights. " + captions.origin(records)
