"""The rule by which a verdict follows from the paper's number and our records. It stands in RULE and REMARKS, which
the scorecard page shows, and in `_verdict`, which follows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from aeda_core import metrics
from aeda_core.runs import RunRecord

RULE = {
    "exceeded": "all of *I* is better than *p*",
    "reproduced": "*I* holds *p*",
    "partly": "all of *I* is worse than *p*, but the method still beats Original on the same seeds",
    "not reproduced": "all of *I* is worse than *p*, and the method does not beat Original on the same seeds",
    "not run": "there are no such records",
    "ours": "the paper makes no such claim",
}
"""What each verdict means: *I* is the 95 % interval of our mean, *p* the paper's number; more bACC and less bias is
better."""

REMARKS = (
    "Only runs of profile `paper` on the real data are judged; a stand-in and a shortened run never get a "
    "verdict. *I* is Student's interval over seeds, or over folds for faces, and two methods are compared by "
    "their differences on the same seeds.",
    "Original is there to be beaten, so for it better and worse are alike: reproduced if *I* holds *p*; partly if"
    " not, but it falls behind the oracle (Table 1) or AEDA_robust (Table 2); else not reproduced. A method that "
    "the paper could not apply is reproduced if it refuses here too.",
    "An order in words, such as above, falls or stable, is reproduced if the interval of what it says to be "
    "larger lies above 0, partly if only its mean does. A margin that the paper prints is exceeded as a number "
    "is; reproduced if *I* holds it and tells it from no effect; partly if *I* does one of the two.",
)

NOT_APPLICABLE = "does not apply"

Runs = dict[str, dict[int, RunRecord]]
"""Records by `RunRecord.name` and seed, or fold."""


@dataclass(frozen=True)
class Statement:
    """Something that the paper says, or we do, and the number of ours that it is judged by.

    paper:   the paper's number, its words where it has none, NOT_APPLICABLE, or None if it makes no such claim
    methods: whose runs it takes, by `RunRecord.name`; it is about those of the first
    value:   the number, from one run of each of `methods` on the same seed; NaN: these have none
    kind:    by which part of the rule: a number, Original's number, a margin, or an order in words
    sign:    +1 if more is better, or is what the paper says of Original
    nothing: the value where there is no effect, or the method whose value on the same seed that is
    data:    the data set whose records it is about
    """

    id: str
    claim: str
    paper: float | str | None
    methods: tuple[str, ...]
    value: Callable[..., float]
    kind: Literal["number", "original", "margin", "order"] = "order"
    sign: int = 1
    nothing: float | str = 0.0
    decimals: int = 3
    data: str = "celeba"

    @property
    def where(self) -> str:
        """The table or figure that it is about: `Fig. 10(a)` for the id `fig10a.order`."""
        kind, number, part = re.fullmatch(r"(fig|table)(\d+)([a-z]?)", self.id.split(".")[0]).groups()
        return {"fig": "Fig. ", "table": "Table "}[kind] + number + (part and f"({part})")


@dataclass(frozen=True)
class Claim:
    """A line of the scorecard. ours, ci95: mean over the runs and its 95 % interval; n: runs."""

    id: str
    where: str
    claim: str
    paper: float | str | None
    ours: float | str | None
    ci95: tuple[float, float] | None
    n: int
    profile: str
    data: str
    device: str
    verdict: str

    def in_words(self) -> dict[str, str]:
        """By the titles of a table's columns."""
        interval = f"{_told(self.ci95[0])} to {_told(self.ci95[1])}" if self.ci95 else "–"
        told = {"claim": self.claim, "paper": _told(self.paper), "here": _told(self.ours)}
        return told | {"95 % interval": interval, "n": str(self.n), "verdict": self.verdict}


def by_method(records: Iterable[RunRecord]) -> Runs:
    """`records` as Runs; a variant of a method counts as one of its own."""
    found: Runs = {}
    for record in records:
        found.setdefault(record.name, {})[record.spec.seed] = record
    return found


def judge(said: Statement, runs: Runs) -> Claim:
    """What `runs` say of a statement."""
    own = runs.get(said.methods[0], {})
    refused = any(run.refused for run in own.values())
    values = {} if refused else _values(said, runs)
    found = list(values.values())
    ci = metrics.interval(found) if len(found) > 1 else None
    return Claim(
        id=said.id,
        where=said.where,
        claim=said.claim,
        paper=said.paper,
        ours=NOT_APPLICABLE if refused else round(float(np.mean(found)), said.decimals) if found else None,
        ci95=ci and (round(ci[0], said.decimals), round(ci[1], said.decimals)),
        n=len(own) if refused else len(found),
        profile=_listed(run.profile for run in own.values()),
        data=_listed(run.provenance["data"] for run in own.values()),
        device=_listed(run.provenance["device"] for run in own.values()),
        verdict=_verdict(said, runs, refused, values, ci),
    )


def _verdict(
    said: Statement, runs: Runs, refused: bool, values: dict[int, float], ci: tuple[float, float] | None
) -> str:
    """RULE and REMARKS, in their order."""
    if said.paper is None:
        return "ours"
    if not all(_is_judged(runs.get(method, {})) for method in said.methods):
        return "not run"
    if refused or said.paper == NOT_APPLICABLE:
        return "reproduced" if refused and said.paper == NOT_APPLICABLE else "not reproduced"
    if ci is None:
        return "not run"
    if said.kind == "order":
        above = np.mean(list(values.values())) > said.nothing
        return "reproduced" if ci[0] > said.nothing else "partly" if above else "not reproduced"
    effect, holds = _has_effect(said, runs, values), ci[0] <= said.paper <= ci[1]
    if holds and (effect or said.kind != "margin"):
        return "reproduced"
    if said.kind != "original" and min(said.sign * (bound - said.paper) for bound in ci) > 0:
        return "exceeded"
    return "partly" if holds or effect else "not reproduced"


def _values(said: Statement, runs: Runs) -> dict[int, float]:
    """By seed, where all of the methods have a run and these have a value."""
    own = [runs.get(method, {}) for method in said.methods]
    seeds = sorted(set.intersection(*(set(of) for of in own)))
    taken = {seed: [of[seed] for of in own] for seed in seeds}
    found = {s: said.value(*each) for s, each in taken.items() if not any(run.refused for run in each)}
    return {seed: float(value) for seed, value in found.items() if not np.isnan(value)}


def _has_effect(said: Statement, runs: Runs, values: dict[int, float]) -> bool:
    """Whether the 95 % interval of the differences to `said.nothing` lies on the better side."""
    if isinstance(said.nothing, str):
        none = _values(replace(said, methods=(said.nothing,)), runs)
    else:
        none = dict.fromkeys(values, said.nothing)
    gains = [said.sign * gain for gain in metrics.paired(values, none).values()]
    return len(gains) > 1 and metrics.interval(gains)[0] > 0


def _is_judged(own: dict[int, RunRecord]) -> bool:
    return bool(own) and all(
        run.profile == "paper" and not run.provenance["data"].startswith("stand-in") for run in own.values()
    )


def _listed(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words)) or "none"


def _told(value: float | str | None) -> str:
    return "–" if value is None else str(value).replace("-", "−") if isinstance(value, float) else str(value)
