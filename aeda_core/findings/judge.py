"""The rule by which a verdict follows from what the paper says and from our records. It stands in RULE and REMARKS,
which the scorecard page shows, and in `verdict`, which follows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aeda_core.findings import statistics
from aeda_core.findings.measures import END
from aeda_core.findings.statistics import REAL, Range
from aeda_core.runs import RunRecord

MARGIN = 0.5
"""How much smaller than the paper's an effect may be and still count as reproduced, as a share of the paper's."""

RULE = {
    "exceeded": "all of *I* is a larger effect than *p*",
    "reproduced": f"all of *I* is an effect, and at least {100 * (1 - MARGIN):.0f} % of *p*; of words: all of *I* is "
    "beyond the threshold in the claim",
    "partly": "all of *I* is an effect, but it is not shown to be that large",
    "undecided": "*I* contains both no effect and an effect that is large enough: these runs cannot tell",
    "not reproduced": "*I* contains no effect or its opposite, and no effect in it is large enough",
    "not run": "there are no such records",
    "descriptive": "the claim is a level, not an effect: it is shown beside the paper's and not judged",
    "ours": "the paper makes no such claim",
}
"""What each verdict means: *I* is the 95 % interval of our mean, *p* the effect that the paper prints."""

MARKS = {"exceeded": "▲", "reproduced": "●", "partly": "◐", "undecided": "○", "not reproduced": "✕"}
"""What stands beside a verdict, so that it does not take colour to tell them apart."""

JUDGED = tuple(MARKS)

CHANCE = (1 - statistics.LEVEL) / 2
"""How often the interval lies wholly on the side of the claim where there is no effect."""

REMARKS = (
    "Only runs of profile `paper` on the real data are judged; a stand-in and a shortened run never get a verdict. "
    "What is judged is an effect: how much better one method is than another on the same seeds or folds, or an order "
    "in words. Levels, such as a method's own bACC, depend on the network, the images and their size, of which the "
    "paper says little; they are descriptive. So is that a method does not apply.",
    "An effect that the paper prints as a number is reproduced if all of *I* is at least "
    f"{100 * (1 - MARGIN):.0f} % of it, a non-inferiority test. An effect in words is held against the threshold that "
    "stands in the claim, and against 0 where none does. What is said to be stable is reproduced if all of *I* is "
    "within the bounds that the claim names, which is an equivalence test by two one-sided tests at 2.5 % each.",
    "*I* is Student's interval over independent seeds. Folds share most of their training faces, so their interval is "
    "that of the corrected resampled t-test {cite}`nadeau2003`, about half as wide again. An interval is computed on a "
    "scale that keeps it within the range of the quantity {cite}`agresti2013`: logit for percentages, shares, "
    "correlations (on which it is Fisher's z) and biases, which are at most the number of tasks; log for ratios. Two "
    "methods are compared by their differences on the same seeds or folds. Where the data of a chapter is the same "
    "training images for all seeds, *I* is about training alone, and other images could change more than it says.",
    f"*In the end* is the mean of the last {END} epochs, since a measure of the examples may go up and down from one "
    "epoch to the next.",
)

NOT_APPLICABLE = "does not apply"
SAME = ", the same training images for all seeds"

Runs = dict[str, dict[int, RunRecord]]
"""Records by `RunRecord.name` and seed, or fold."""

About = Literal["AEDA", "rivals and mechanism"]


@dataclass(frozen=True)
class Statement:
    """Something that the paper says, or we do, and the number of ours that it is judged by.

    paper:   the paper's number, its words where it has none, NOT_APPLICABLE, or None if it makes no such claim
    methods: whose runs it takes, by `RunRecord.name`; it is about those of the first
    value:   the number, from one run of each of `methods` on the same seed; NaN: these have none
    kind:    a `level` is not judged; an `effect` is, and what is `stable` if it is within `bounds`
    nothing: the value where there is no effect
    sign:    +1 if an effect in words is above `nothing`, -1 if below; a number of the paper's says so itself
    enough:  the least value that an effect in words asks for, if it is not any above `nothing`
    bounds:  between which values something is stable
    within:  the range of the value
    about:   in which tally it counts
    data:    the data set whose records it is about
    """

    id: str
    claim: str
    paper: float | str | None
    methods: tuple[str, ...]
    value: Callable[..., float]
    kind: Literal["level", "effect", "stable"] = "effect"
    nothing: float = 0.0
    sign: int = 1
    enough: float | None = None
    bounds: Range = REAL
    within: Range = REAL
    about: About = "rivals and mechanism"
    decimals: int = 3
    data: str = "celeba"

    @property
    def where(self) -> str:
        """The table or figure that it is about, `Fig. 10(a)` for the id `fig10a.order`, or a chapter of ours."""
        kind, number, part = re.fullmatch(r"(fig|table|chapter)(\d+)([a-z]?)", self.id.split(".")[0]).groups()
        return {"fig": "Fig. ", "table": "Table ", "chapter": "Chapter "}[kind] + number + (part and f"({part})")

    def effect(self, value: float) -> float:
        """How far `value` is from `nothing`, on the side where the claim has it."""
        sign = np.sign(self.paper - self.nothing) if isinstance(self.paper, float) else self.sign
        return float(sign * (value - self.nothing))

    @property
    def papers(self) -> float:
        """The effect that the paper prints; infinite where it prints none."""
        return self.effect(self.paper) if isinstance(self.paper, float) else np.inf

    @property
    def least(self) -> float:
        """The effect that is large enough."""
        if isinstance(self.paper, float):
            return (1 - MARGIN) * self.papers
        return 0.0 if self.enough is None else self.effect(self.enough)


@dataclass(frozen=True)
class Claim:
    """A line of the scorecard. ours, ci95: mean over the runs and its 95 % interval; n: runs; about: its tally."""

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
    about: str

    def in_words(self) -> dict[str, str]:
        """By the titles of a table's columns."""
        return {
            "claim": self.claim,
            "paper": told(self.paper),
            "here": told(self.ours),
            "95 % interval": f"{told(self.ci95[0])} to {told(self.ci95[1])}" if self.ci95 else "–",
            "n": str(self.n),
            "verdict": f"{MARKS.get(self.verdict, '')} {self.verdict}".strip(),
        }


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
    overlap = statistics.overlap(own[seed] for seed in values)
    ci = statistics.interval(found, said.within, overlap) if len(found) > 1 else None
    same = statistics.same_images(list(own.values()))
    judged = all(_is_judged(runs.get(method, {})) for method in said.methods)
    return Claim(
        id=said.id,
        where=said.where,
        claim=said.claim,
        paper=said.paper,
        ours=NOT_APPLICABLE if refused else round(float(np.mean(found)), said.decimals) if found else None,
        ci95=ci and (round(ci[0], said.decimals), round(ci[1], said.decimals)),
        n=len(own) if refused else len(found),
        profile=_listed(run.profile for run in own.values()),
        data=_listed(run.provenance["data"] for run in own.values()) + (SAME if same else ""),
        device=_listed(run.provenance["device"] for run in own.values()),
        verdict=verdict(said, ci, refused) if judged or said.paper is None else "not run",
        about="ours" if said.paper is None else said.about,
    )


def verdict(said: Statement, ci: Range | None, refused: bool = False) -> str:
    """RULE and REMARKS, of the interval `ci` that records of the full protocol gave; None: too few of them."""
    if said.paper is None:
        return "ours"
    if said.kind == "level" or said.paper == NOT_APPLICABLE:
        return "descriptive" if ci or refused else "not run"
    if ci is None:
        return "not reproduced" if refused else "not run"
    if said.kind == "stable":
        low, high = said.bounds
        inside, outside = low <= ci[0] and ci[1] <= high, ci[1] < low or ci[0] > high
        return "reproduced" if inside else "not reproduced" if outside else "undecided"
    low, high = sorted(map(said.effect, ci))
    if low > 0:
        return "exceeded" if low > said.papers else "reproduced" if low >= said.least else "partly"
    return "not reproduced" if high <= 0 or high < said.least else "undecided"


def _values(said: Statement, runs: Runs) -> dict[int, float]:
    """By seed, where all of the methods have a run and these have a value."""
    own = [runs.get(method, {}) for method in said.methods]
    seeds = sorted(set.intersection(*(set(of) for of in own)))
    taken = {seed: [of[seed] for of in own] for seed in seeds}
    found = {s: said.value(*each) for s, each in taken.items() if not any(run.refused for run in each)}
    return {seed: float(value) for seed, value in found.items() if not np.isnan(value)}


def _is_judged(own: Mapping[int, RunRecord]) -> bool:
    return bool(own) and all(
        run.profile == "paper" and not run.provenance["data"].startswith("stand-in") for run in own.values()
    )


def _listed(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words)) or "none"


def told(value: float | str | None) -> str:
    """A number with two decimals, words as they are, a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:.2f}".replace("-", "−") if isinstance(value, float) else value
