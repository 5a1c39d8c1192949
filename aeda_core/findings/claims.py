"""The claims as rows of a table: what the paper says that records can be asked, and what we add.

What it says in words stands in claims.toml; what it prints as numbers, in `paper`, is made into rows here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

import numpy as np

from aeda_core import metrics
from aeda_core.experiments import celeba, cmnist
from aeda_core.findings import faces, few_shot, measures
from aeda_core.findings.judge import NOT_APPLICABLE, Claim, Statement, by_method, judge
from aeda_core.findings.paper import FIG3, TABLE1, TABLE2, TABLE3, Published, label
from aeda_core.runs import RunRecord

# --- what is measured of runs on the same seed ------------------------------------------------------------------------


def first(run: RunRecord, measure: str) -> float:
    """`measure` after the first epoch that has it; NaN where none has."""
    return next((row[measure] for row in run.epochs if measure in row), float("nan"))


def last(run: RunRecord, measure: str) -> float:
    """`measure` after the last epoch; NaN where that has none, for instance as the attack was never to begin."""
    return run.epochs[-1].get(measure, float("nan")) if run.epochs else float("nan")


def lost(run: RunRecord) -> float:
    """How much lower r(m) is after the last epoch than after the first that has one."""
    return first(run, "r") - last(run, "r")


def opposed(run: RunRecord) -> float:
    """Spearman's correlation of r(m) and bias over the epochs, negated; 0 where one of them does not move."""
    rows = [row for row in run.epochs if "r" in row]
    return -float(np.nan_to_num(metrics.spearman([row["r"] for row in rows], [row["bias"] for row in rows])))


def together(run: RunRecord) -> float:
    """`faces.correlation`; 0 where one of the two does not vary, for then nothing goes with it."""
    return float(np.nan_to_num(faces.correlation([run])))


def improved(after: RunRecord, before: RunRecord) -> float:
    """The share of attributes that `after` has less bias on than `before`."""
    old, new = faces.before_and_after([before], [after])
    return float((new["bias"] < old["bias"]).mean())


def kept(run: RunRecord, since: RunRecord) -> float:
    """The share that is left in the end of the feature difference which `run` had when `since` first had one; NaN where
    there was none to lose."""
    begins = next((i for i, row in enumerate(since.epochs) if "difference" in row), None)
    had = 0 if begins is None else run.epochs[begins].get("difference", 0)
    return last(run, "difference") / had if had else float("nan")


def more_kept(on: RunRecord, pre: RunRecord) -> float:
    """How much larger a share of its feature difference `on` has kept than `pre` over the same epochs."""
    return kept(on, on) - kept(pre, on)


def least_lead(robust: RunRecord, on: RunRecord, pre: RunRecord, once: RunRecord) -> float:
    """How far r(m) of the attacks that go on is at least above that of those that do not, in the end."""
    ends = [last(run, "r") for run in (robust, on, pre, once)]
    return float(np.min(ends[:2]) - np.max(ends[2:]))


def consistency(run: RunRecord) -> float:
    """`metrics.consistency`; NaN where a digit has no test image."""
    return float("nan") if run.undefined else metrics.consistency(run.counts)


def more(measure: Callable[[RunRecord], float], one: RunRecord, other: RunRecord, sign: int = 1) -> float:
    """How much larger `measure` is in `one` than in `other`; with the other sign how much smaller."""
    return sign * (measure(one) - measure(other))


VALUES: dict[str, Callable[..., float]] = {
    **{value.__name__: value for value in (lost, opposed, together, improved, more_kept, least_lead)},
    "more_consistency": partial(more, consistency),
    "more_difference": partial(more, partial(last, measure="difference")),
    "more_bias": partial(more, partial(last, measure="bias")),
    "less_r": partial(more, partial(last, measure="r"), sign=-1),
}
"""What a row of claims.toml can ask for."""

_DECLARED = tomllib.loads(Path(__file__).with_name("claims.toml").read_text(encoding="utf-8"))

HEADLINES: list[str] = _DECLARED["headlines"]
"""The ids of the claims that README and intro show."""

# --- the rows ---------------------------------------------------------------------------------------------------------


def said(*figures: str) -> list[Statement]:
    """The rows of claims.toml on `figures`, in its order."""
    return [
        Statement(
            row["id"],
            row["claim"],
            row.get("paper"),
            tuple(row["methods"]),
            VALUES[row["value"]],
            nothing=row.get("above", 0.0),
            data=row.get("data", "celeba"),
        )
        for row in _DECLARED["claim"]
        if row["id"].split(".")[0] in figures
    ]


def _numbers(id_: str, data: str, table: dict[str, Published], methods: Iterable[str], ceiling: str) -> list[Statement]:
    """A row for each number of one of the paper's tables, and for each of `methods` that it has not.

    ceiling: what Original is to fall behind
    """
    rows = []
    for method in dict.fromkeys([*table, *methods]):
        kind, nothing, better = ("original", ceiling, -1) if method == "original" else ("number", "original", 1)
        for measure, name, sign in (("bacc", "bACC (%)", 1), ("bias", "model bias", -1)):
            printed = table[method][measure] if method in table else None
            said = NOT_APPLICABLE if method in table and printed is None else printed
            words, value = f"{label(method)}: {name} on {data}", attrgetter(measure)
            row = Statement(f"{id_}.{method}.{measure}", words, said, (method,), value, kind, better * sign, nothing, 2)
            rows.append(row)
    return rows


def _table1() -> list[Statement]:
    rows = _numbers("table1", "C-MNIST", TABLE1, cmnist.METHODS, ceiling="oracle")
    for one, other in pairwise(("aeda_robust", "aeda_online", "aeda_pre", "original")):
        words = f"{label(one)} has a higher bACC than {label(other)} (points)"
        printed = round(TABLE1[one]["bacc"] - TABLE1[other]["bacc"], 2)
        rows.append(Statement(f"table1.order.{one}", words, printed, (one, other), partial(more, attrgetter("bacc"))))
    return [replace(row, data="cmnist") for row in rows]


def _table2() -> list[Statement]:
    rows = _numbers("table2", "CelebA", TABLE2, celeba.METHODS, ceiling="aeda_robust")
    original = TABLE2["original"]
    for method in ("aeda_robust", "aeda_robust_per_batch"):
        own, two = TABLE2.get(method), (method, "original")
        gain, share = own and round(own["bacc"] - original["bacc"], 2), own and round(own["bias"] / original["bias"], 2)
        words = (f"{label(method)}: bACC over Original's (points)", f"{label(method)}: bias as a share of Original's")
        rows += [
            Statement(f"table2.{method}.gain", words[0], gain, two, partial(more, attrgetter("bacc")), "margin"),
            Statement(f"table2.{method}.bias_ratio", words[1], share, two, faces.share_of_bias, "margin", -1, 1.0),
        ]
    return rows


def _fig3() -> list[Statement]:
    rows = []
    for id_, method in zip(("hard", "adv", "robust"), FIG3, strict=True):
        # hard switch is there to be low: the lower, the more the labels alone decide
        words, sign = f"{label(method)}: accuracy on unmodified images (%){{where}}", -1 if id_ == "hard" else 1
        rows.append(
            Statement(f"fig3.{id_}", words, FIG3[method], (method,), measures.accuracy, "margin", sign, nothing=50.0)
        )
    for low, high in pairwise(FIG3):
        words = f"{label(high)} has a higher accuracy than {label(low)}{{where}} (points)"
        printed = round(FIG3[high] - FIG3[low], 1)
        rows.append(Statement(f"fig3.order.{high}", words, printed, (high, low), partial(more, measures.accuracy)))
    return rows


def _table3() -> list[Statement]:
    rows = []
    for measure, id_ in (("precision", "table3"), ("accuracy", "table3.accuracy")):
        for digit, printed in TABLE3["few_shot"].items():
            words = f"AEDA_robust: {measure} of digit {digit} with four training images (%)"
            value = partial(few_shot.value, measure=measure, digit=digit)
            rows.append(
                Statement(f"{id_}.digit{digit}", words, printed, ("few_shot",), value, "margin", nothing="original")
            )
        words = f"AEDA_robust: mean {measure} of the digits 2, 4, 6 and 8 over Original's (points)"
        gain = partial(more, partial(few_shot.value, measure=measure, digit="four"))
        printed = round(few_shot.paper_gain(), 2)
        rows.append(Statement(f"{id_}.gain", words, printed, ("few_shot", "original"), gain, "margin"))
    return [replace(row, data="cmnist") for row in rows]


def _also_of_digits(rows: Sequence[Statement], where: str) -> list[Statement]:
    """`rows`, and those that leave a place for `where` once more of digits, of which the paper does not say so."""
    digits = [
        replace(row, id=f"{row.id}.digits", claim=row.claim.replace("{where}", where), paper=None, data="cmnist")
        for row in rows
        if "{where}" in row.claim
    ]
    return [*(replace(row, claim=row.claim.replace("{where}", "")) for row in rows), *digits]


CLAIMS: dict[str, list[Statement]] = {
    "celeba": [*said("fig2"), *_table2(), *said("fig10c")],
    "label_switch": _also_of_digits(_fig3(), " (background colour of digits)"),
    "transfer": _also_of_digits(said("fig4", "fig11"), " on digits"),
    "cmnist": [*_table1(), *said("fig8")],
    "online": _also_of_digits(said("fig10a", "fig10b"), " on digits"),
    "few_shot": _table3(),
}
"""By the name in `experiments.CHAPTERS` of the chapter whose records they are judged by."""

SHOWN = {"label_switch": measures.fig3, "few_shot": few_shot.without_repeated}
"""Of some chapters' records those that the paper's claims are about; of the others, all."""


def judged(chapter: str, *records: Sequence[RunRecord]) -> list[Claim]:
    """All of CLAIMS of `chapter`, judged by its records."""
    shown = SHOWN.get(chapter, list)
    everything = [record for some in records for record in some]
    by_data = {
        data: by_method(shown([record for record in everything if record.spec.data["name"] == data]))
        for data in ("celeba", "cmnist")
    }
    return [judge(row, by_data[row.data]) for row in CLAIMS[chapter]]
