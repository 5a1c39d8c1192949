"""The tables and the sentences of the chapters: plain HTML for the page, the same text elsewhere."""

from __future__ import annotations

import html
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aeda_core import datasets
from aeda_core.display import captions
from aeda_core.findings import selection, statistics
from aeda_core.findings.assumptions import REGISTER
from aeda_core.findings.measures import (
    DASH,
    DECIMALS,
    END,
    PROBES,
    Estimate,
    epochs,
    estimates,
    frame,
    published,
)  # fmt: skip
from aeda_core.findings.paper import Published, label
from aeda_core.runs import RunRecord

TITLES = {"bacc": "bACC (%)", "bias": "model bias"}
PRINTED = {"bacc": "bACC in the paper", "bias": "bias in the paper"}


@dataclass(frozen=True)
class Table:
    """Text in rows and columns with a caption that stands alone, and footnotes.

    words:   the columns that hold running text, not numbers
    records: the runs whose numbers it shows
    name:    by which a page links to it
    Notebooks show `_repr_html_`; `str` is what a test or a terminal reads.
    """

    data: pd.DataFrame
    caption: str
    notes: Sequence[str] = ()
    words: Sequence[str] = ()
    records: Sequence[RunRecord] = ()
    name: str = ""

    @classmethod
    def of(
        cls, name: str, data: pd.DataFrame, records: Sequence[RunRecord] = (), origin: str = "", *,
        notes: Sequence[str] = (), words: Sequence[str] = (), **told: Any,
    ) -> Table:  # fmt: skip
        """A table whose caption is that of `name` in words.toml, filled in by `told` (see `captions.caption`)."""
        return cls(data, captions.caption(name, records, origin, **told), notes, words, records, name)

    def _repr_html_(self) -> str:
        corner = self.data.columns.name or self.data.index.name or ""
        head = [_cell("th", corner, 'scope="col"'), *(self._cell("th", name, name) for name in self.data.columns)]
        lines = [head] + [
            [_cell("th", name, 'scope="row"'), *(self._cell("td", *each) for each in row.items())]
            for name, row in self.data.iterrows()
        ]
        first, *others = ("<tr>" + "".join(line) + "</tr>\n" for line in lines)
        notes = "".join(f"<p>{captions.for_html(note)}</p>\n" for note in self.notes)
        return (
            f'<div class="aeda-table-box" id="{captions.anchor("table", self.name)}">\n'
            '<table class="dataframe aeda-table">\n'
            f"<caption>{captions.for_html(self.caption)}</caption>\n<thead>\n{first}</thead>\n"
            f"<tbody>\n{''.join(others)}</tbody>\n</table>\n{notes}{captions.details(self.records)}</div>"
        )

    def _cell(self, tag: str, column: str, text: str) -> str:
        scope = 'scope="col" ' if tag == "th" else ""
        return _cell(tag, text, scope + ('class="aeda-words"' if column in self.words else ""))

    def __repr__(self) -> str:
        return "\n".join([self.caption, "", self.data.to_string(), *([""] if self.notes else []), *self.notes])


def _cell(tag: str, text: str, attributes: str) -> str:
    return f"<{f'{tag} {attributes}'.strip()}>{captions.for_html(text)}</{tag}>"


@dataclass(frozen=True)
class Prose:
    """Sentences with numbers in them, made from records, so that a chapter need not type any."""

    text: str

    def _repr_markdown_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return html.unescape(self.text.replace("\\_", "_").replace("**", ""))


def rows(cells: Mapping[str, Mapping[str, str]], corner: str) -> pd.DataFrame:
    """A data frame from its rows, by what stands before them; `corner` says what that is."""
    return pd.DataFrame.from_dict(cells, orient="index").rename_axis(columns=corner)


# --- methods beside the paper -----------------------------------------------------------------------------------------


def table1(records: Sequence[RunRecord]) -> Table:
    """Table 1: bACC and model bias on C-MNIST of every method that has a record, beside what the paper prints."""
    return _compared("table1", records)


def table2(records: Sequence[RunRecord]) -> Table:
    """Table 2: the same on faces, with the bias that a fair model would show and what other persons would change."""
    return _compared("table2", records)


def compared(records: Sequence[RunRecord]) -> Table:
    """The same on any other data set, of which the paper prints nothing. Raises ValueError without a record."""
    if not records:
        raise ValueError("there is no record to compare; pass those of at least one method.")
    return _compared("compared", records, title=datasets.named(records[0].spec.data["name"]).title)


def _compared(name: str, records: Sequence[RunRecord], **told: str) -> Table:
    printed, runs = published(records), frame(records)
    refusals = runs.dropna(subset="refused").drop_duplicates("method").set_index("method")["refused"]
    marks = dict(zip(refusals.index, "ᵃᵇᶜᵈ", strict=False))
    found = {measure: estimates(runs, measure) for measure in TITLES}
    cells: dict[str, dict[str, str]] = {}
    for method in found["bacc"]:
        row = cells[label(method)] = {}
        for measure, title in TITLES.items():
            row[title] = found[measure][method].text(DECIMALS[measure]) + marks.get(method, "")
            if printed:
                row[PRINTED[measure]] = _as_printed(printed, method, measure)
        if name == "table2":
            own = [record for record in records if record.name == method and not record.refused]
            floor = f"{np.mean([record.floor for record in own]):.2f}" if own else DASH
            row |= {"bias, other persons": _over_persons(own), "floor": floor}
    tasks = " or ".join(str(n) for n in sorted({r.undefined for r in records if r.confusion is not None} - {0}))
    left_out = f"; {tasks} tasks are left out of a fold that has no test face for them" if tasks else ""
    notes = [f"{mark} {refusals[method]}" for method, mark in marks.items()]
    return Table.of(name, rows(cells, "method"), records, notes=notes, left_out=left_out, **told)


def _as_printed(printed: dict[str, Published], method: str, measure: str) -> str:
    """The paper's number as it prints it; nothing where it has no such row."""
    if method not in printed:
        return ""
    return DASH if (value := printed[method][measure]) is None else f"{value:.2f}"


def _over_persons(own: Sequence[RunRecord]) -> str:
    """95 % interval of the bias, the folds and what was trained on them being as they are, over who is tested."""
    if not own:
        return DASH
    return "{:.2f} to {:.2f}".format(*statistics.over_people(own))


def beside_paper(records: Sequence[RunRecord]) -> Prose:
    """For every method that the paper has numbers for: bACC and bias, its own beside them, and how they compare."""
    runs, printed = frame([record for record in records if not record.refused]), published(records)
    bacc, bias = estimates(runs, "bacc"), estimates(runs, "bias")
    items = [
        f"* **{captions.for_markdown(label(method))}**: bACC {bacc[method].text(DECIMALS['bacc'])} %, the paper "
        f"{_beside(bacc[method], printed[method]['bacc'])}; bias "
        f"{bias[method].text(DECIMALS['bias'])}, the paper {_beside(bias[method], printed[method]['bias'])}"
        for method in bacc
        if method in printed
    ]
    return Prose("\n".join(items))


def _beside(ours: Estimate, paper: float | None) -> str:
    """The paper's number, and on which side of it ours lies."""
    if paper is None:
        return "none, as it could not apply the method"
    if ours.low <= paper <= ours.high and np.isfinite(ours.low):
        side = "within our interval"
    else:
        side = "here the same" if ours.mean == paper else "here higher" if ours.mean > paper else "here lower"
    return f"{paper:.2f} ({side})"


def ranking(records: Sequence[RunRecord]) -> Prose:
    """The methods by bACC and by model bias, and how far the two orders agree (Sec. 4.4.1)."""
    runs = frame([record for record in records if not record.refused])
    bacc, bias = ({name: e.mean for name, e in estimates(runs, measure).items()} for measure in TITLES)
    pairs = list(itertools.combinations(bacc, 2))
    agree = sum((bacc[b] - bacc[a]) * (bias[a] - bias[b]) > 0 for a, b in pairs)
    return Prose(
        f"From the least to the most accurate: {_ascending(bacc)}. From the least to the most biased: "
        f"{_ascending(dict(reversed(bias.items())))}. "
        f"Of the {len(pairs)} pairs of methods, {agree} have the more accurate one also the fairer one."
    )


def _ascending(values: Mapping[str, float]) -> str:
    """The methods in the order of their `values`, with the sign between each two."""
    methods = sorted(values, key=values.__getitem__)
    signs = ["", *(" = " if values[a] == values[b] else " < " for a, b in itertools.pairwise(methods))]
    return captions.for_markdown("".join(sign + label(m) for sign, m in zip(signs, methods, strict=True)))


# --- what was measured ------------------------------------------------------------------------------------------------


def backgrounds(records: Sequence[RunRecord]) -> Table:
    """Fig. 8 in three numbers: accuracy on each background, and how alike the two confusion matrices are."""
    shown = [record for record in records if not record.refused]
    columns = {"own": "own background (%)", "other": "other background (%)", "consistency": "consistency"}
    return Table.of("backgrounds", _estimated(frame(shown), columns), shown)


def in_the_end(records: Sequence[RunRecord]) -> Table:
    """What the adversarial examples are still worth when training ends (Sec. 2.3, App. A): means of the last END
    epochs, and how far r(m) moves over these."""
    shown = [record for record in records if any("r" in row for row in record.epochs)]
    if not shown:
        return Table.of("no-examples", pd.DataFrame(), records)
    found = epochs(shown)
    ending = found[found["epoch"] > found.groupby(["method", "seed"])["epoch"].transform("max") - END]
    by_run = ending.groupby(["method", "seed"], sort=False)
    swing = by_run["r"].max() - by_run["r"].min()
    final = by_run[["overlap", "tasks", *PROBES]].mean().assign(swing=swing).reset_index()
    return Table.of("in-the-end", _estimated(final, {**PROBES, "swing": "r(m), largest less smallest"}), shown, n=END)


def _estimated(data: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    found = {title: (estimates(data, name), DECIMALS[name]) for name, title in columns.items()}
    cells = {
        label(method): {title: of[method].text(decimals) for title, (of, decimals) in found.items()}
        for method in data["method"].unique()
    }
    return rows(cells, "method")


def register() -> Table:
    """All assumptions."""
    titles = {"open": "left open", "ours": "chosen here", "source": "whose idea", "chapter": "chapter"}
    data = pd.DataFrame([dict(each) for each in REGISTER]).set_index("id").rename_axis(index=None, columns="choice")
    return Table.of("register", data.rename(columns=titles), words=list(titles.values())[:3])


# --- settings ---------------------------------------------------------------------------------------------------------


def settings(records: Sequence[RunRecord]) -> Table:
    """What each method's runs were given, as their specs hold it, and how long a run took."""
    shown = [record for record in records if not record.refused]
    given = {record.spec.method: _given(record) for record in shown}
    seconds = frame(shown).groupby("method")["seconds"].mean()
    attacking = [method for method in given if method.startswith("aeda")]
    groups = {
        "every method": [method for method in given if method != "oracle"],
        "every AEDA": attacking,
        "AEDA but AEDA_pre": [method for method in attacking if method != "aeda_pre"],
    }
    said: dict[str, dict[str, Any]] = {method: {} for method in given}
    cells = {}
    for name, members in groups.items():
        if len(members) > 1:
            alike = [_beyond(said[members[0]], given[members[0]]).items(), *(given[m].items() for m in members)]
            common = {k: v for k, v in alike[0] if all((k, v) in each for each in alike)}
            cells[name] = {"settings": _in_words(common), "seconds a run": ""}
            for method in given if name == "every method" else members:
                said[method] = said[method] | common
    for method, options in given.items():
        row = {"settings": _in_words(_beyond(said[method], options)), "seconds a run": f"{seconds[method]:.0f}"}
        cells[label(method)] = row
    return Table.of("settings", rows(cells, "method"), shown, words=("settings",))


def tuning(tried: Sequence[RunRecord], used: Sequence[RunRecord] = ()) -> Table:
    """Runs judged on held-out training images: a row for each setting of each method that was tried.

    tried: with `spec.tested_on == "validation"`; a row names what differs from the settings that are used, or where
           none of the rows has these, from the method's most frequent ones
    used:  the records that are reported; the settings that they have are marked, however long it was trained for
    The setting that `selection.choose` takes of each method's is marked beside it, and a note says where they differ.
    """
    chosen: dict[str, list[dict[str, Any]]] = {record.spec.method: [] for record in (*tried, *used)}
    for record in used:
        chosen[record.spec.method].append(_but_length(record))
    plain: dict[str, dict[str, Any]] = {}
    for method in dict.fromkeys(record.spec.method for record in tried):
        own = [record for record in tried if record.spec.method == method]
        options = [_tried(r) for r in own if _but_length(r) in chosen[method]] or [_tried(r) for r in own]
        plain[method] = {k: Counter(str(o.get(k)) for o in options).most_common(1)[0][0] for k in options[0]}
    trials: dict[str, dict[str, list[RunRecord]]] = {}
    used_as: dict[str, set[str]] = {}
    for record in tried:
        method = record.spec.method
        changed = {k: v for k, v in _tried(record).items() if str(v) != plain[method].get(k)}
        setting = _in_words(changed).replace(DASH, "nothing")
        trials.setdefault(label(method), {}).setdefault(setting, []).append(record)
        if _but_length(record) in chosen[method]:
            used_as.setdefault(label(method), set()).add(setting)
    by_rule = {name: selection.choose(settings) for name, settings in trials.items() if len(settings) > 1}
    lines = [
        [name, setting, "✓" * (setting in used_as.get(name, ())), "✓" * (setting == by_rule.get(name)), *_found(own)]
        for name, settings in trials.items()
        for setting, own in settings.items()
    ]
    data = pd.DataFrame(lines, columns=["method", "what was changed", "used", "by the rule", *TITLES.values()])
    data = data.set_index("method").rename_axis(index=None, columns="method")
    notes = [
        f"{name} is not used with the setting that the rule takes; the text says why."
        for name in by_rule
        if name in used_as and by_rule[name] not in used_as[name]
    ]
    return Table.of("tuning", data, tried, words=("what was changed",), notes=[selection.RULE, *notes])


def _found(own: Sequence[RunRecord]) -> list[str]:
    """bACC and bias of the runs of one setting."""
    return [estimates(frame(own), measure)[own[0].name].text(DECIMALS[measure]) for measure in TITLES]


def _given(record: RunRecord) -> dict[str, Any]:
    """Everything that somebody chose for a run."""
    spec = record.spec
    made = {name: spec.data[name] for name in ("correlation",) if name in spec.data}
    return {**spec.model, **spec.plan, **spec.options, **made}


def _tried(record: RunRecord) -> dict[str, Any]:
    """The same, with what a linear bias head leaves unsaid, so that it is told from one with hidden units."""
    return {"bias_hidden": 0, **_given(record)}


def _but_length(record: RunRecord) -> dict[str, Any]:
    """What was chosen besides the number of epochs; `start` as a share of them."""
    given = _given(record)
    epochs = given.pop("epochs")
    return given | ({"start": round(given["start"] / epochs, 2)} if "start" in given else {})


def _beyond(said: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in options.items() if k not in said or said[k] != v}


def _in_words(options: dict[str, Any]) -> str:
    names = {"lambda_": "λ", "epsilon": "ε", "bias_hidden": "hidden units of h_b"}
    return ", ".join(f"{names.get(k, k.replace('_', ' '))} {v}" for k, v in sorted(options.items())) or DASH
