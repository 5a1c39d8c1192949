"""Records as data frames, and the tables of the chapters: plain HTML for the page, the same text elsewhere."""

from __future__ import annotations

import html
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from aeda_core import metrics
from aeda_core.report import captions
from aeda_core.report.paper import METHOD_LABELS, PUBLISHED, Published
from aeda_core.runs import RunRecord

DASH = "–"
TITLES = {"cmnist": "Table 1", "celeba": "Table 2"}
DECIMALS = {
    "bacc": 1,
    "bias": 2,
    "floor": 2,
    "own": 1,
    "other": 1,
    "consistency": 2,
    "r": 2,
    "difference": 2,
    "fooled": 2,
}
"""To how many decimals a quantity is shown: about as many as the spread over seeds leaves meaningful."""
PROBES = {"r": "r(m)", "difference": "feature difference", "fooled": "share that fools h_b"}
"""What is measured of adversarial examples, once there are some."""


# --- data -------------------------------------------------------------------------------------------------------------


def frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """A row a run: what it is, how it came out, what it took.

    bacc, bias, floor: `metrics.bacc`, `metrics.model_bias`, `metrics.permutation_floor`
    own, other:       of digits, accuracies in percent on each one's own training background and on the other one
    consistency:      of digits, `metrics.consistency`
    refused:          why the method does not apply, else None; its numbers are then NaN
    """
    return _in_order(pd.DataFrame([_row(record) for record in records]))


def epochs(records: Iterable[RunRecord]) -> pd.DataFrame:
    """A row an epoch of a run: method, seed and the columns of `training.train`, NaN where a run has none of them."""
    rows = [{"method": captions.name(r), "seed": r.spec.seed, **row} for r in records for row in r.epochs]
    columns = dict.fromkeys(["method", "seed", "epoch", *PROBES, *(name for row in rows for name in row)])
    return _in_order(pd.DataFrame(rows, columns=list(columns)))


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
        rounded = (round(v, decimals) + 0.0 for v in (self.mean, self.low, self.high))  # + 0.0: never −0.0
        mean, low, high = (f"{v:.{decimals}f}".replace("-", "−") for v in rounded)
        return f"{mean} [{low}, {high}]" if np.isfinite(self.low) else mean


def number(value: float, decimals: int) -> str:
    """`value` to `decimals`; a dash where it is NaN, for there is nothing that it could be computed from."""
    return DASH if np.isnan(value) else f"{value:.{decimals}f}"


def spearman(one: Iterable[float], other: Iterable[float]) -> float:
    """Spearman's correlation; NaN where one of the two never varies, so that there is no order to compare."""
    pairs = [np.asarray(list(values), dtype=float) for values in (one, other)]
    varied = len(pairs[0]) > 1 and min(map(np.ptp, pairs)) > 0
    return float(stats.spearmanr(*pairs).statistic) if varied else float("nan")


def estimates(data: pd.DataFrame, column: str) -> dict[str, Estimate]:
    """For each method in `data` its mean of `column` over the runs."""
    return {str(method): Estimate.of(runs[column]) for method, runs in data.groupby("method", sort=False)}


# --- tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """Text in rows and columns with a caption that stands alone, and footnotes.

    words:   the columns that hold running text, not numbers
    records: the runs whose numbers it shows
    Notebooks show `_repr_html_`; `str` is what a test or a terminal reads.
    """

    data: pd.DataFrame
    caption: str
    notes: Sequence[str] = ()
    words: Sequence[str] = ()
    records: Sequence[RunRecord] = ()

    def _repr_html_(self) -> str:
        table = self.data.to_html(border=0, classes="aeda-table", justify="unset")
        head, body = table.split("<tbody>")
        opening, rest = head.split(">", 1)
        head = f"{opening}>\n  <caption>{captions.for_html(self.caption)}</caption>{rest}"
        head = head.replace("<th>", '<th scope="col">').replace(' style="text-align: unset;"', "")
        notes = "".join(f"\n<p>{captions.for_html(note)}</p>" for note in self.notes)
        body = body.replace("<th>", '<th scope="row">')
        for column in self.words:
            head = head.replace(f'<th scope="col">{column}', f'<th scope="col" class="aeda-words">{column}')
            for text in self.data[column]:
                cell = f"<td>{html.escape(text, quote=False)}</td>"
                body = body.replace(cell, cell.replace("<td>", '<td class="aeda-words">'))
        return f'<div class="aeda-table-box">\n{head}<tbody>{body}{notes}\n{captions.details(self.records)}</div>'

    def __repr__(self) -> str:
        return "\n".join([self.caption, "", self.data.to_string(), *([""] if self.notes else []), *self.notes])


def table1(records: Sequence[RunRecord]) -> Table:
    """Table 1: bACC and model bias on C-MNIST of every method that has a record, beside what the paper prints."""
    return _compared(records, "Accuracy and bias on the test digits of C-MNIST, each on both backgrounds")


def table2(records: Sequence[RunRecord]) -> Table:
    """Table 2: the same on faces, with the bias that a fair model would show and what other persons would change."""
    return _compared(
        records,
        "Accuracy and bias on the test faces: 17 attributes, two target tasks each; the bias is the sum of "
        "34 absolute gaps between women and men, and the floor is what it would be if the right answers to each task "
        "were dealt out to women and men at random",
        faces=True,
    )


def _compared(records: Sequence[RunRecord], lead: str, faces: bool = False) -> Table:
    published = published_for(records)
    runs = frame(records)
    refusals = runs.dropna(subset="refused").drop_duplicates("method").set_index("method")["refused"]
    marks = dict(zip(refusals.index, "ᵃᵇᶜᵈ", strict=False))
    bacc, bias = estimates(runs, "bacc"), estimates(runs, "bias")
    rows = {}
    for method in bacc:
        rows[METHOD_LABELS[method]] = {
            "bACC (%)": bacc[method].text(DECIMALS["bacc"]) + marks.get(method, ""),
            "bACC in the paper": _as_printed(published, method, "bacc"),
            "model bias": bias[method].text(DECIMALS["bias"]) + marks.get(method, ""),
            "bias in the paper": _as_printed(published, method, "bias"),
        }
        if faces:
            own = [record for record in records if record.spec.method == method and not record.refused]
            rows[METHOD_LABELS[method]] |= {
                "bias, other persons": _over_persons(own),
                "floor": f"{np.mean([record.floor for record in own]):.2f}" if own else DASH,
            }
    if left_out := sorted({record.undefined for record in records if record.confusion is not None} - {0}):
        lead += f"; {' or '.join(map(str, left_out))} tasks are left out of a fold that has no test face for them"
    return Table(
        _text_frame(rows, "method"),
        f"{lead}. {_what_is_shown(records)} {captions.origin(records)}",
        [f"{mark} {refusals[method]}" for method, mark in marks.items()],
        records=records,
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
        records=shown,
    )


def last_epoch(records: Sequence[RunRecord]) -> Table:
    """What the adversarial examples are still worth when training ends (Sec. 2.3, App. A)."""
    shown = [record for record in records if any("r" in row for row in record.epochs)]
    if not shown:
        return Table(
            pd.DataFrame(), f"No run has made adversarial examples. {captions.origin(records)}", records=records
        )
    rows = epochs(shown)
    final = rows[rows["epoch"] == rows.groupby(["method", "seed"])["epoch"].transform("max")]
    return Table(
        _estimated(final, PROBES),
        "The adversarial examples after the last epoch: cross-task transferability r(m), feature difference of "
        "Eq. (7), and the share of them that fools the current bias head. "
        f"{_what_is_shown(shown)} {captions.origin(shown)}",
        records=shown,
    )


def settings(records: Sequence[RunRecord]) -> Table:
    """What each method's runs were given, as their specs hold it, and how long a run took."""
    shown = [record for record in records if not record.refused]
    given = {r.spec.method: _given(r) for r in shown}
    seconds = frame(shown).groupby("method")["seconds"].mean()
    groups = {
        "every method": [m for m in given if m != "oracle"],
        "every AEDA": [m for m in given if m.startswith("aeda")],
        "AEDA but AEDA_pre": [m for m in given if m.startswith("aeda") and m != "aeda_pre"],
    }
    rows: list[tuple[str, dict[str, Any], str]] = []
    said: dict[str, dict[str, Any]] = {method: {} for method in given}
    for name, members in groups.items():
        if len(members) > 1:
            common = _beyond(said[members[0]], _common([given[m] for m in members]))
            rows.append((name, common, ""))
            for method in given if name == "every method" else members:
                said[method] = said[method] | common
    rows += [(METHOD_LABELS[m], _beyond(said[m], options), f"{seconds[m]:.0f}") for m, options in given.items()]
    cells = {name: {"settings": _in_words(options), "seconds a run": time} for name, options, time in rows}
    return Table(
        _text_frame(cells, "method"),
        f"What each method was given beyond what the rows above it already say. {captions.origin(shown)}",
        words=("settings",),
        records=shown,
    )


def tuning(tried: Sequence[RunRecord], used: Sequence[RunRecord] = ()) -> Table:
    """Runs judged on held-out training images: a row for each setting of each method that was tried.

    tried: with `spec.tested_on == "validation"`; a row names what differs from the settings that are used, or where
           none of the rows has these, from the method's most frequent ones
    used:  the records that are reported; the setting that they have is marked, however long it was trained for
    """
    chosen = {r.spec.method: _but_length(r) for r in used}
    plain: dict[str, dict[str, Any]] = {}
    for method in dict.fromkeys(r.spec.method for r in tried):
        own = [r for r in tried if r.spec.method == method]
        options = [_given(r) for r in own if _but_length(r) == chosen.get(method)] or [_given(r) for r in own]
        plain[method] = {k: Counter(str(o.get(k)) for o in options).most_common(1)[0][0] for k in options[0]}
    runs: dict[tuple[str, str, str], list[RunRecord]] = {}
    for record in tried:
        method, options = record.spec.method, _given(record)
        setting = _in_words({k: v for k, v in options.items() if str(v) != plain[method].get(k)})
        mark = "✓" if chosen.get(method) == _but_length(record) else ""
        runs.setdefault((METHOD_LABELS[method], setting.replace(DASH, "nothing"), mark), []).append(record)
    rows = [
        [*row, *(Estimate.of(frame(group)[column]).text(DECIMALS[column]) for column in ("bacc", "bias"))]
        for row, group in runs.items()
    ]
    data = pd.DataFrame(rows, columns=["method", "what was changed", "used", "bACC (%)", "model bias"])
    return Table(
        data.set_index("method").rename_axis(index=None, columns="method"),
        "How the settings were chosen: what was tried, and accuracy and bias on held-out training images, never on "
        f"test images. {_what_is_shown(tried)} {captions.origin(tried)}",
        words=("what was changed",),
        records=tried,
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
    table = published_for(records)
    for method in (m for m in bacc if m in table):
        published = table[method]
        items.append(
            f"* **{_markdown(METHOD_LABELS[method])}**: bACC {bacc[method].text(DECIMALS['bacc'])} %, the paper "
            f"{_beside(bacc[method], published['bacc'])}; bias "
            f"{bias[method].text(DECIMALS['bias'])}, the paper {_beside(bias[method], published['bias'])}"
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
    named = [_markdown(_ascending(order, of)) for order, of in ((by_bacc, bacc), (by_bias[::-1], bias))]
    return Prose(
        f"From the least to the most accurate: {named[0]}. From the least to the most biased: {named[1]}. "
        f"Of the {len(pairs)} pairs of methods, {agree} have the more accurate one also the fairer one."
    )


# --- helpers ----------------------------------------------------------------------------------------------------------


def _row(record: RunRecord) -> dict[str, Any]:
    spec, nan = record.spec, float("nan")
    row = {
        "method": captions.name(record),
        "seed": spec.seed,
        "refused": record.refused,
        "seconds": record.provenance["seconds"],
    }
    if record.confusion is None:
        return row | dict.fromkeys(("bacc", "bias", "floor", "own", "other", "consistency"), nan)
    row |= {"bacc": record.bacc, "bias": record.bias, "floor": record.floor}
    if record.counts.ndim == 4 or record.undefined:
        return row | dict.fromkeys(("own", "other", "consistency"), nan)
    own, other = own_and_other(record.counts)
    return row | {"own": own, "other": other, "consistency": metrics.consistency(record.counts)}


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


def _given(record: RunRecord) -> dict[str, Any]:
    """Everything that somebody chose for a run."""
    spec = record.spec
    made = {name: spec.data[name] for name in ("correlation",) if name in spec.data}
    return {**spec.model, **spec.plan, **spec.options, **made}


def _but_length(record: RunRecord) -> dict[str, Any]:
    """What was chosen besides the number of epochs; `start` as a share of them."""
    given = _given(record)
    epochs = given.pop("epochs")
    return given | ({"start": round(given["start"] / epochs, 2)} if "start" in given else {})


def _common(options: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What all of `options` hold alike."""
    return {k: v for k, v in options[0].items() if all(k in other and other[k] == v for other in options)}


def _beyond(said: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in options.items() if k not in said or said[k] != v}


def _in_words(options: dict[str, Any]) -> str:
    names = {"lambda_": "λ", "epsilon": "ε", "bias_hidden": "hidden units of h_b"}
    return ", ".join(f"{names.get(k, k.replace('_', ' '))} {v}" for k, v in sorted(options.items())) or DASH


def published_for(records: Sequence[RunRecord]) -> dict[str, Published]:
    """The table that the paper has on the data set of `records`."""
    return PUBLISHED[records[0].spec.data["name"]] if records else {}


def _as_printed(published: dict[str, Published], method: str, column: str) -> str:
    """The paper's number as it prints it; nothing where it has no such row."""
    if method not in published:
        return ""
    return DASH if (value := published[method][column]) is None else f"{value:.2f}"


def _over_persons(own: Sequence[RunRecord]) -> str:
    """95 % interval of the bias, the folds and what was trained on them being as they are, over who is tested."""
    if not own:
        return DASH
    replicates = np.mean([record.bootstrap["bias"] for record in own], axis=0)
    return "{:.2f} to {:.2f}".format(*np.quantile(replicates, [0.025, 0.975]))


def _what_is_shown(records: Sequence[RunRecord]) -> str:
    unit = captions.unit_of(records)
    return f"Mean over {unit}s [95 % interval]." if captions.has_intervals(records) else "A single run, so no interval."


def _beside(ours: Estimate, paper: float | None) -> str:
    """The paper's number, and on which side of it ours lies."""
    if paper is None:
        return "none, for it could not apply the method"
    if ours.low <= paper <= ours.high and np.isfinite(ours.low):
        side = "within our interval"
    else:
        side = "here the same" if ours.mean == paper else "here higher" if ours.mean > paper else "here lower"
    return f"{paper:.2f} ({side})"


def _ascending(methods: Sequence[str], values: dict[str, float]) -> str:
    """`methods`, which are in the order of their `values`, with the sign between each two."""
    said = METHOD_LABELS[methods[0]]
    for less, more in itertools.pairwise(methods):
        said += f" {'=' if values[less] == values[more] else '<'} {METHOD_LABELS[more]}"
    return said


def _markdown(label: str) -> str:
    return label.replace("_", r"\_").replace("<", "&lt;")
