"""Records as data frames, and the tables of the chapters: plain HTML for the page, the same text elsewhere."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aeda_core import metrics
from aeda_core.report import captions
from aeda_core.report.paper import METHOD_LABELS, TABLE1
from aeda_core.runs import RunRecord

DASH = "–"
DECIMALS = {"bacc": 1, "bias": 2, "own": 1, "other": 1, "consistency": 2, "r": 2, "difference": 2, "fooled": 2}
"""To how many decimals a quantity is shown: about as many as the spread over seeds leaves meaningful."""


# --- data -------------------------------------------------------------------------------------------------------------


def frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """A row a run: what it is, how it came out, what it took.

    bacc, own, other: accuracies in percent: over all groups, on each digit's own training background, on the other one
    bias, consistency: `metrics.model_bias`, `metrics.consistency`
    refused:          why the method does not apply, else None; its numbers are then NaN
    """
    return _in_order(pd.DataFrame([_row(record) for record in records]))


def epochs(records: Iterable[RunRecord]) -> pd.DataFrame:
    """A row an epoch of a run: method, seed and the columns of `training.train`."""
    rows = [{"method": r.spec.method, "seed": r.spec.seed, **row} for r in records for row in r.epochs]
    return _in_order(pd.DataFrame(rows))


@dataclass(frozen=True)
class Estimate:
    """A mean over runs with its 95 % interval; `low` and `high` are infinite for a single run."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Estimate:
        values = np.asarray([v for v in values if not np.isnan(v)])
        return cls(float(values.mean()), *metrics.interval(values)) if len(values) else cls(np.nan, np.nan, np.nan)

    def text(self, decimals: int) -> str:
        """`92.0 [91.5, 92.5]`; the mean alone for a single run; a dash for none."""
        if np.isnan(self.mean):
            return DASH
        mean, low, high = (f"{round(v, decimals) + 0.0:.{decimals}f}" for v in (self.mean, self.low, self.high))
        return f"{mean} [{low}, {high}]" if np.isfinite(self.low) else mean


def estimates(data: pd.DataFrame, column: str) -> dict[str, Estimate]:
    """For each method in `data` its mean of `column` over the runs."""
    return {str(method): Estimate.of(runs[column]) for method, runs in data.groupby("method", sort=False)}


# --- tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """Text in rows and columns with a caption that stands alone, and footnotes.

    words: the columns that hold running text, not numbers
    Notebooks show `_repr_html_`; `str` is what a test or a terminal reads.
    """

    data: pd.DataFrame
    caption: str
    notes: Sequence[str] = ()
    words: Sequence[str] = ()

    def _repr_html_(self) -> str:
        table = self.data.to_html(border=0, classes="aeda-table", justify="unset")
        head, body = table.split("<tbody>")
        opening, rest = head.split(">", 1)
        head = f"{opening}>\n  <caption>{html.escape(self.caption)}</caption>{rest}"
        head = head.replace("<th>", '<th scope="col">').replace(' style="text-align: unset;"', "")
        notes = "".join(f"\n<p>{html.escape(note)}</p>" for note in self.notes)
        body = body.replace("<th>", '<th scope="row">')
        for column in self.words:
            for text in self.data[column]:
                cell = f"<td>{html.escape(text)}</td>"
                body = body.replace(cell, cell.replace("<td>", '<td class="aeda-words">'))
        return f'<div class="aeda-table-box">\n{head}<tbody>{body}{notes}\n</div>'

    def __repr__(self) -> str:
        return "\n".join([self.caption, "", self.data.to_string(), *([""] if self.notes else []), *self.notes])


def table1(records: Sequence[RunRecord]) -> Table:
    """Table 1: bACC and model bias of every method that has a record, beside what the paper prints."""
    runs = frame(records)
    refusals = runs.dropna(subset="refused").drop_duplicates("method").set_index("method")["refused"]
    marks = dict(zip(refusals.index, "ᵃᵇᶜᵈ", strict=False))
    bacc, bias = estimates(runs, "bacc"), estimates(runs, "bias")
    rows = {}
    for method in bacc:
        rows[METHOD_LABELS[method]] = {
            "bACC (%)": bacc[method].text(DECIMALS["bacc"]) + marks.get(method, ""),
            "bACC in the paper": _published(method, "bacc"),
            "model bias": bias[method].text(DECIMALS["bias"]) + marks.get(method, ""),
            "bias in the paper": _published(method, "bias"),
        }
    lead = "Accuracy and bias on the test digits of C-MNIST, each on both backgrounds"
    return Table(
        _text_frame(rows, "method"),
        f"{lead}. {_what_is_shown(records)} {captions.origin(records)}",
        [f"{mark} {refusals[method]}" for method, mark in marks.items()],
    )


def backgrounds(records: Sequence[RunRecord]) -> Table:
    """Fig. 8 in three numbers: accuracy on each background, and how alike the two confusion matrices are."""
    shown = [record for record in records if not record.refused]
    columns = {
        "own": "own background (%)",
        "other": "other background (%)",
        "consistency": "consistency",
    }
    return Table(
        _estimated(frame(shown), columns),
        "How much the background decides: accuracy on the test digits shown on the background that their class had in "
        "training and on the other one, and how alike the two confusion matrices are (consistency; 1: "
        f"the background does not matter). {_what_is_shown(shown)} {captions.origin(shown)}",
    )


def last_epoch(records: Sequence[RunRecord]) -> Table:
    """What the adversarial examples are still worth when training ends (Sec. 2.3, App. A)."""
    shown = [record for record in records if any("r" in row for row in record.epochs)]
    rows = epochs(shown)
    final = rows[rows["epoch"] == rows.groupby(["method", "seed"])["epoch"].transform("max")]
    columns = {"r": "r(m)", "difference": "feature difference", "fooled": "share that fools h_b"}
    return Table(
        _estimated(final, columns),
        "The adversarial examples after the last epoch: cross-task transferability r(m), feature difference of "
        "Eq. (7), and the share of them that the current bias head takes for the other colour. "
        f"{_what_is_shown(shown)} {captions.origin(shown)}",
    )


def settings(records: Sequence[RunRecord]) -> Table:
    """What each method's runs were given, as their specs hold it, and how long a run took."""
    shown = [record for record in records if not record.refused]
    given = {r.spec.method: {**r.spec.plan, **r.spec.options, "correlation": r.spec.data["correlation"]} for r in shown}
    aeda = {method: options for method, options in given.items() if method.startswith("aeda")}
    rows = {"every method": _common(given.values()), "every AEDA": _common(aeda.values())}
    known = rows["every method"].items()
    rows["every AEDA"] = dict(rows["every AEDA"].items() - known)
    seconds = frame(shown).groupby("method")["seconds"].mean()
    cells = []
    for method, options in given.items():
        above = known | rows["every AEDA"].items() if method in aeda else known
        rows[METHOD_LABELS[method]] = dict(options.items() - above)
    for name, options in rows.items():
        method = next((m for m in given if METHOD_LABELS[m] == name), None)
        cells.append([name, _options_in_words(options), f"{seconds[method]:.0f}" if method else ""])
    data = pd.DataFrame(cells, columns=["method", "settings", "seconds a run"]).set_index("method")
    return Table(
        data.rename_axis(index=None, columns="method"),
        f"What each method was given beyond what a row above it already says. {captions.origin(shown)}",
        words=("settings",),
    )


def tuning(records: Sequence[RunRecord]) -> Table:
    """Runs judged on held-out training digits: a row for each setting of each method that was tried.

    records: with `spec.tested_on == "validation"`; what does not differ between a method's runs is left out
    """
    given = [{**r.spec.plan, **r.spec.options} for r in records]
    runs = pd.DataFrame([_row(r) for r in records])
    for method in runs["method"].unique():
        of_method = [g for g, m in zip(given, runs["method"], strict=True) if m == method]
        varied = [k for k in of_method[0] if len({str(g.get(k)) for g in of_method}) > 1]
        text = [", ".join(f"{k.rstrip('_')} {g.get(k)}" for k in varied) or "as above" for g in of_method]
        runs.loc[runs["method"] == method, "setting"] = text
    rows = []
    for (method, setting), group in _in_order(runs).groupby(["method", "setting"], sort=False):
        bacc, bias = Estimate.of(group["bacc"]), Estimate.of(group["bias"])
        rows.append([METHOD_LABELS[method], setting, bacc.text(DECIMALS["bacc"]), bias.text(DECIMALS["bias"])])
    data = pd.DataFrame(rows, columns=["method", "setting", "bACC (%)", "model bias"]).set_index("method")
    return Table(
        data.rename_axis(index=None, columns="method"),
        "How the settings were chosen: accuracy and bias on held-out training digits. "
        f"{_what_is_shown(records)} {captions.origin(records)}",
    )


# --- prose ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prose:
    """Sentences with numbers in them, made from records, so that a chapter need not type any."""

    text: str

    def _repr_markdown_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return html.unescape(self.text.replace("\\_", "_").replace("**", ""))


def beside_paper(records: Sequence[RunRecord]) -> Prose:
    """For every method that the paper has numbers for: bACC and bias, its own beside them, and how they compare."""
    runs = frame([record for record in records if not record.refused])
    bacc, bias = estimates(runs, "bacc"), estimates(runs, "bias")
    items = []
    for method in (m for m in bacc if m in TABLE1):
        published = TABLE1[method]
        items.append(
            f"* **{_markdown(METHOD_LABELS[method])}**: bACC {bacc[method].text(DECIMALS['bacc'])} %, the paper "
            f"{published['bacc']:.2f} ({_side(bacc[method], published['bacc'])}); bias "
            f"{bias[method].text(DECIMALS['bias'])}, the paper {published['bias']:.2f} "
            f"({_side(bias[method], published['bias'])})"
        )
    return Prose("\n".join(items))


def ranking(records: Sequence[RunRecord]) -> Prose:
    """The methods by bACC and by model bias, and how far the two orders agree (Sec. 4.4.1)."""
    runs = frame([record for record in records if not record.refused])
    bacc = {method: e.mean for method, e in estimates(runs, "bacc").items()}
    bias = {method: e.mean for method, e in estimates(runs, "bias").items()}
    by_bacc, by_bias = sorted(bacc, key=bacc.__getitem__), sorted(bias, key=bias.__getitem__, reverse=True)
    pairs = [(a, b) for i, a in enumerate(by_bacc) for b in by_bacc[i + 1 :]]
    agree = sum((bacc[b] - bacc[a]) * (bias[a] - bias[b]) > 0 for a, b in pairs)
    named = [_markdown(" < ".join(METHOD_LABELS[m] for m in order)) for order in (by_bacc, by_bias[::-1])]
    return Prose(
        f"From the least to the most accurate: {named[0]}. From the least to the most biased: {named[1]}. "
        f"Of the {len(pairs)} pairs of methods, {agree} have the more accurate one also the fairer one."
    )


# --- helpers ----------------------------------------------------------------------------------------------------------


def _row(record: RunRecord) -> dict[str, Any]:
    spec, nan = record.spec, float("nan")
    row = {"method": spec.method, "seed": spec.seed, "refused": record.refused, "seconds": record.provenance["seconds"]}
    if record.confusion is None:
        return row | dict.fromkeys(("bacc", "bias", "own", "other", "consistency"), nan)
    counts = record.counts
    own, other = own_and_other(counts)
    numbers = {
        "bacc": metrics.bacc(counts),
        "bias": metrics.model_bias(counts),
        "own": own,
        "other": other,
        "consistency": metrics.consistency(counts),
    }
    return row | numbers


def own_and_other(counts: np.ndarray) -> tuple[float, float]:
    """Accuracies in percent over the groups whose background is their digit's in training (0-4 red, 5-9 brown), and
    over the others. counts: (2, 10, 10)"""
    accuracy = 100 * metrics.group_accuracy(counts)
    return float((accuracy[:5, 0].mean() + accuracy[5:, 1].mean()) / 2), float(
        (accuracy[:5, 1].mean() + accuracy[5:, 0].mean()) / 2
    )


def _in_order(data: pd.DataFrame) -> pd.DataFrame:
    """Methods in the paper's order, then seeds; stable for the rest."""
    order = {method: i for i, method in enumerate(METHOD_LABELS)}
    key = data["method"].map(order) * 10_000 + data["seed"]
    return data.iloc[np.argsort(key, kind="stable")].reset_index(drop=True)


def _estimated(data: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    by_column = {title: (estimates(data, name), DECIMALS[name]) for name, title in columns.items()}
    methods = data["method"].unique()
    rows = {METHOD_LABELS[m]: {title: e[m].text(d) for title, (e, d) in by_column.items()} for m in methods}
    return _text_frame(rows, "method")


def _text_frame(rows: dict[str, dict[str, str]], corner: str) -> pd.DataFrame:
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns=corner)


def _common(options: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What all of `options` hold alike."""
    first, *others = options
    return {k: v for k, v in first.items() if all(k in other and other[k] == v for other in others)}


def _options_in_words(options: dict[str, Any]) -> str:
    names = {"lambda_": "λ", "epsilon": "ε"}
    return ", ".join(f"{names.get(k, k.replace('_', ' '))} {v}" for k, v in sorted(options.items())) or DASH


def _published(method: str, column: str) -> str:
    """The paper's number as it prints it; nothing where it has no such row."""
    if method not in TABLE1:
        return ""
    return DASH if (value := TABLE1[method][column]) is None else f"{value:.2f}"


def _what_is_shown(records: Sequence[RunRecord]) -> str:
    return "Mean over seeds [95 % interval]." if captions.has_intervals(records) else "A single run, so no interval."


def _side(ours: Estimate, paper: float) -> str:
    if ours.low <= paper <= ours.high and np.isfinite(ours.low):
        return "within our interval"
    return "here higher" if ours.mean > paper else "here lower"


def _markdown(label: str) -> str:
    return label.replace("_", r"\_").replace("<", "&lt;")
