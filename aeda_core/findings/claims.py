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
from typing import Any

import numpy as np

from aeda_core import metrics
from aeda_core.datasets.celeba import ATTRIBUTES
from aeda_core.datasets.cmnist import CMNIST
from aeda_core.experiments import Chapter, celeba, cmnist, pretrained, what_came_after
from aeda_core.findings import after, faces, few_shot, measures
from aeda_core.findings.faces import share_of_bias
from aeda_core.findings.judge import NOT_APPLICABLE, About, Claim, Statement, by_method, judge
from aeda_core.findings.measures import end, ending
from aeda_core.findings.paper import FIG3, TABLE1, TABLE2, TABLE3, Published, label
from aeda_core.findings.statistics import PERCENT, POINTS, POSITIVE, REAL, SHARE, SIGNED, Range
from aeda_core.runs import RunRecord

# --- what is measured of runs on the same seed ------------------------------------------------------------------------


def first(run: RunRecord, measure: str) -> float:
    """`measure` after the first epoch that has it; NaN where none has."""
    return next((row[measure] for row in run.epochs if measure in row), float("nan"))


def lost(run: RunRecord) -> float:
    """How much lower r(m) is in the end than after the first epoch that has one."""
    return first(run, "r") - end(run, "r")


def swing(run: RunRecord) -> float:
    """How far r(m) moves over the epochs that are the end: the largest less the smallest; NaN where none has one."""
    values = ending(run, "r")
    return float(np.ptp(values)) if values else float("nan")


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
    return end(run, "difference") / had if had else float("nan")


def kept_of_own(run: RunRecord) -> float:
    """The share that is left in the end of the feature difference which `run` had at first."""
    return kept(run, run)


def fallen(pre: RunRecord, on: RunRecord) -> float:
    """The share of its feature difference that `pre` has lost since the epoch in which `on` first had one."""
    return 1 - kept(pre, on)


def more_kept(on: RunRecord, pre: RunRecord) -> float:
    """How much larger a share of its feature difference `on` has kept than `pre` over the same epochs."""
    return kept(on, on) - kept(pre, on)


def least_lead(robust: RunRecord, on: RunRecord, pre: RunRecord, once: RunRecord) -> float:
    """How far r(m) of the attacks that go on is at least above that of those that do not, in the end."""
    ends = [end(run, "r") for run in (robust, on, pre, once)]
    return float(np.min(ends[:2]) - np.max(ends[2:]))


def consistency(run: RunRecord) -> float:
    """`metrics.consistency`; NaN where a digit has no test image."""
    return float("nan") if run.undefined else metrics.consistency(run.counts)


def more(measure: Callable[[RunRecord], float], one: RunRecord, other: RunRecord, sign: int = 1) -> float:
    """How much larger `measure` is in `one` than in `other`; with the other sign how much smaller."""
    return sign * (measure(one) - measure(other))


VALUES: dict[str, tuple[Callable[..., float], Range]] = {
    "lost": (lost, SIGNED),
    "swing": (swing, SHARE),
    "opposed": (opposed, SIGNED),
    "together": (together, SIGNED),
    "improved": (improved, SHARE),
    "kept": (kept_of_own, POSITIVE),
    "fallen": (fallen, REAL),
    "more_kept": (more_kept, REAL),
    "least_lead": (least_lead, SIGNED),
    "more_consistency": (partial(more, consistency), SIGNED),
    "more_difference": (partial(more, partial(end, measure="difference")), REAL),
    "more_bias": (partial(more, partial(end, measure="bias")), REAL),
    "less_r": (partial(more, partial(end, measure="r"), sign=-1), SIGNED),
}
"""What a row of claims.toml can ask for, and the range that it has."""

_DECLARED = tomllib.loads(Path(__file__).with_name("claims.toml").read_text(encoding="utf-8"))

HEADLINES: list[str] = _DECLARED["headlines"]
"""The ids of the claims that README and intro show."""

# --- the rows ---------------------------------------------------------------------------------------------------------


def said(*figures: str) -> list[Statement]:
    """The rows of claims.toml on `figures`, in its order."""
    return [_said(**row) for row in _DECLARED["claim"] if row["id"].split(".")[0] in figures]


def _said(*, claim: str, methods: Sequence[str], value: str, paper: str | None = None, **told: Any) -> Statement:
    for name in ("enough", "nothing", "bounds"):  # a threshold is told where it is applied
        numbers = np.atleast_1d(told.get(name, ()))
        claim = claim.replace(f"{{{name}}}", " to ".join(f"{number:g}" for number in numbers))
    if "bounds" in told:
        told |= {"kind": "stable", "bounds": tuple(told["bounds"])}
    measure, within = VALUES[value]
    return Statement(claim=claim, paper=paper, methods=tuple(methods), value=measure, within=within, **told)


def _levels(id_: str, data: str, tasks: int, table: dict[str, Published], methods: Iterable[str]) -> list[Statement]:
    """A row for each number of one of the paper's tables, and for each of `methods` that it has not; none is judged."""
    rows = []
    for method in dict.fromkeys([*table, *methods]):
        for measure, name, within in (("bacc", "bACC (%)", PERCENT), ("bias", "model bias", (0.0, float(tasks)))):
            printed = table[method][measure] if method in table else None
            paper = NOT_APPLICABLE if method in table and printed is None else printed
            words, value, about = f"{label(method)}: {name} on {data}", attrgetter(measure), _about(method)
            row = Statement(f"{id_}.{method}.{measure}", words, paper, (method,), value, "level", about=about)
            rows.append(replace(row, within=within, decimals=2))
    return rows


def _margins(id_: str, data: str, table: dict[str, Published], methods: Iterable[str]) -> list[Statement]:
    """What a method gains: every one on Original, AEDA_robust also on each rival of the table and on AEDA_online, and
    that on AEDA_pre. A rival that could not be applied has none."""
    own = [m for m in dict.fromkeys([*table, *methods]) if m != "original" and _applies(table, m)]
    pairs = [(method, "original") for method in own]
    pairs += [("aeda_robust", method) for method in own if method in table and _about(method) != "AEDA"]
    pairs += [("aeda_robust", "aeda_online"), ("aeda_online", "aeda_pre")]
    rows = [row for one, other in pairs for row in _margin(id_, data, table, one, other)]
    # that a rival is ahead in the paper's table is no claim of AEDA's
    return [row for row in rows if row.methods[1] == "original" or row.paper * row.sign > row.nothing * row.sign]


def _margin(id_: str, data: str, table: dict[str, Published], one: str, other: str) -> list[Statement]:
    """How much higher the bACC of `one` is than that of `other`, and its bias as a share of the other's."""
    id_ = f"{id_}.{one}" if other == "original" else f"{id_}.{one}.over.{other}"
    gain = share = None
    if one in table:
        gain = round(table[one]["bacc"] - table[other]["bacc"], 2)
        share = round(table[one]["bias"] / table[other]["bias"], 3)
    of, about = (one, other), _about(one)
    words = f"{label(one)}: gain in bACC over {label(other)} on {data} (points)"
    higher = Statement(f"{id_}.gain", words, gain, of, partial(more, attrgetter("bacc")), within=POINTS, about=about)
    words = f"{label(one)}: bias as a share of {label(other)}'s on {data}"
    lower = Statement(f"{id_}.bias_ratio", words, share, of, share_of_bias, nothing=1.0, within=POSITIVE, about=about)
    return [higher, replace(lower, sign=-1)]


def _applies(table: dict[str, Published], method: str) -> bool:
    return method not in table or table[method]["bacc"] is not None


def _about(method: str) -> About:
    return "AEDA" if method.startswith("aeda") else "rivals and mechanism"


def _table1() -> list[Statement]:
    levels = _levels("table1", "C-MNIST", len(CMNIST.target_names), TABLE1, cmnist.METHODS)
    margins = _margins("table1", "C-MNIST", TABLE1, cmnist.METHODS)
    return [replace(row, data="cmnist") for row in (*levels, *margins)]


def _table2() -> list[Statement]:
    levels = _levels("table2", "CelebA", 2 * len(ATTRIBUTES), TABLE2, celeba.METHODS)
    return [*levels, *_margins("table2", "CelebA", TABLE2, celeba.METHODS)]


def _fig3() -> list[Statement]:
    rows = []
    for id_, method in zip(("hard", "adv", "robust"), FIG3, strict=True):
        words = f"{label(method)}: accuracy on unmodified images (%), guessing is 50{{where}}"
        row = Statement(f"fig3.{id_}", words, FIG3[method], (method,), measures.accuracy, nothing=50.0, within=PERCENT)
        rows.append(row)
    for low, high in pairwise(FIG3):
        words = f"{label(high)} has a higher accuracy than {label(low)}{{where}} (points)"
        printed, gain = round(FIG3[high] - FIG3[low], 1), partial(more, measures.accuracy)
        rows.append(Statement(f"fig3.order.{high}", words, printed, (high, low), gain, within=POINTS))
    return rows


def _table3() -> list[Statement]:
    rows = []
    for measure, id_ in (("precision", "table3"), ("accuracy", "table3.accuracy")):
        for digit, printed in TABLE3["few_shot"].items():
            words = f"AEDA_robust: {measure} of digit {digit} with four training images (%)"
            value = partial(few_shot.value, measure=measure, digit=digit)
            id_of_digit = f"{id_}.digit{digit}"
            rows.append(Statement(id_of_digit, words, printed, ("few_shot",), value, "level", within=PERCENT))
        words = f"AEDA_robust: mean {measure} of the digits 2, 4, 6 and 8 over Original's (points)"
        gain = partial(more, partial(few_shot.value, measure=measure, digit="four"))
        printed = round(few_shot.paper_gain(), 2)
        rows.append(Statement(f"{id_}.gain", words, printed, ("few_shot", "original"), gain, within=POINTS))
    return [replace(row, data="cmnist", about="AEDA") for row in rows]


def _chapter12() -> list[Statement]:
    """How far AEDA_robust is ahead of what came after it, and of itself with a spoiled attack."""
    others = ("original", *what_came_after.AFTER, *what_came_after.CONTROLS[1:])
    rows = [
        _margin("chapter12", "C-MNIST without a conflicting image", {}, "aeda_robust", other)[0] for other in others
    ]
    return [replace(row, data="cmnist") for row in rows]


def _chapter13() -> list[Statement]:
    """Table 2's margins over Original where the features are pretrained."""
    methods = [method for method in pretrained.METHODS if method != "original"]
    return [
        row
        for method in methods
        for row in _margin("chapter13", "CelebA with pretrained features", TABLE2, method, "original")
    ]


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
    "what_came_after": _chapter12(),
    "pretrained": _chapter13(),
}
"""By the name in `experiments.CHAPTERS` of the chapter whose records they are judged by."""

SHOWN = {
    "label_switch": measures.fig3,
    "few_shot": few_shot.without_repeated,
    "what_came_after": after.without_conflict,
}
"""Of some chapters' records those that the claims are about; of the others, all."""


def of_chapter(chapter: Chapter, *records: Sequence[RunRecord]) -> list[Claim]:
    """The claims on the tables and figures that `chapter` is about, judged by these records."""
    keys = [key for key, rows in CLAIMS.items() if any(row.where in chapter.about for row in rows)]
    return [claim for key in keys for claim in judged(key, *records) if claim.where in chapter.about]


def judged(chapter: str, *records: Sequence[RunRecord]) -> list[Claim]:
    """All of CLAIMS of `chapter`, judged by its records."""
    shown = SHOWN.get(chapter, list)
    everything = [record for some in records for record in some]
    by_data = {
        data: by_method(shown([record for record in everything if record.spec.data["name"] == data]))
        for data in ("celeba", "cmnist")
    }
    return [judge(row, by_data[row.data]) for row in CLAIMS[chapter]]
