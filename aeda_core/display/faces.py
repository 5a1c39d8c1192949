"""What chapters 01, 06 and 08 show of runs on faces: Fig. 2, Fig. 9 and Fig. 10(c)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aeda_core import metrics
from aeda_core.datasets.celeba import ATTRIBUTES
from aeda_core.display import captions
from aeda_core.display.labels import name_points
from aeda_core.display.look import BLUE, GREY, INK, VERMILLION, Figure, canvas, finished, legend, on_phone, styled
from aeda_core.display.plots import BESIDE, key, picture
from aeda_core.display.tables import Prose, Table, rows
from aeda_core.findings import statistics
from aeda_core.findings.faces import (
    attributes,
    before_and_after,
    beside_original,
    correlation,
    of_method,
    over_original,
    share_of_bias,
    spoken,
    tasks,
)
from aeda_core.findings.measures import Estimate
from aeda_core.findings.paper import label
from aeda_core.findings.statistics import PERCENT, SIGNED
from aeda_core.metrics import spearman
from aeda_core.runs import RunRecord

WOMEN, MEN = VERMILLION, BLUE
"""Who is recognised better."""

# --- chapter 01 -------------------------------------------------------------------------------------------------------


@styled
def fig2(records: Sequence[RunRecord]) -> Figure:
    """Fig. 2: for each target task the model's bias against the share of women among its training faces."""
    shown = of_method(records, "original")
    data = tasks(shown).dropna()
    looks = {1: ("^", WOMEN, "women recognised better"), -1: ("v", MEN, "men recognised better")}
    if (data["gap"] == 0).any():
        looks[0] = ("o", GREY, "both alike")
    drawn, ax = canvas(4.4)
    ax.axvline(0.5, color=INK, alpha=0.35, linewidth=0.8, linestyle=":")
    for row in data.itertuples():
        marker, colour, _ = looks[np.sign(row.gap)]
        shares = "{:.0f} % women in training; women {:.0f} % right, men {:.0f} %".format(
            *(100 * share for share in (row.ratio, row.women, row.men))
        )
        ax.plot(row.ratio, row.size, marker, color=colour, markersize=7, gid=f"tip:{row.task}: {shares}")
        ax.plot(row.ratio, row.floor, "_", color=INK, alpha=0.55, markersize=7)
    ax.set(xlabel="share of women among the training faces of the task", ylabel="bias, |gap| of Eq. (1)")
    ax.set(xlim=(-0.02, 1.02), ylim=(0, ax.get_ylim()[1] * 1.06))
    ax.grid(axis="y")
    keys = [key(name, marker=marker, color=colour, markersize=7) for marker, colour, name in looks.values()]
    keys.append(key("a fair model", marker="_", alpha=0.55, markersize=7))
    legend(drawn, "upper left", 4, handles=keys)
    name_points(ax, {row.task: (row.ratio, row.size) for row in data.nlargest(9, "size").itertuples()})
    words = "; ".join(f"{row.task}: {row.ratio:.0%} women, gap {row.gap:+.2f}" for row in data.itertuples())
    return finished(drawn, "fig2", shown, n=len(data), words=words)


def correlation_in_words(records: Sequence[RunRecord]) -> Prose:
    """Fig. 2 in numbers: the correlation, and on how many tasks the better recognised are the more frequent."""
    shown = of_method(records, "original")
    found = Estimate.of([correlation([record]) for record in shown], SIGNED, statistics.overlap(shown))
    together = correlation(shown)
    data = tasks(shown).dropna()
    agree = int(((data["ratio"] - 0.5) * data["gap"] > 0).sum())
    spread = "mean and 95 % interval over the folds" if np.isfinite(found.low) else "one fold, so no interval"
    correlations = (
        "there is none, for one of the two is the same on every task"
        if np.isnan([found.mean, together]).any()
        else f"**{found.text(2)}** ({spread}); with the folds' test faces taken together {together:.2f}"
    )
    return Prose(
        f"Spearman's correlation between the share of women and the signed gap: {correlations}. On {agree} of "
        f"{len(data)} tasks the gender with more training faces is also the one recognised better."
    )


def gap_table(records: Sequence[RunRecord], n: int = 10) -> Table:
    """The `n` most biased target tasks of Original: accuracies, gap, its floor."""
    shown = of_method(records, "original")
    data = tasks(shown).dropna().nlargest(n, "size")
    cells = {
        row.task: {
            "share of women": f"{row.ratio:.0%}",
            "women right (%)": f"{100 * row.women:.1f}",
            "men right (%)": f"{100 * row.men:.1f}",
            "bias": f"{row.size:.2f}",
            "floor": f"{row.floor:.2f}",
            "tested": f"{row.tested:,}",
        }
        for row in data.itertuples()
    }
    return Table.of("gaps", rows(cells, "target task"), shown, n=len(data))


@styled
def fig_annotations(everyone: Mapping[str, float], records: Sequence[RunRecord]) -> Figure:
    """The share of women among the people with each attribute: in all of CelebA's annotations and in training.

    everyone: the share for each of the attributes, over all 202,599 annotations
    """
    shown = of_method(records, "original")
    ours = attributes(shown)["ratio"]
    shares = {spoken(name): everyone[name] for name in sorted(ATTRIBUTES, key=everyone.__getitem__)}
    drawn, ax = canvas(4.6)
    for y, (name, share) in enumerate(shares.items()):
        colour = WOMEN if share > 0.5 else MEN
        ax.plot([0.5, share], [y, y], color=colour, linewidth=2, alpha=0.55)
        ax.plot(share, y, "o", color=colour, markersize=6)
        ax.plot(ours[name], y, "|", color=INK, markersize=10, markeredgewidth=1.4)
    ax.axvline(0.5, color=INK, alpha=0.35, linewidth=0.8)
    ax.set_yticks(range(len(shares)), list(shares))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set(xlabel="share of women among the faces\nthat have the attribute", xlim=(0, 1))
    ax.grid(axis="x")
    keys = [key("all 202,599 annotations", marker="o", color=GREY, linewidth=2)]
    keys.append(key("the training faces here", marker="|", markersize=10))
    legend(drawn, "upper left", 2, handles=keys)
    words = "; ".join(f"{name}: {share:.0%} of all" for name, share in reversed(shares.items()))
    return finished(drawn, "annotations", shown, words=words)


# --- chapter 06 -------------------------------------------------------------------------------------------------------


@styled
def fig9(averages: Sequence[Mapping[str, Any]], source: str) -> Figure:
    """Fig. 9 without a face in it that belongs to anybody: mean faces of groups.

    averages: rows with attribute, group (`women` or `men`), present, n and image, uint8 (H, W, 3) or None where too
              few people would be averaged
    """
    names = list(dict.fromkeys(row["attribute"] for row in averages))
    groups = [(group, present) for group in ("women", "men") for present in (False, True)]
    cells = {(row["attribute"], row["group"], row["present"]): row for row in averages}
    shape = (len(groups), len(names))
    drawn, axes = canvas(0.6 + 1.45 * len(groups), *shape, phone=(*shape, 3.9), squeeze=False)
    for line, (group, present) in zip(axes, groups, strict=True):
        for ax, name in zip(line, names, strict=True):
            cell = cells[name, group, present]
            few = cell["image"] is None
            picture(ax, np.zeros((1, 1, 4), np.uint8) if few else cell["image"])
            ax.set_xlabel(f"n = {cell['n']:,}", fontsize=8)
            if few:
                ax.text(0, 0, "too few\npeople", ha="center", va="center", style="italic")
        line[0].set_ylabel(f"{group},\n{'with' if present else 'without'}", **BESIDE)
    for ax, name in zip(axes[0], names, strict=True):
        small = {"fontsize": 8, "fontweight": "normal"} if on_phone() else {}
        ax.set_title(spoken(name).replace(" ", "\n" if on_phone() else " "), loc="center", **small)
    told = {"attributes": ", ".join(map(spoken, names)), "source": captions.data_phrase(source)}
    return finished(drawn, "fig9", n=len(names), **told)


def floors(records: Sequence[RunRecord]) -> Table:
    """How much of each method's bias is more than chance: fold by fold, and the folds' test faces taken together."""
    records = [record for record in records if not record.refused]
    cells = {}
    for method in dict.fromkeys(record.spec.method for record in records):
        own = of_method(records, method)
        counts = np.sum([record.counts for record in own], axis=0)
        known = metrics.defined(counts)
        cells[label(method)] = {
            "bias, mean of folds": f"{np.mean([record.bias for record in own]):.2f}",
            "floor": f"{np.mean([record.floor for record in own]):.2f}",
            "bias, folds together": f"{metrics.model_bias(counts, known):.2f}",
            "its floor": f"{metrics.permutation_floor(counts, known):.2f}",
            "tasks": str(int(known.sum())),
        }
    return Table.of("floors", rows(cells, "method"), records)


def margins(records: Sequence[RunRecord]) -> Prose:
    """What every method gains on Original, fold by fold: points of bACC, and its bias as a share of Original's."""
    lines = []
    trained = [record.spec.method for record in records if record.spec.method != "original" and not record.refused]
    for method in dict.fromkeys(trained):
        gain, share = over_original(records, method)
        name, sign = captions.for_markdown(label(method)), "+" if gain.mean > 0 else ""
        said = _share_in_words(share, *beside_original(records, method))
        lines.append(f"* **{name}**: bACC {sign}{gain.text(2)} points, {said}")
    return Prose("\n".join(lines))


def _share_in_words(share: Estimate, own: Sequence[RunRecord], beside: Sequence[RunRecord]) -> str:
    """The bias as a share of Original's on the same folds, over folds and over who is tested."""
    shares = [share_of_bias(a, b) for a, b in zip(own, beside, strict=True)]
    without = int(np.isnan(shares).sum())
    if without == len(shares):
        return "and Original has no bias to compare with"
    if without:
        more = f"without {without} of {len(shares)} folds, in which Original has none"
    else:
        more = "{:.2f} to {:.2f} for other people on the same folds".format(*statistics.over_people(own, beside))
    return f"bias {share.text(2)} times Original's ({more})"


# --- chapter 08 -------------------------------------------------------------------------------------------------------


@styled
def fig10c(records: Sequence[RunRecord], method: str = "aeda_robust") -> Figure:
    """Fig. 10(c): every attribute's bias and accuracy, an arrow from Original to `method`."""
    shown = [*of_method(records, "original"), *of_method(records, method)]
    before, after = before_and_after(*(of_method(shown, name) for name in ("original", method)))
    looks = {-1: (BLUE, "less bias than before"), 1: (VERMILLION, "more")}
    if (after["bias"] == before["bias"]).any():
        looks[0] = (GREY, "as much")
    drawn, ax = canvas(5.4)
    words = []
    for name, x, y in before[["bias", "bacc"]].itertuples():
        to = after.loc[name, ["bias", "bacc"]]
        colour, _ = looks[np.sign(to["bias"] - x)]
        way = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.4, "shrinkA": 2.5, "shrinkB": 0}
        ax.annotate("", to, (x, y), arrowprops=way).arrow_patch.set_gid(f"of:{name}")
        words.append(f"{name}: bias {x:.2f} to {to['bias']:.2f}, bACC {y:.1f} to {to['bacc']:.1f} %")
        ax.plot(x, y, "o", color=colour, markersize=5, gid=f"tip:{words[-1]}")
    ax.set(xlabel="bias of the attribute, both tasks together\n(fairer to the left)", ylabel="bACC (%)")
    # an arrow whose head lay outside would not be drawn at all
    low, high = ax.get_ylim()
    ax.set_xlim(0, max(ax.get_xlim()[1] * 1.14, after["bias"].max()))
    ax.set_ylim(min(low, after["bacc"].min()), max(high, after["bacc"].max()))
    ax.grid()
    keys = [key(name, color=colour, marker="o", linewidth=1.5) for colour, name in looks.values()]
    legend(drawn, "upper left", 3, handles=keys)
    starts, ends = (dict(zip(of.index, of[["bias", "bacc"]].to_numpy(), strict=True)) for of in (before, after))
    name_points(ax, starts, [(starts[name], ends[name]) for name in starts])
    return finished(drawn, "fig10c", shown, method=label(method), n=len(before), words="; ".join(words))


def attribute_table(records: Sequence[RunRecord], method: str = "aeda_robust") -> Table:
    """Fig. 10(c) in numbers: for every attribute bias and bACC of Original and of `method`, most biased first."""
    own = {name: of_method(records, name) for name in ("original", method)}
    overlap = statistics.overlap(own["original"])
    by_fold = {name: [attributes([record]) for record in shown] for name, shown in own.items()}
    cells = {
        name: {
            f"{kind} {label(which)}": Estimate.of([fold.loc[name, column] for fold in folds], within, overlap).text(
                digits
            )
            for column, kind, digits, within in (("bias", "bias,", 2, (0.0, 2.0)), ("bacc", "bACC (%),", 1, PERCENT))
            for which, folds in by_fold.items()
        }
        for name in attributes(own["original"])["bias"].sort_values(ascending=False).index
    }
    interval = "mean over folds [95 % interval]" if len(own["original"]) > 1 else "one fold, so no interval"
    return Table.of("attributes", rows(cells, "attribute"), [*own["original"], *own[method]], interval=interval)


def together(records: Sequence[RunRecord], method: str = "aeda_robust") -> Prose:
    """Whether accuracy and fairness rise together over the attributes, and whether balance goes with both."""
    before, after = before_and_after(*(of_method(records, name) for name in ("original", method)))
    fairer, surer = after["bias"] < before["bias"], after["bacc"] > before["bacc"]
    imbalance = (before["ratio"] - 0.5).abs()
    with_bias, with_bacc = spearman(imbalance, before["bias"]), spearman(before["bias"], before["bacc"])
    said = (
        f"Of {len(before)} attributes, {captions.for_markdown(label(method))} makes {int(fairer.sum())} fairer and "
        f"{int(surer.sum())} more accurate; {int((fairer & surer).sum())} are both. Under Original, imbalance (how far "
        "the share of women is from one half) and bias go together with Spearman's "
        f"{_correlated(with_bias)}, bias and accuracy with {_correlated(with_bacc)}."
    )
    return Prose(said)


def _correlated(correlation: float) -> str:
    return "– (one of the two never varies)" if np.isnan(correlation) else f"{correlation:.2f}".replace("-", "−")
