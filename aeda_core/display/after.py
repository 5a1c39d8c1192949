"""What chapter 12 shows: methods over the share of conflicting images, their cost, and what spoils an attack."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator

from aeda_core.display import captions
from aeda_core.display.labels import name_points
from aeda_core.display.look import BLUE, Figure, canvas, finished, legend, look, point, styled
from aeda_core.display.plots import AXES, dots, key, own_range
from aeda_core.display.tables import Prose, Table, rows
from aeda_core.experiments.what_came_after import AFTER, CONTROLS, METHODS
from aeda_core.findings import after
from aeda_core.findings.measures import DASH, DECIMALS, Estimate
from aeda_core.findings.paper import label
from aeda_core.findings.statistics import PERCENT
from aeda_core.methods import named
from aeda_core.runs import RunRecord

MEASURES = ("bacc", "bias")
BESIDE = {name: look(name) for name in ("original", "aeda_robust")}
"""How what stands in every panel of `fig_shares` is drawn."""

ITSELF = {"color": BLUE, "linestyle": "-", "marker": "o"}
"""How the method is drawn that a panel is about."""

STROKE: dict[str, Any] = {"linewidth": 1.4, "markersize": 4, "err_kws": {"linewidth": 1.2}}


def percent(share: float) -> str:
    return f"{100 * share:g} %"


@styled
def fig_shares(records: Sequence[RunRecord]) -> Figure:
    """bACC over the share of conflicting images: a panel for each later method, Original and AEDA_robust beside it."""
    runs = after.by_share(records)
    drawn, axes = canvas(4.2, 2, 5, phone=(5, 2, 8.5), sharex=True, sharey=True)
    ticks = [percent(share) for share in runs]
    for ax, method in zip(axes.flat, AFTER, strict=True):
        for name, how in (*BESIDE.items(), (method, ITSELF)):
            data = pd.DataFrame(
                [(percent(share), r.bacc) for share, own in runs.items() for r in own[name]], columns=["share", "bacc"]
            )
            if len(data):
                dots(ax, data, x="share", y="bacc", order=ticks, single=None, within=PERCENT, **STROKE, **how)
        ax.set(xlabel="", ylabel=AXES["bacc"])
        ax.set_title(textwrap.fill(label(method), 14), fontsize=8)
        ax.set_xticks(range(len(ticks)), [tick.removesuffix(" %") for tick in ticks], rotation=90)
        ax.grid(axis="y")
        ax.label_outer()
    drawn.supxlabel("conflicting training images (%)", fontsize="medium")
    named_so = {**{label(name): how for name, how in BESIDE.items()}, "the panel's method": ITSELF}
    legend(drawn, "upper right", 3, handles=[key(name, **{"linewidth": 1.5, **how}) for name, how in named_so.items()])
    words = " ".join(f"{label(method)}: {_over_shares(runs, method)}." for method in METHODS)
    return finished(drawn, "after-shares", records, words=words)


def _over_shares(runs: after.ByShare, method: str) -> str:
    return ", ".join(
        f"{Estimate.of(r.bacc for r in own[method]).mean:.1f} % at {percent(share)}"
        for share, own in runs.items()
        if own[method]
    )


def over_shares(records: Sequence[RunRecord], measure: str) -> Table:
    """`measure` of every method at every share of conflicting images; a dash where the method was refused."""
    runs = after.by_share(records)
    cells = {
        label(method): {
            percent(share): after.level(own[method], measure).text(DECIMALS[measure]) for share, own in runs.items()
        }
        for method in METHODS
    }
    return Table.of("after-numbers", rows(cells, "method"), records, measure=AXES[measure])


def begins(records: Sequence[RunRecord]) -> Table:
    """At which shares of conflicting images a method gains over Original, where it is refused, and its cost."""
    runs = after.by_share(records)
    cells = {}
    for method in METHODS[1:]:
        gaining = [percent(share) for share in after.gains_at(runs, method)]
        refused = [percent(share) for share, own in runs.items() if not own[method]]
        costs = [after.cost(own, method).mean for own in runs.values() if own[method]]
        cells[label(method)] = {
            "gains at": ", ".join(gaining) or DASH,
            "refused at": ", ".join(refused) or "none",
            "CPU time (Original = 1)": f"{np.mean(costs):.1f}" if costs else DASH,
        }
    return Table.of("after-begins", rows(cells, "method"), records, words=("gains at", "refused at"))


@styled
def fig_cost(records: Sequence[RunRecord], share: float) -> Figure:
    """bACC and bias over CPU time at one share of conflicting images; methods on the front have their names."""
    runs = {method: own for method, own in after.by_share(records)[share].items() if own}
    best = after.front(runs)
    drawn, panels = canvas(4.4, 1, 2)
    told = {
        method: f"{label(method)}: {after.cost(runs, method).mean:.1f} times the CPU time of Original, bACC "
        f"{Estimate.of(r.bacc for r in own).mean:.1f} %, bias {Estimate.of(r.bias for r in own).mean:.2f}"
        for method, own in runs.items()
    }
    for ax, measure in zip(panels, MEASURES, strict=True):
        for method, own in runs.items():
            x, y = after.cost(runs, method).mean, Estimate.of(getattr(r, measure) for r in own).mean
            ax.plot(x, y, **point(method), linestyle="none", markeredgewidth=0, gid=f"tip:{told[method]}")
        ax.set(xscale="log", xlabel="CPU time (Original = 1)", ylabel=AXES[measure])
        own_range(ax, "y", measure)
        ax.xaxis.set_major_locator(LogLocator(base=2))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.minorticks_off()
        ax.grid()
    keys = [key(label(method), **point(method), markeredgewidth=0) for method in runs]
    legend(drawn, "lower center", 4, handles=keys, fontsize=8)
    for ax, measure in zip(panels, MEASURES, strict=True):
        level = {method: Estimate.of(getattr(r, measure) for r in runs[method]).mean for method in best}
        name_points(ax, {label(method): (after.cost(runs, method).mean, y) for method, y in level.items()})
    words = " ".join(f"{each}." for each in told.values())
    shown = [record for own in runs.values() for record in own]
    return finished(drawn, "after-cost", shown, words=words, share=percent(share))


def in_short(records: Sequence[RunRecord], controls: Sequence[RunRecord]) -> Prose:
    """Which methods gain where the fewest images conflict, who is ahead there and where the most do, and whether it is
    the attack."""
    runs = after.by_share(records)
    fewest, most = min(runs), max(runs)
    gaining = [_name(m) for m in METHODS[1:] if after.gains(runs[fewest].get(m, []), runs[fewest]["original"])]
    return Prose(
        f"* At **{percent(fewest)}** conflicting images these gain over Original in accuracy and in fairness, by more "
        f"than the seeds differ: {'; '.join(gaining) or 'none'}.\n"
        f"{_winner(fewest, runs[fewest])}\n{_winner(most, runs[most])}\n{verdict(controls).text}"
    )


def who_wins(records: Sequence[RunRecord]) -> Prose:
    """For each share of conflicting images the method with the highest bACC, and how AEDA_robust does beside it."""
    return Prose("\n".join(_winner(share, own) for share, own in after.by_share(records).items()))


def _winner(share: float, own: Mapping[str, Sequence[RunRecord]]) -> str:
    """Who has the highest bACC at one share, as an item of a list."""
    means = {method: Estimate.of(r.bacc for r in runs).mean for method, runs in own.items() if runs}
    best = max(means, key=lambda method: means[method])
    line = f"* At **{percent(share)}**: {_name(best)} has the highest mean bACC, {means[best]:.1f} %"
    if best != "aeda_robust":
        behind = after.gain(own[best], own["aeda_robust"], "bacc")
        line += f"; it is above {_name('aeda_robust')} by {behind.text(1)} points, {_decided(behind)}"
    return line + "."


def _decided(difference: Estimate) -> str:
    """What an interval says of a difference that is positive in the mean."""
    if not np.isfinite(difference.low):
        return "which a single run cannot decide"
    return "more than the seeds differ" if difference.low > 0 else "which these seeds cannot tell from 0"


def _name(method: str) -> str:
    return captions.for_markdown(label(method))


# --- settings and controls --------------------------------------------------------------------------------------------


_OPTION = {"rate": "learning rate ×", "lambda_": "λ", "epsilon": "ε", "step_size": "step"}
"""What options are called in a table, where it is not their name."""


def criteria(tried: Sequence[RunRecord]) -> Table:
    """By method the setting that each criterion chooses, and the held-out bACC and bias that come with it."""
    cells: dict[str, dict[str, str]] = {}
    for criterion in after.CRITERIA:
        for method, record in after.chosen(tried, criterion).items():
            setting = ", ".join(f"{_OPTION.get(name, name)} {value:g}" for name, value in after.setting(record).items())
            cells.setdefault(label(method), {})[criterion] = setting or "the defaults"
            cells[label(method)][f"bACC, bias ({criterion})"] = f"{record.bacc:.1f}, {record.bias:.2f}"
    return Table.of("after-criteria", rows(cells, "method"), tried, words=tuple(after.CRITERIA))


def controls(records: Sequence[RunRecord], plain: Sequence[RunRecord]) -> Table:
    """AEDA_robust and the same with its perturbations spoiled, and how far each is above Original's runs `plain`."""
    cells = {}
    for method, own in _by_method(records).items():
        cells[label(method)] = {
            AXES[measure]: after.level(own, measure).text(DECIMALS[measure]) for measure in MEASURES
        }
        cells[label(method)]["bACC over Original's"] = after.gain(own, plain, "bacc").text(1)
    return Table.of("after-controls", rows(cells, "method"), [*records, *plain])


def verdict(records: Sequence[RunRecord]) -> Prose:
    """Whether AEDA_robust is better than each control, by the paired differences in bACC and in bias."""
    runs = _by_method(records)
    return Prose("\n".join(_beside_control(method, runs[method], runs["aeda_robust"]) for method in CONTROLS[1:]))


def _beside_control(method: str, spoiled: Sequence[RunRecord], whole: Sequence[RunRecord]) -> str:
    more, less = (after.gain(whole, spoiled, measure) for measure in MEASURES)
    if not np.isfinite(more.low):
        said = "a single run cannot decide"
    elif more.low > 0:
        said = "so what is spoiled there helps accuracy"
    elif more.high < 0:
        said = "so accuracy does not need what is spoiled there"
    else:
        said = "so these seeds do not tell the two apart in accuracy"
    return (
        f"* {_name('aeda_robust')} over *{_name(method)}* ({_what(method)}): {more.text(1)} points of bACC, {said}; "
        f"bias {less.text(2)}."
    )


def _what(method: str) -> str:
    """The first sentence on a control, without its name."""
    return (named(method).__doc__ or "").split(": ", 1)[1].split(",")[0].split(".")[0]


def _by_method(records: Sequence[RunRecord]) -> Mapping[str, list[RunRecord]]:
    found: dict[str, list[RunRecord]] = {}
    for record in records:
        found.setdefault(record.spec.method, []).append(record)
    return found
