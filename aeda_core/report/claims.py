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
falls behind `oracle` (Table 1) or `aeda_robust` (Table 2) on the same seeds; else not reproduced. A method that the
paper could not apply is reproduced if it refuses here too. An ordinal claim is reproduced if the paired interval of
what it says to be larger lies above 0, partly if only its mean does. A margin that the paper prints is exceeded as a
number is; reproduced if I holds it and tells it from no effect; partly reproduced if I does one of the two. Runs on the
faces differ in the fold, and what is said of seeds holds for folds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aeda_core import metrics, runs
from aeda_core.datasets.base import DATA, PROJECT
from aeda_core.experiments import celeba, cmnist
from aeda_core.report import faces, paper
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


Runs = dict[str, dict[int, RunRecord]]
"""Records by method and seed, or fold."""


def by_method(records: Sequence[RunRecord]) -> Runs:
    """`records` as Runs."""
    found: Runs = {}
    for record in records:
        found.setdefault(record.spec.method, {})[record.spec.seed] = record
    return found


def cmnist_claims(records: Sequence[RunRecord]) -> list[Claim]:
    """Every claim of Table 1 and Fig. 8, judged by `records` of chapter 05."""
    runs = by_method(records)
    ledger = _table(runs, "table1", "C-MNIST", paper.TABLE1, ceiling="oracle")
    for more, less in pairwise(("aeda_robust", "aeda_online", "aeda_pre", "original")):
        claim = {
            "id": f"table1.order.{more}",
            "where": "Table 1",
            "claim": f"{paper.METHOD_LABELS[more]} has a higher bACC than {paper.METHOD_LABELS[less]} (points)",
            "paper": round(paper.TABLE1[more]["bacc"] - paper.TABLE1[less]["bacc"], 2),
        }
        ledger.append(_larger(claim, lambda run: run.bacc, runs.get(more, {}), runs.get(less, {})))
    claim = {
        "id": "fig8.consistency",
        "where": "Fig. 8",
        "claim": "AEDA_robust's confusion matrices on red and brown agree more than Original's (share of mass)",
        "paper": "agree more",
    }
    robust, original = runs.get("aeda_robust", {}), runs.get("original", {})
    ledger.append(_larger(claim, lambda run: metrics.consistency(run.counts), robust, original))
    return ledger


def celeba_claims(records: Sequence[RunRecord]) -> list[Claim]:
    """Every claim of Fig. 2, Table 2 and Fig. 10(c), judged by `records` of chapters 01, 06 and 08."""
    runs = by_method(records)
    original = runs.get("original", {})
    ledger = [
        _margin(
            {
                "id": "fig2.correlation",
                "where": "Fig. 2",
                "claim": "Female ratio and signed gap of the 34 target tasks go together (Spearman)",
                "paper": "strong correlation",
            },
            {fold: faces.correlation([record]) for fold, record in original.items()},
            original,
            threshold=0.8,
        ),
        *_table(runs, "table2", "CelebA", paper.TABLE2, ceiling="aeda_robust"),
    ]
    for method in ("aeda_robust", "aeda_robust_per_batch"):
        own = runs.get(method, {})
        folds = sorted(own.keys() & original.keys())
        label, published = paper.METHOD_LABELS[method], paper.TABLE2.get(method)
        margins = (
            ("gain", "bACC over Original's (points)", +1, lambda a, b: a.bacc - b.bacc),
            ("bias_ratio", "bias as a share of Original's", -1, lambda a, b: a.bias / b.bias),
        )
        printed = published and {
            "gain": round(published["bacc"] - paper.TABLE2["original"]["bacc"], 2),
            "bias_ratio": round(published["bias"] / paper.TABLE2["original"]["bias"], 2),
        }
        for name, words, sign, compared in margins:
            ledger.append(
                _margin(
                    {
                        "id": f"table2.{method}.{name}",
                        "where": "Table 2",
                        "claim": f"{label}: {words}",
                        "paper": printed and printed[name],
                    },
                    {fold: compared(own[fold], original[fold]) for fold in folds},
                    own,
                    sign=sign,
                    nothing=0.0 if name == "gain" else 1.0,
                )
            )
    robust = runs.get("aeda_robust", {})
    folds = sorted(robust.keys() & original.keys())
    ledger.append(
        _margin(
            {
                "id": "fig10c.attributes",
                "where": "Fig. 10(c)",
                "claim": "Share of the 17 attributes whose bias AEDA_robust reduces",
                "paper": "consistently reduced",
            },
            {fold: faces.improved(original[fold], robust[fold]) for fold in folds},
            robust,
            threshold=0.5,
        )
    )
    return ledger


def _margin(
    claim: dict[str, Any],
    values: dict[int, float],
    own: dict[int, RunRecord],
    sign: int = 1,
    nothing: float = 0.0,
    threshold: float | None = None,
) -> Claim:
    """A quantity of its own, a value a run.

    sign:      +1 if more is better
    nothing:   its value where there is no effect
    threshold: what it has to be above where the paper has words and no number
    """
    numbers = list(values.values())
    ci = metrics.interval(numbers) if len(numbers) > 1 else None
    if claim["paper"] is None:
        verdict = "ours"
    elif ci is None or not _judged(own):
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
        **_origin(own),
        verdict=verdict,
    )


def _table(runs: Runs, id_: str, data: str, table: dict[str, paper.Published], ceiling: str) -> list[Claim]:
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
    elif not _judged(own):
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
    ledger = [*celeba_claims(celeba.recorded()), *cmnist_claims(cmnist.recorded())]
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
