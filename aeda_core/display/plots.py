"""The plots that chapters share: dots with intervals and lines with bands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from aeda_core import datasets
from aeda_core.display import captions
from aeda_core.display.labels import name_ends, name_points
from aeda_core.display.look import BLUE, INK, Figure, canvas, finished, legend, look, on_phone, point, styled
from aeda_core.findings import statistics
from aeda_core.findings.measures import DECIMALS, END, RANGES, epochs, frame, published, range_of
from aeda_core.findings.paper import label
from aeda_core.findings.statistics import REAL, Range
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
LIMITS: dict[str, tuple[float | None, float | None]] = dict.fromkeys(("r", "fooled"), (0, 1))
LIMITS |= dict.fromkeys(("bias", "difference"), (0, None))
"""Where the axis of a quantity ends, where its values do not say so."""
NAMES = {"cmnist": "Table 1", "celeba": "Table 2"}

SINGLE: dict[str, Any] = {"color": INK, "size": 3.6, "alpha": 0.55, "zorder": 1.9}
"""How a single run is drawn beside a mean."""

# --- marks ------------------------------------------------------------------------------------------------------------


def dots(
    ax: Axes,
    data: pd.DataFrame,
    *,
    single: Mapping[str, Any] | None = SINGLE,
    within: Range = REAL,
    **how: Any,
) -> None:
    """The mean of each category with its 95 % interval, and the single runs.

    data:   a row a run; `overlap`, where it has that, corrects the intervals (see `statistics.interval`)
    single: how single runs are drawn; None: not at all
    within: the range of the quantity
    how:    what seaborn's `pointplot` is told, such as the columns x, y and hue
    """
    import seaborn

    columns = {name: how[name] for name in ("x", "y", "hue", "order", "hue_order", "palette") if name in how}
    shared = {"data": data, "ax": ax, "legend": False}
    if single is not None:
        seaborn.stripplot(**shared, **columns, dodge=bool(how.get("dodge")), jitter=False, linewidth=0, **single)
    means = {"color": BLUE, "linestyle": "none", "markersize": 6, "markeredgewidth": 0}
    means["errorbar"] = _interval(data, within)
    seaborn.pointplot(**shared, **{**means, "err_kws": {"linewidth": 2.2}, **how})


def lines(ax: Axes, data: pd.DataFrame, x: str, y: str, *, within: Range = REAL, **how: Any) -> None:
    """The mean of `y` over `x` with a band for its 95 % interval. data: a row a run and x; see `dots`"""
    import seaborn

    if data[x].nunique() == 1:
        how = {"marker": "o", **how}
    seaborn.lineplot(
        data, x=x, y=y, ax=ax, errorbar=_interval(data, within), err_kws={"alpha": 0.16, "linewidth": 0}, legend=False,
        **{"linewidth": 1.6, "markeredgewidth": 0, **how},
    )  # fmt: skip


def _interval(data: pd.DataFrame, within: Range) -> Any:
    """`statistics.interval` as seaborn asks for one; none for a single run."""
    overlap = data["overlap"].mean() if "overlap" in data else 0.0

    def of(values: Sequence[float]) -> Range:
        return statistics.interval(values, within, overlap) if len(values) > 1 else (np.nan, np.nan)

    return of


def own_range(ax: Axes, axis: str, column: str) -> None:
    """End the `axis`, "x" or "y", of a quantity where its values do, or where LIMITS says, with a little air so that
    a mark on the edge is seen whole; never beyond what is possible."""
    seen = getattr(ax, f"get_{axis}lim")()
    ends = zip(LIMITS.get(column, (None, None)), seen, strict=True)
    low, high = (own if own is not None else value for own, value in ends)
    least, most = RANGES.get(column, REAL)
    low, high = max(low, least), min(high, most)
    air = 0.025 * (high - low)
    getattr(ax, f"set_{axis}lim")(low - air, high + air)


BESIDE = {"rotation": 0, "ha": "right", "va": "center"}
"""How a row of pictures is named, on its left."""


def picture(ax: Axes, image: np.ndarray) -> None:
    """An image (H, W, 3) or (H, W, 4), uint8, and no axes around it."""
    ax.imshow(image, interpolation="none")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def rules(ax: Axes, n: int) -> None:
    """Faint lines between the `n` rows of a dot plot, which need no ticks."""
    for y in range(n - 1):
        ax.axhline(y + 0.5, color=INK, alpha=0.12, linewidth=0.6)
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def key(name: str, **how: Any) -> Line2D:
    """A legend's entry: a mark, and a line if `how` gives it a width."""
    return Line2D([], [], **{"color": INK, "linewidth": 0, "label": name, **how})


HOLLOW = {"marker": "D", "markersize": 5, "markerfacecolor": "none"}
"""How the paper's number is drawn."""


# --- methods beside the paper -----------------------------------------------------------------------------------------


@styled
def fig_table(records: Sequence[RunRecord]) -> Figure:
    """Table 1 or 2 as a dot plot: bACC and model bias of every method, beside the paper's values."""
    runs, printed, several = frame(records), published(records), captions.has_intervals(records)
    methods = list(runs["method"].unique())
    refused = {method for method, own in runs.groupby("method") if own["refused"].notna().all()}
    drawn, (left, right) = canvas(1.1 + 0.36 * len(methods), 1, 2, sharey=True)
    for ax, column, better in ((left, "bacc", "higher is better"), (right, "bias", "lower is better")):
        single = SINGLE if several else None
        dots(ax, runs, x=column, y="method", order=methods, single=single, within=range_of(runs, column))
        for y, method in enumerate(methods):
            if method in refused:
                ax.text(0.5, y, "needs every group", style="italic", ha="center", va="center", alpha=0.75,
                        transform=ax.get_yaxis_transform())  # fmt: skip
            if (value := printed.get(method, {}).get(column)) is not None:
                ax.plot(value, y + 0.29, color=INK, **HOLLOW)
        ax.set(xlabel=f"{AXES[column]}, {better}", ylabel="")
        own_range(ax, "x", column)
        rules(ax, len(methods))
    left.set_yticks(range(len(methods)), [label(method) for method in methods])
    unit, ours = captions.unit_of(records), {"color": BLUE, "marker": "o", "markersize": 6}
    keys = [key("ours, one run", **ours)]
    if several:
        keys = [key("ours, mean and 95 % interval", linewidth=2.2, **ours)]
        keys.append(key(f"one {unit}", marker="o", markersize=3.2, alpha=SINGLE["alpha"]))
    if printed:
        keys.append(key("the paper", **HOLLOW))
    legend(drawn, "upper right", 3, handles=keys)
    told = {"n": len(methods), "words": "; ".join(_in_words(runs, method) for method in methods)}
    told |= {"table": NAMES.get(data := records[0].spec.data["name"]) or datasets.named(data).title}
    told |= {"paper": "; open diamonds: the paper" if printed else ""}
    told |= {"interval": f", with its 95 % interval and the single {unit}s" if several else ""}
    told |= {"refused": " A method that balances groups cannot start where one of them is empty." if refused else ""}
    return finished(drawn, "table", records, **told)


@styled
def fig_accuracy_fairness(records: Sequence[RunRecord]) -> Figure:
    """Model bias against bACC, a point a method: whether accuracy and fairness rise together (Sec. 4.4.1)."""
    shown = [record for record in records if not record.refused]
    runs, printed = frame(shown), published(shown)
    means = runs.groupby("method", sort=False)[["bias", "bacc"]].mean()
    drawn, ax = canvas(4.3)
    for method, here in means.iterrows():
        own, mark = runs[runs["method"] == method], point(method) | {"linestyle": "none"}
        there = printed.get(method, {"bias": None, "bacc": None})
        if there["bacc"] is not None:
            ax.plot([here["bias"], there["bias"]], [here["bacc"], there["bacc"]], color=mark["color"], linewidth=0.8,
                    linestyle=":")  # fmt: skip
            ax.plot(there["bias"], there["bacc"], **{**mark, **HOLLOW})
        ax.plot(own["bias"], own["bacc"], **mark, markersize=2.6, markeredgewidth=0)
        ax.plot(
            here["bias"], here["bacc"], **mark, markersize=7, markeredgewidth=0, gid=f"tip:{_in_words(runs, method)}"
        )
    ax.set(xlabel="model bias (fairer to the left)", ylabel="bACC (%)")
    own_range(ax, "x", "bias")
    own_range(ax, "y", "bacc")
    ax.grid()
    name_points(ax, {label(method): (here["bias"], here["bacc"]) for method, here in means.iterrows()})
    words = "; ".join(_in_words(runs, method) for method in means.index)
    return finished(drawn, "accuracy-fairness", shown, words=words, unit=captions.unit_of(records))


def _in_words(runs: pd.DataFrame, method: str) -> str:
    own = runs[runs["method"] == method]
    if own["refused"].notna().all():
        return f"{label(method)}: needs every group"
    return f"{label(method)}: bACC {own['bacc'].mean():.1f} %, bias {own['bias'].mean():.2f}"


# --- over the epochs --------------------------------------------------------------------------------------------------


@styled
def fig_curves(
    records: Sequence[RunRecord], columns: Sequence[str] = ("bacc", "bias"), methods: Sequence[str] | None = None
) -> Figure:
    """Curves over the epochs, on held-out training images: `columns` of `training.train`, a panel each.

    methods: those to be drawn, by their `RunRecord.name`; all by default
    """
    records = [record for record in records if methods is None or record.name in methods]
    rows = epochs(records)
    stops = {record.spec.options["stop"] for record in records if "stop" in record.spec.options}
    last = max((len(record.epochs) for record in records), default=0)
    drawn, panels = canvas(0.3 + 2.3 * len(columns), len(columns), sharex=True, squeeze=False)
    words = []
    for ax, column in zip(panels[:, 0], columns, strict=True):
        settled = _curves(ax, rows.dropna(subset=column), column, max(2, last))
        for stop in stops:
            ax.axvline(stop, color=INK, alpha=0.4, linewidth=0.8, linestyle=":")
        told = ", ".join(f"{label(m)} {end:.{DECIMALS.get(column, 2)}f}" for m, end in settled.items())
        words.append(f"{AXES[column]}: {told or 'never measured'}")
    panels[-1, 0].set_xlabel("epoch")
    keys = [key(label(method), **{"linewidth": 1.6, **look(method)}) for method in dict.fromkeys(rows["method"])]
    if on_phone() and keys:  # there is no room for names beside the lines
        legend(drawn, "lower left", len(keys), handles=keys)
    unit = captions.unit_of(records)
    interval = (
        f"bands: 95 % interval over the {unit}s" if captions.has_intervals(records) else f"one {unit}, so no band"
    )
    told = {"last": last, "words": "; ".join(words), "measures": " and ".join(AXES[c] for c in columns)}
    told |= {"end": f"{min(END, last)} epochs", "images": _looked_at(columns, records), "interval": interval}
    told |= {"stops": f" Dotted: epoch {min(stops)}, the last with new examples where they stop." if stops else ""}
    return finished(drawn, "curves", records, **told)


def _curves(ax: Axes, rows: pd.DataFrame, column: str, last: int) -> dict[str, float]:
    """Draw a panel of `fig_curves`; returns each method's mean over the last END epochs."""
    ends, settled = {}, {}
    for method, own in rows.groupby("method", sort=False):
        lines(ax, own, "epoch", column, within=range_of(rows, column), **look(method))
        means = own.groupby("epoch")[column].mean()
        ends[method], settled[method] = float(means.iloc[-1]), float(means.iloc[-END:].mean())
    own_range(ax, "y", column)
    ax.set(xlim=(1, last), title=AXES[column], ylabel="")
    ax.grid(axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if not ends:
        ax.text(0.5, 0.5, "never measured", style="italic", ha="center", va="center", transform=ax.transAxes)
    elif not on_phone():
        name_ends(ax, {method: (last, end) for method, end in ends.items()}, 0.05 * (last - 1), 0.088)
    return settled


def _looked_at(columns: Iterable[str], records: Sequence[RunRecord]) -> str:
    """What the rows of `training.train` are about."""
    faces = records[0].spec.data["name"] == "celeba"
    held_out = "faces held out of training" if faces else "held-out training digits on both backgrounds"
    probed = "training images and their adversarial examples"
    return " and ".join(dict.fromkeys(held_out if c in ("bacc", "bias") else probed for c in columns))
