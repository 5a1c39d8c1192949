"""What every caption must say: which profile, which data, how many seeds, which device."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Sequence

from aeda_core.runs import RunRecord

STAND_IN = "stand-in: "
"""How the source of a data set that stands in for the real one begins."""


def data_phrase(source: str) -> str:
    """A data source in words, a stand-in named as such."""
    return f"a stand-in for the real set, {source.removeprefix(STAND_IN)}" if source.startswith(STAND_IN) else source


def origin(records: Sequence[RunRecord]) -> str:
    """Where the numbers of `records` come from, in one or two sentences.

    Raises ValueError without a record: nothing can be said about nothing.
    """
    if not records:
        raise ValueError("there is no record to describe; pass the records that the table or figure shows.")
    per_method = _seeds(r for r in records if not r.refused) or _seeds(records)
    fewest, most = min(per_method.values()), max(per_method.values())
    unit = unit_of(records)
    seeds = f"one {unit}" if most == 1 else f"{most} {unit}s" if fewest == most else f"{fewest} to {most} {unit}s"
    if unit == "fold":
        seeds += f" of {records[0].spec.data['folds']}"
    profiles = _listed(r.spec.profile for r in records)
    sentence = (
        f"Profile {profiles}; data: {_listed(data_phrase(r.provenance['data']) for r in records)}; "
        f"{seeds} a method; trained on {_listed(r.provenance['device'] for r in records)}."
    )
    return sentence + (" Profile smoke tests the machinery: its numbers mean nothing." if "smoke" in profiles else "")


def unit_of(records: Sequence[RunRecord]) -> str:
    """What the runs of a method differ in: `fold`, or `seed` where the data are the same."""
    return "fold" if records and "fold" in records[0].spec.data else "seed"


def for_html(text: str) -> str:
    """Escaped, and with a number and its % never on two lines."""
    return html.escape(text, quote=False).replace(" %", "\u00a0%")


def has_intervals(records: Iterable[RunRecord]) -> bool:
    """Whether any method has more than one seed, so that an interval over seeds can be given."""
    return max(_seeds(r for r in records if not r.refused).values(), default=0) > 1


def _seeds(records: Iterable[RunRecord]) -> Counter[str]:
    runs = {(name(r), r.spec.seed) for r in records}
    return Counter(method for method, _ in runs)


def name(record: RunRecord) -> str:
    """The method, and whether its attack was stopped (Fig. 10b) or its source was robust (Fig. 4)."""
    options = record.spec.options
    variant = "_stopped" if "stop" in options else "_robust_source" if options.get("source_radius") else ""
    return record.spec.method + variant


def _listed(words: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(words))
