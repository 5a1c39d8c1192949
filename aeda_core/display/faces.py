"""What chapters 01, 06 and 08 show of runs on faces: Fig. 2, Fig. 9 and Fig. 10(c), and what is computed for them.

A run's target tasks are `no a0, a0, no a1, a1, …` of its attributes (Sec. 2.1, footnote 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from aeda_core import metrics
from aeda_core.datasets.celeba import ATTRIBUTES
from aeda_core.report import captions
from aeda_core.report.look import BLUE, GREY, INK, STYLE, VERMILLION, WIDTH, Figure, finished
from aeda_core.report.paper import METHOD_LABELS
from aeda_core.report.tables import Estimate, Prose, Table, spearman
from aeda_core.runs import RunRecord

WOMEN, MEN = VERMILLION, BLUE
"""Who is recognised better."""

# --- data -------------------------------------------------------------------------------------------------------------


def tasks(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row a target task, the folds' training and test faces taken together.

    task, attribute:  as in `smiling` or `no smiling`, and `smiling`
    ratio:            share of women among the training faces of the task; NaN where there are none
    women, men:       accuracies on test faces; NaN where there are none
    gap:              women − men, so that |gap| is Eq. (1)
    floor:            |gap| of a fair model (see `metrics.permutation_floor`)
    tested:           test faces of the smaller group
    """
    counts = np.sum([record.counts for record in records], axis=0)
    groups = np.sum([record.groups for record in records], axis=0)
    known = metrics.defined(counts)
    accuracy = np.full((len(known), 2), np.nan)
    accuracy[known] = metrics.group_accuracy(counts, known)
    names = [name.replace("_", " ").lower() for name in ATTRIBUTES]
    return pd.DataFrame(
        {
            "task": [task for name in names for task in (f"no {name}", name)],
            "attribute": np.repeat(names, 2),
            "ratio": np.where(groups.sum(axis=1), groups[:, 0] / np.maximum(groups.sum(axis=1), 1), np.nan),
            "women": accuracy[:, 0],
            "men": accuracy[:, 1],
            "gap": accuracy[:, 0] - accuracy[:, 1],
            "floor": [
                metrics.permutation_floor(counts, np.array([i])) if known[i] else np.nan for i in range(len(known))
            ],
            "tested": counts.sum(axis=3).swapaxes(1, 2).reshape(-1, 2).min(axis=1),
        }
    )


def correlation(records: Sequence[RunRecord]) -> float:
    """Spearman's correlation between the share of women and the signed gap, over the defined target tasks (Fig. 2); NaN
    where one of them never varies, as in a model that treats women and men alike."""
    rows = tasks(records).dropna()
    return spearman(rows["ratio"], rows["gap"])


def attributes(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row an attribute: `bias`, the sum of its tasks' |gap|, `bacc` in percent and `ratio` of the attribute; the
    folds' test faces are taken together. A task that is not defined is left out, and all is NaN without the other."""
    rows = tasks(records)
    by = rows.assign(bias=rows["gap"].abs(), bacc=50 * (rows["women"] + rows["men"])).groupby("attribute", sort=False)
    found = pd.DataFrame({"bias": by["bias"].sum(min_count=1), "bacc": by["bacc"].mean()})
    return found.assign(ratio=rows["ratio"].to_numpy()[1::2])


def before_and_after(before: Sequence[RunRecord], after: Sequence[RunRecord]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`attributes` of both, those that have a bias in both."""
    found = attributes(before), attributes(after)
    known = found[0]["bias"].notna() & found[1]["bias"].notna()
    return found[0][known], found[1][known]


def improved(before: RunRecord, after: RunRecord) -> float:
    """The share of attributes that `after` has less bias on than `before`."""
    old, new = before_and_after([before], [after])
    return float((new["bias"] < old["bias"]).mean())


def share_of_bias(one: RunRecord, original: RunRecord) -> float:
    """The bias of `one` as a share of that of `original`; NaN where that is 0: there is no bias to compare with."""
    return one.bias / original.bias if original.bias else float("nan")


def _of(records: Sequence[RunRecord], method: str) -> list[RunRecord]:
    """The runs of `method`, without those that it refused; raises ValueError if there are none."""
    found = [record for record in records if record.spec.method == method and not record.refused]
    if not found:
        raise ValueError(f"no record of {method}; pass the records of every method to be shown.")
    return found


# --- chapter 01 -------------------------------------------------------------------------------------------------------


def fig2(records: Sequence[RunRecord]) -> Figure:
    """Fig. 2: for each target task the model's bias against the share of women among its training faces."""
    shown = _of(records, "original")
    rows = tasks(shown).dropna()
    words = []
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 4.4), layout="constrained")
        ax = canvas.subplots()
        ax.axvline(0.5, color=INK, alpha=0.35, linewidth=0.8, linestyle=":")
        for row in rows.itertuples():
            marker, colour = _better(row.gap)
            ax.plot(row.ratio, abs(row.gap), marker, color=colour, markersize=7, alpha=0.9,
                    gid=_tip(row.task, row))  # fmt: skip
            ax.plot(row.ratio, row.floor, "_", color=INK, alpha=0.45, markersize=7)
            words.append(f"{row.task}: {row.ratio:.0%} women, gap {row.gap:+.2f}")
        ax.set(xlabel="share of women among the training faces of the task", ylabel="bias, |gap| of Eq. (1)")
        ax.set_xlim(-0.02, 1.02)
        ax.set_ylim(0, ax.get_ylim()[1] * 1.06)
        ax.grid(axis="y")
        largest = rows.assign(size=rows["gap"].abs()).nlargest(9, "size")
        _name_points(ax, {row.task: (row.ratio, row.size) for row in largest.itertuples()})
        canvas.legend(handles=_gap_legend(alike=(rows["gap"] == 0).any()), loc="outside upper left", ncols=4)
        return finished(
            canvas,
            "fig2",
            alt=f"Scatter plot of {len(rows)} target tasks: bias against the share of women in training. "
            + "; ".join(words) + ".",
            caption="Who is seen more often is recognised more often: a triangle up is a task on which women are "
            "recognised better, a triangle down one on which men are; point at one for its name. Short lines: the gap "
            "that a fair model would show on as few faces. The folds' test faces are taken together (after Fig. 2 of "
            f"the paper). {captions.origin(shown)}",
            records=shown,
        )  # fmt: skip


def correlation_in_words(records: Sequence[RunRecord]) -> Prose:
    """Fig. 2 in numbers: the correlation, and on how many tasks the better recognised are the more frequent."""
    shown = _of(records, "original")
    found = Estimate.of([correlation([record]) for record in shown])
    rows = tasks(shown).dropna()
    agree = int(((rows["ratio"] - 0.5) * rows["gap"] > 0).sum())
    spread = "mean and 95 % interval over the folds" if np.isfinite(found.low) else "one fold, so no interval"
    together = correlation(shown)
    correlations = (
        "there is none, for one of the two is the same on every task"
        if np.isnan([found.mean, together]).any()
        else f"**{found.text(2)}** ({spread}); with the folds' test faces taken together {together:.2f}"
    )
    return Prose(
        f"Spearman's correlation between the share of women and the signed gap: {correlations}. On {agree} of "
        f"{len(rows)} tasks the gender with more training faces is also the one recognised better."
    )


def gap_table(records: Sequence[RunRecord], n: int = 10) -> Table:
    """The `n` most biased target tasks of Original: accuracies, gap, its floor."""
    shown = _of(records, "original")
    rows = tasks(shown).dropna()
    rows = rows.assign(size=rows["gap"].abs()).nlargest(n, "size")
    cells = {
        row.task: {
            "share of women": f"{row.ratio:.0%}",
            "women right (%)": f"{100 * row.women:.1f}",
            "men right (%)": f"{100 * row.men:.1f}",
            "bias": f"{row.size:.2f}",
            "floor": f"{row.floor:.2f}",
            "tested": f"{row.tested:,}",
        }
        for row in rows.itertuples()
    }
    return Table(
        pd.DataFrame.from_dict(cells, orient="index").rename_axis(columns="target task"),
        f"The {len(rows)} target tasks on which Original treats women and men most differently. Share of women: among "
        "the task's training faces; floor: the gap that a fair model would show; tested: test faces of the gender with "
        f"fewer of them, the folds taken together. {captions.origin(shown)}",
        records=shown,
    )


def fig_annotations(everyone: Mapping[str, float], records: Sequence[RunRecord]) -> Figure:
    """The share of women among the people with each attribute: in all of CelebA's annotations and in training.

    everyone: the share for each of the attributes, over all 202,599 annotations
    """
    shown = _of(records, "original")
    ours = attributes(shown)["ratio"]
    order = sorted(ATTRIBUTES, key=everyone.__getitem__)
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 4.6), layout="constrained")
        ax = canvas.subplots()
        for y, name in enumerate(order):
            label = name.replace("_", " ").lower()
            share = everyone[name]
            ax.plot([0.5, share], [y, y], color=WOMEN if share > 0.5 else MEN, linewidth=2, alpha=0.55)
            ax.plot(share, y, "o", color=WOMEN if share > 0.5 else MEN, markersize=6)
            ax.plot(ours[label], y, "|", color=INK, markersize=10, markeredgewidth=1.4)
        ax.axvline(0.5, color=INK, alpha=0.35, linewidth=0.8)
        ax.set_yticks(range(len(order)), [name.replace("_", " ").lower() for name in order])
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set(xlabel="share of women among the faces that have the attribute", xlim=(0, 1))
        ax.grid(axis="x")
        dot = Line2D([], [], marker="o", color=GREY, linewidth=2, label="all 202,599 annotations")
        bar = Line2D([], [], marker="|", color=INK, markersize=10, linewidth=0, label="the training faces here")
        canvas.legend(handles=[dot, bar], loc="outside upper left", ncols=2)
        return finished(
            canvas,
            "annotations",
            alt="Share of women among the faces with each attribute. "
            + "; ".join(f"{name.replace('_', ' ').lower()}: {everyone[name]:.0%} of all" for name in order[::-1]) + ".",
            caption="No attribute is shared out evenly. Dots: the share of women among all annotated images that have "
            "the attribute; bars: the same among the faces that the classifiers here are trained on, one for each "
            f"person. {captions.origin(shown)}",
            records=shown,
        )  # fmt: skip


# --- chapter 06 -------------------------------------------------------------------------------------------------------


def fig9(averages: Sequence[Mapping[str, Any]], source: str) -> Figure:
    """Fig. 9 without a face in it that belongs to anybody: mean faces of groups.

    averages: rows with attribute, group (`women` or `men`), present, n and image, uint8 (H, W, 3) or None where too
              few people would be averaged
    """
    names = list(dict.fromkeys(row["attribute"] for row in averages))
    columns = [(group, present) for group in ("women", "men") for present in (False, True)]
    cells = {(row["attribute"], row["group"], row["present"]): row for row in averages}
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 0.6 + 1.45 * len(columns)), layout="constrained")
        axes = canvas.subplots(len(columns), len(names))
        for line, (group, present) in zip(axes, columns, strict=True):
            for ax, name in zip(line, names, strict=True):
                cell = cells[name, group, present]
                if cell["image"] is None:
                    ax.text(0.5, 0.5, "too few\npeople", ha="center", va="center", style="italic",
                            transform=ax.transAxes)  # fmt: skip
                else:
                    ax.imshow(cell["image"], interpolation="bilinear")
                ax.set(xticks=[], yticks=[])
                ax.set_xlabel(f"n = {cell['n']:,}", fontsize=7.5)
                ax.spines[:].set_visible(False)
            line[0].set_ylabel(f"{group},\n{'with' if present else 'without'}", rotation=0, ha="right", va="center")
        for ax, name in zip(axes[0], names, strict=True):
            ax.set_title(name.replace("_", " ").lower(), loc="center")
        return finished(
            canvas,
            "fig9",
            alt=f"Average faces of women and men without and with {len(names)} attributes: "
            + ", ".join(name.replace("_", " ").lower() for name in names) + ".",
            caption="Five of the attributes, each face the mean of everybody in its group, so that no single person is "
            f"shown (in place of the examples of the paper's Fig. 9). Mean images of {captions.data_phrase(source)}.",
        )  # fmt: skip


def floors(records: Sequence[RunRecord]) -> Table:
    """How much of each method's bias is more than chance: fold by fold, and the folds' test faces taken together."""
    rows = {}
    records = [record for record in records if not record.refused]
    for method in dict.fromkeys(record.spec.method for record in records):
        own = _of(records, method)
        counts = np.sum([record.counts for record in own], axis=0)
        known = metrics.defined(counts)
        rows[METHOD_LABELS[method]] = {
            "bias, mean of folds": f"{np.mean([record.bias for record in own]):.2f}",
            "floor": f"{np.mean([record.floor for record in own]):.2f}",
            "bias, folds together": f"{metrics.model_bias(counts, known):.2f}",
            "its floor": f"{metrics.permutation_floor(counts, known):.2f}",
            "tasks": str(int(known.sum())),
        }
    return Table(
        pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="method"),
        "How much of the bias is more than chance. A sum of absolute gaps is never 0 in small groups: the floor is "
        "what a fair model would show, right answers dealt out at random within each task. Taking the folds' test "
        "faces together makes the groups larger and the floor lower; tasks: how many have test faces of both genders. "
        f"{captions.origin(records)}",
        records=records,
    )


def margins(records: Sequence[RunRecord]) -> Prose:
    """What every method gains on Original, fold by fold: points of bACC, and its bias as a share of Original's."""
    original = {record.spec.seed: record for record in _of(records, "original")}
    lines = []
    trained = [record.spec.method for record in records if record.spec.method != "original" and not record.refused]
    for method in dict.fromkeys(trained):
        own = [record for record in _of(records, method) if record.spec.seed in original]
        gain = Estimate.of([record.bacc - original[record.spec.seed].bacc for record in own])
        shares = [share_of_bias(record, original[record.spec.seed]) for record in own]
        label = METHOD_LABELS[method].replace("_", r"\_")
        sign = "+" if gain.mean > 0 else ""
        lines.append(f"* **{label}**: bACC {sign}{gain.text(2)} points, {_shares_in_words(shares)}")
    return Prose("\n".join(lines))


# --- chapter 08 -------------------------------------------------------------------------------------------------------


def fig10c(records: Sequence[RunRecord], method: str = "aeda_robust") -> Figure:
    """Fig. 10(c): every attribute's bias and accuracy, an arrow from Original to `method`."""
    before, after = before_and_after(*(_of(records, name) for name in ("original", method)))
    words, looks = [], {"less bias than before": BLUE, "more": VERMILLION, "as much": GREY}
    change = {name: _change(before.loc[name, "bias"], after.loc[name, "bias"]) for name in before.index}
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 5.4), layout="constrained")
        ax = canvas.subplots()
        for name in before.index:
            start, end = before.loc[name], after.loc[name]
            colour = looks[change[name]]
            ax.annotate("", (end["bias"], end["bacc"]), (start["bias"], start["bacc"]),
                        arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.4, "shrinkA": 2.5,
                                    "shrinkB": 0})  # fmt: skip
            tip = "{}: bias {:.2f} to {:.2f}, bACC {:.1f} to {:.1f} %".format(
                name, start["bias"], end["bias"], start["bacc"], end["bacc"]
            )
            ax.plot(start["bias"], start["bacc"], "o", color=colour, markersize=5, gid=f"tip:{tip}")
            words.append(tip)
        ax.set(xlabel="bias of the attribute, both tasks together (fairer to the left)", ylabel="bACC (%)")
        # an arrow whose head lay outside would not be drawn at all
        low, high = ax.get_ylim()
        ax.set_xlim(0, max(ax.get_xlim()[1] * 1.14, after["bias"].max()))
        ax.set_ylim(min(low, after["bacc"].min()), max(high, after["bacc"].max()))
        ax.grid()
        _name_points(ax, {str(name): (row["bias"], row["bacc"]) for name, row in before.iterrows()})
        seen = [name for name in looks if name != "as much" or name in change.values()]
        handles = [Line2D([], [], color=looks[name], marker="o", label=name) for name in seen]
        canvas.legend(handles=handles, loc="outside upper left", ncols=3)
        return finished(
            canvas,
            "fig10c",
            alt=f"Arrows from Original to {METHOD_LABELS[method]} for {len(before)} attributes. {'; '.join(words)}.",
            caption=f"Every attribute from Original (dot) to {METHOD_LABELS[method]} (arrowhead): to the left is "
            "fairer, up is more accurate; point at a dot for its numbers. The folds' test faces are taken together "
            f"(after Fig. 10(c) of the paper). {captions.origin([*_of(records, 'original'), *_of(records, method)])}",
            records=[*_of(records, 'original'), *_of(records, method)],
        )  # fmt: skip


def attribute_table(records: Sequence[RunRecord], method: str = "aeda_robust") -> Table:
    """Fig. 10(c) in numbers: for every attribute bias and bACC of Original and of `method`, most biased first."""
    before, after = _of(records, "original"), _of(records, method)
    by_fold = {name: [attributes([record]) for record in own] for name, own in (("o", before), ("m", after))}
    rows = {}
    for name in attributes(before)["bias"].sort_values(ascending=False).index:
        rows[name] = {
            f"{kind} {label}": Estimate.of([fold.loc[name, column] for fold in by_fold[which]]).text(digits)
            for column, kind, digits in (("bias", "bias,", 2), ("bacc", "bACC (%),", 1))
            for which, label in (("o", "Original"), ("m", METHOD_LABELS[method]))
        }
    return Table(
        pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="attribute"),
        "Bias (sum of the attribute's two gaps) and bACC of every attribute"
        + (", mean over folds [95 % interval]" if len(before) > 1 else ", one fold, so no interval")
        + f". {captions.origin([*before, *after])}",
        records=[*before, *after],
    )


def together(records: Sequence[RunRecord], method: str = "aeda_robust") -> Prose:
    """Whether accuracy and fairness rise together over the attributes, and whether balance goes with both."""
    before, after = before_and_after(*(_of(records, name) for name in ("original", method)))
    fairer, surer = after["bias"] < before["bias"], after["bacc"] > before["bacc"]
    imbalance = (before["ratio"] - 0.5).abs()
    with_bias, with_bacc = spearman(imbalance, before["bias"]), spearman(before["bias"], before["bacc"])
    label = METHOD_LABELS[method].replace("_", r"\_")
    return Prose(
        f"Of {len(before)} attributes, {label} makes {int(fairer.sum())} fairer and {int(surer.sum())} more accurate; "
        f"{int((fairer & surer).sum())} are both. Under Original, imbalance (how far the share of women is from one "
        f"half) and bias go together with Spearman's {_correlated(with_bias)}, bias and accuracy with "
        f"{_correlated(with_bacc)}."
        .replace("-", "−")
    )  # fmt: skip


# --- drawing ----------------------------------------------------------------------------------------------------------


def _tip(name: str, row: Any) -> str:
    return f"tip:{name}: {row.ratio:.0%} women in training; women {row.women:.0%} right, men {row.men:.0%}"


def _better(gap: float) -> tuple[str, str]:
    """Marker and colour of those who are recognised better."""
    return ("^", WOMEN) if gap > 0 else ("v", MEN) if gap < 0 else ("o", GREY)


def _change(before: float, after: float) -> str:
    return "less bias than before" if after < before else "more" if after > before else "as much"


def _correlated(correlation: float) -> str:
    return "– (one of the two never varies)" if np.isnan(correlation) else f"{correlation:.2f}"


def _shares_in_words(shares: Sequence[float]) -> str:
    """Of each fold the bias as a share of Original's, in words."""
    without = int(np.isnan(shares).sum())
    if without == len(shares):
        return "and Original has no bias to compare with"
    folds = f" (without {without} of {len(shares)} folds, in which Original has none)" if without else ""
    return f"bias {Estimate.of(shares).text(2)} times Original's{folds}"


def _gap_legend(alike: bool) -> list[Line2D]:
    """alike: whether there is a task on which neither is recognised better"""
    neither = Line2D([], [], marker="o", color=GREY, linewidth=0, markersize=7, label="both alike")
    return [
        Line2D([], [], marker="^", color=WOMEN, linewidth=0, markersize=7, label="women recognised better"),
        Line2D([], [], marker="v", color=MEN, linewidth=0, markersize=7, label="men recognised better"),
        *([neither] if alike else []),
        Line2D([], [], marker="_", color=INK, alpha=0.45, linewidth=0, markersize=7, label="a fair model"),
    ]


def _name_points(ax: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Names beside the points, on the side where there is room, moved up where they would overlap."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    gap, reach = (high - low) * 0.036, (right - left) * 0.2
    placed: list[tuple[float, float]] = []
    for name, (x, y) in sorted(points.items(), key=lambda item: item[1][1]):
        height = y
        while any(abs(height - other) < gap and abs(x - beside) < reach for beside, other in placed):
            height += gap / 4
        placed.append((x, height))
        room = x < right - 0.16 * (right - left)
        shift = (right - left) * (0.013 if room else -0.013)
        ax.annotate(name, (x, y), (x + shift, height), fontsize=7.5, va="center", ha="left" if room else "right")
