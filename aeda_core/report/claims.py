"""The claim ledger: what the paper says, what our records say, and a verdict by rule.

Only `paper`-profile records of the real data are judged. With I the 95 % interval of our mean over seeds and p the
paper's number, "better" meaning higher bACC or lower bias:

exceeded        all of I is better than p
reproduced      I holds p
partly          all of I is worse than p, but the method still beats `original` on the same seeds
not reproduced  it does not
not run         there are no such records
ours            the paper makes no such claim

`original` is there to be beaten, so for it better and worse are alike: reproduced if I holds p; partly if not, but it
falls behind `oracle` on the same seeds; else not reproduced. A method that the paper could not apply is reproduced if
it refuses here too. An ordinal claim is reproduced if the paired interval of what it says to be larger lies above 0,
partly if only its mean does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from aeda_core import metrics, runs
from aeda_core.datasets.base import DATA, PROJECT
from aeda_core.experiments import cmnist
from aeda_core.report import paper
from aeda_core.runs import RunRecord

SCORECARD = DATA / "scorecard.json"
PAGES = (PROJECT / "README.md", PROJECT / "book" / "intro.md")
_BEGIN, _END = "<!-- scorecard:begin -->", "<!-- scorecard:end -->"

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


def claims(records: Sequence[RunRecord]) -> list[Claim]:
    """Every claim of Table 1 and Fig. 8, judged by `records` of chapter 05."""
    by_method: dict[str, dict[int, RunRecord]] = {}
    for record in records:
        by_method.setdefault(record.spec.method, {})[record.spec.seed] = record
    ledger = []
    for method in dict.fromkeys([*paper.TABLE1, *by_method]):
        published = paper.TABLE1.get(method)
        for measure in _MEASURES:
            value = None if published is None else published[measure]
            ledger.append(_table1(method, measure, method in paper.TABLE1, value, by_method))
    for more, less in pairwise(("aeda_robust", "aeda_online", "aeda_pre", "original")):
        claim = {
            "id": f"table1.order.{more}",
            "where": "Table 1",
            "claim": f"{paper.METHOD_LABELS[more]} has a higher bACC than {paper.METHOD_LABELS[less]} (points)",
            "paper": round(paper.TABLE1[more]["bacc"] - paper.TABLE1[less]["bacc"], 2),
        }
        ledger.append(_larger(claim, lambda run: run.bacc, by_method.get(more, {}), by_method.get(less, {})))
    claim = {
        "id": "fig8.consistency",
        "where": "Fig. 8",
        "claim": "AEDA_robust's confusion matrices on red and brown agree more than Original's (share of mass)",
        "paper": "agree more",
    }
    robust, original = by_method.get("aeda_robust", {}), by_method.get("original", {})
    ledger.append(_larger(claim, lambda run: metrics.consistency(run.counts), robust, original))
    return ledger


def _table1(
    method: str, measure: str, claimed: bool, published: float | None, by_method: dict[str, dict[int, RunRecord]]
) -> Claim:
    sign, name, digits = _MEASURES[measure]
    own = by_method.get(method, {})
    refused = any(record.refused for record in own.values())
    values = _values(own, measure) if not refused else {}
    ci = metrics.interval(list(values.values())) if len(values) > 1 else None
    if not claimed:
        verdict = "ours"
    elif not _judged(own):
        verdict = "not run"
    elif published is None or refused:
        verdict = "reproduced" if refused and published is None else "not reproduced"
    elif ci is None:
        verdict = "not run"
    elif ci[0] <= published <= ci[1]:
        verdict = "reproduced"
    elif method == "original":
        verdict = "partly" if _beats(by_method.get("oracle", {}), own, measure, sign) else "not reproduced"
    elif min(sign * (bound - published) for bound in ci) > 0:
        verdict = "exceeded"
    else:
        verdict = "partly" if _beats(own, by_method.get("original", {}), measure, sign) else "not reproduced"
    return Claim(
        id=f"table1.{method}.{measure}",
        where="Table 1",
        claim=f"{paper.METHOD_LABELS[method]}: {name} on C-MNIST",
        paper="does not apply" if claimed and published is None else published,
        ours="does not apply" if refused else round(float(np.mean(list(values.values()))), digits) if values else None,
        ci95=ci and (round(ci[0], digits), round(ci[1], digits)),
        n=len(own),
        **_origin(own),
        verdict=verdict,
    )


def _larger(
    claim: dict[str, str], value: Callable[[RunRecord], float], more: dict[int, RunRecord], less: dict[int, RunRecord]
) -> Claim:
    """The claim that `value` is larger in `more` than in `less`, by their differences on the same seeds."""
    gains = [value(more[seed]) - value(less[seed]) for seed in sorted(more.keys() & less.keys())]
    ci = metrics.interval(gains) if len(gains) > 1 else None
    judged = ci is not None and _judged(more) and _judged(less)
    return Claim(
        **claim,
        ours=round(float(np.mean(gains)), 3) if gains else None,
        ci95=ci and (round(ci[0], 3), round(ci[1], 3)),
        n=len(gains),
        **_origin(more),
        verdict=ordinal(np.mean(gains), ci) if judged else "not run",
    )


def ordinal(mean: float, ci: tuple[float, float]) -> str:
    """The verdict on "this is larger than that", from the paired differences' mean and interval."""
    return "reproduced" if ci[0] > 0 else "partly" if mean > 0 else "not reproduced"


def _values(own: dict[int, RunRecord], measure: str) -> dict[int, float]:
    return {seed: getattr(record, measure) for seed, record in own.items()}


def _beats(one: dict[int, RunRecord], other: dict[int, RunRecord], measure: str, sign: int) -> bool:
    """Whether the 95 % interval of the paired differences over common seeds is on the better side of 0."""
    a, b = _values(one, measure), _values(other, measure)
    gains = [sign * (a[seed] - b[seed]) for seed in a.keys() & b.keys()]
    return len(gains) > 1 and metrics.interval(gains)[0] > 0


def _judged(own: dict[int, RunRecord]) -> bool:
    return bool(own) and all(
        record.spec.profile == "paper" and not record.provenance["data"].startswith("stand-in")
        for record in own.values()
    )


def _origin(own: dict[int, RunRecord]) -> dict[str, str]:
    def told(values: list[str]) -> str:
        return "; ".join(dict.fromkeys(values)) or "none"

    return {
        "profile": told([record.spec.profile for record in own.values()]),
        "data": told([record.provenance["data"] for record in own.values()]),
        "device": told([record.provenance["device"] for record in own.values()]),
    }


def table(ledger: Sequence[Claim]) -> str:
    """The ledger as a Markdown table."""
    rows = [
        {
            "claim": claim.claim,
            "paper": "–" if claim.paper is None else claim.paper,
            "here": "–" if claim.ours is None else claim.ours,
            "95 % interval": f"{claim.ci95[0]} to {claim.ci95[1]}" if claim.ci95 else "–",
            "n": claim.n,
            "verdict": claim.verdict,
        }
        for claim in ledger
    ]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def write(check: bool = False) -> list[str]:
    """Write data/scorecard.json and the tables in README and intro from the recorded runs.

    check: write nothing. Returns the files that changed, or would change.
    """
    ledger = claims(cmnist.recorded())
    lines = [asdict(claim) for claim in ledger]
    texts: dict[Path, str] = {}
    before = json.loads(SCORECARD.read_text()) if SCORECARD.exists() else {}
    if before.get("claims") != json.loads(json.dumps(lines)):
        now = {"commit": runs.commit(), "generated": datetime.now(UTC).isoformat(timespec="seconds"), "claims": lines}
        texts[SCORECARD] = json.dumps(now, indent=1, ensure_ascii=False) + "\n"
    for page in PAGES:
        old = page.read_text()
        block = f"{_BEGIN}\n\n{table(ledger)}\n\n{_END}"
        new, found = re.subn(f"{_BEGIN}.*?{_END}", lambda _, block=block: block, old, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"'{page}' has {found} places between {_BEGIN} and {_END}; it needs one.")
        if new != old:
            texts[page] = new
    if not check:
        for path, text in texts.items():
            runs.write_atomically(path, text)
    return [str(path.relative_to(PROJECT)) for path in texts]
