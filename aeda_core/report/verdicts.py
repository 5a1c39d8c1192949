"""The rule by which a verdict follows from the paper's number and our records. It stands in RULE and REMARKS, which
the scorecard page shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aeda_core import metrics
from aeda_core.report import captions, paper
from aeda_core.runs import RunRecord

RULE = {
    "exceeded": "all of *I* is better than *p*",
    "reproduced": "*I* holds *p*",
    "partly": "all of *I* is worse than *p*, but the method still beats Original on the same seeds",
    "not reproduced": "it does not",
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

# what counts, in which direction better lies, and how many digits are told
_MEASURES = {"bacc": (+1, "bACC (%)", 2), "bias": (-1, "model bias", 2)}


@dataclass(frozen=True)
class Claim:
    """A line of the ledger. ours, ci95: mean over the runs and its 95 % interval; n: runs."""

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


Runs = dict[str, dict[int, RunRecord]]
"""Records by method and seed, or fold."""


def by_method(records: Sequence[RunRecord]) -> Runs:
    """`records` as Runs; a variant of a method, as `captions.name` calls it, counts as one of its own."""
    found: Runs = {}
    for record in records:
        found.setdefault(captions.name(record), {})[record.spec.seed] = record
    return found


def margin(
    claim: dict[str, Any],
    values: dict[int, float],
    own: dict[int, RunRecord],
    sign: int = 1,
    nothing: float = 0.0,
    threshold: float | None = None,
) -> Claim:
    """A quantity of its own, a value a run; NaN where a run has none, and that run is then left out.

    sign:      +1 if more is better
    nothing:   its value where there is no effect
    threshold: what it has to be above where the paper has words and no number
    """
    numbers = [value for value in values.values() if not np.isnan(value)]
    ci = metrics.interval(numbers) if len(numbers) > 1 else None
    if claim["paper"] is None:
        verdict = "ours"
    elif ci is None or not is_judged(own):
        verdict = "not run"
    elif threshold is not None:
        verdict = ordinal(np.mean(numbers) - threshold, (ci[0] - threshold, ci[1] - threshold))
    elif ci[0] <= claim["paper"] <= ci[1]:
        verdict = "reproduced" if min(sign * (bound - nothing) for bound in ci) > 0 else "partly"
    elif min(sign * (bound - claim["paper"]) for bound in ci) > 0:
        verdict = "exceeded"
    else:
        verdict = "partly" if min(sign * (bound - nothing) for bound in ci) > 0 else "not reproduced"
    return Claim(
        **claim,
        ours=round(float(np.mean(numbers)), 3) if numbers else None,
        ci95=ci and (round(ci[0], 3), round(ci[1], 3)),
        n=len(numbers),
        **origin(own),
        verdict=verdict,
    )


def cells(runs: Runs, id_: str, data: str, table: dict[str, paper.Published], ceiling: str) -> list[Claim]:
    """A line for each number of `table`, and for each method that it has not."""
    return [
        _cell(runs, id_, data, table, ceiling, method, measure)
        for method in dict.fromkeys([*table, *runs])
        for measure in _MEASURES
    ]


def _cell(
    runs: Runs, id_: str, data: str, table: dict[str, paper.Published], ceiling: str, method: str, measure: str
) -> Claim:
    sign, name, digits = _MEASURES[measure]
    claimed, own = method in table, runs.get(method, {})
    published = table[method][measure] if claimed else None
    refused = any(record.refused for record in own.values())
    values = _values(own, measure) if not refused else {}
    ci = metrics.interval(list(values.values())) if len(values) > 1 else None
    if not claimed:
        verdict = "ours"
    elif not is_judged(own):
        verdict = "not run"
    elif published is None or refused:
        verdict = "reproduced" if refused and published is None else "not reproduced"
    elif ci is None:
        verdict = "not run"
    elif ci[0] <= published <= ci[1]:
        verdict = "reproduced"
    elif method == "original":
        verdict = "partly" if _beats(runs.get(ceiling, {}), own, measure, sign) else "not reproduced"
    elif min(sign * (bound - published) for bound in ci) > 0:
        verdict = "exceeded"
    else:
        verdict = "partly" if _beats(own, runs.get("original", {}), measure, sign) else "not reproduced"
    return Claim(
        id=f"{id_}.{method}.{measure}",
        where=f"Table {id_[-1]}",
        claim=f"{paper.METHOD_LABELS[method]}: {name} on {data}",
        paper="does not apply" if claimed and published is None else published,
        ours="does not apply" if refused else round(float(np.mean(list(values.values()))), digits) if values else None,
        ci95=ci and (round(ci[0], digits), round(ci[1], digits)),
        n=len(own),
        **origin(own),
        verdict=verdict,
    )


def larger(
    claim: dict[str, str], value: Callable[[RunRecord], float], more: dict[int, RunRecord], less: dict[int, RunRecord]
) -> Claim:
    """The claim that `value` is larger in `more` than in `less`, by their differences on the same seeds; those on which
    one of them refused or has no value are left out."""
    differences = metrics.paired(*({s: value(r) for s, r in own.items() if not r.refused} for own in (more, less)))
    gains = [gain for gain in differences.values() if not np.isnan(gain)]
    ci = metrics.interval(gains) if len(gains) > 1 else None
    judged = ci is not None and is_judged(more) and is_judged(less)
    return Claim(
        **claim,
        ours=round(float(np.mean(gains)), 3) if gains else None,
        ci95=ci and (round(ci[0], 3), round(ci[1], 3)),
        n=len(gains),
        **origin(more),
        verdict=ordinal(np.mean(gains), ci) if judged else "not run",
    )


def ordinal(mean: float, ci: tuple[float, float]) -> str:
    """The verdict on "this is larger than that", from the paired differences' mean and interval."""
    return "reproduced" if ci[0] > 0 else "partly" if mean > 0 else "not reproduced"


def _values(own: dict[int, RunRecord], measure: str) -> dict[int, float]:
    return {seed: getattr(record, measure) for seed, record in own.items() if not record.refused}


def _beats(one: dict[int, RunRecord], other: dict[int, RunRecord], measure: str, sign: int) -> bool:
    """Whether the 95 % interval of the paired differences over common seeds is on the better side of 0."""
    gains = [sign * gain for gain in metrics.paired(_values(one, measure), _values(other, measure)).values()]
    return len(gains) > 1 and metrics.interval(gains)[0] > 0


def is_judged(own: dict[int, RunRecord]) -> bool:
    return bool(own) and all(
        record.spec.profile == "paper" and not record.provenance["data"].startswith("stand-in")
        for record in own.values()
    )


def origin(own: dict[int, RunRecord]) -> dict[str, str]:
    def told(values: list[str]) -> str:
        return "; ".join(dict.fromkeys(values)) or "none"

    return {
        "profile": told([record.spec.profile for record in own.values()]),
        "data": told([record.provenance["data"] for record in own.values()]),
        "device": told([record.provenance["device"] for record in own.values()]),
    }
