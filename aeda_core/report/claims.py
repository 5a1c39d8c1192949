"""The paper's claims, chapter by chapter: what it says, what our records say, and the verdict by `verdicts.RULE`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from aeda_core import metrics
from aeda_core.experiments import online
from aeda_core.report import faces, label_switch, paper
from aeda_core.report import few_shot as table3
from aeda_core.report.tables import Estimate, Table, spearman
from aeda_core.report.verdicts import Claim, Runs, by_method, cells, larger, margin
from aeda_core.runs import RunRecord


def cmnist_claims(records: Sequence[RunRecord]) -> list[Claim]:
    """Every claim of Table 1 and Fig. 8, judged by `records` of chapter 05."""
    runs = by_method(records)
    ledger = cells(runs, "table1", "C-MNIST", paper.TABLE1, ceiling="oracle")
    for more, less in pairwise(("aeda_robust", "aeda_online", "aeda_pre", "original")):
        claim = {
            "id": f"table1.order.{more}",
            "where": "Table 1",
            "claim": f"{paper.METHOD_LABELS[more]} has a higher bACC than {paper.METHOD_LABELS[less]} (points)",
            "paper": round(paper.TABLE1[more]["bacc"] - paper.TABLE1[less]["bacc"], 2),
        }
        ledger.append(larger(claim, lambda run: run.bacc, runs.get(more, {}), runs.get(less, {})))
    claim = {
        "id": "fig8.consistency",
        "where": "Fig. 8",
        "claim": "AEDA_robust's confusion matrices on red and brown agree more than Original's (share of mass)",
        "paper": "agree more",
    }
    robust, original = runs.get("aeda_robust", {}), runs.get("original", {})
    ledger.append(larger(claim, _consistency, robust, original))
    return ledger


def celeba_claims(records: Sequence[RunRecord]) -> list[Claim]:
    """Every claim of Fig. 2, Table 2 and Fig. 10(c), judged by `records` of chapters 01, 06 and 08."""
    runs = by_method(records)
    original = runs.get("original", {})
    ledger = [
        margin(
            {
                "id": "fig2.correlation",
                "where": "Fig. 2",
                "claim": "Female ratio and signed gap of the 34 target tasks go together (Spearman)",
                "paper": "strong correlation",
            },
            # what does not vary goes with nothing: 0
            {fold: float(np.nan_to_num(faces.correlation([record]))) for fold, record in original.items()},
            original,
            threshold=0.8,
        ),
        *cells(runs, "table2", "CelebA", paper.TABLE2, ceiling="aeda_robust"),
    ]
    for method in ("aeda_robust", "aeda_robust_per_batch"):
        ledger += _against_original(method, runs.get(method, {}), original)
    robust = runs.get("aeda_robust", {})
    folds = sorted(robust.keys() & original.keys())
    ledger.append(
        margin(
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


def _against_original(method: str, own: dict[int, RunRecord], original: dict[int, RunRecord]) -> list[Claim]:
    """What `method` gains on Original, fold by fold: points of bACC, and its bias as a share of Original's."""
    folds = sorted(own.keys() & original.keys())
    label, published = paper.METHOD_LABELS[method], paper.TABLE2.get(method)
    margins = (
        ("gain", "bACC over Original's (points)", +1, lambda a, b: a.bacc - b.bacc),
        ("bias_ratio", "bias as a share of Original's", -1, faces.share_of_bias),
    )
    printed = published and {
        "gain": round(published["bacc"] - paper.TABLE2["original"]["bacc"], 2),
        "bias_ratio": round(published["bias"] / paper.TABLE2["original"]["bias"], 2),
    }
    return [
        margin(
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
        for name, words, sign, compared in margins
    ]


def label_switch_claims(on_faces: Sequence[RunRecord], on_digits: Sequence[RunRecord]) -> list[Claim]:
    """Every claim of Fig. 3, judged by the records of chapter 02, and the same of digits."""
    return [*_switched(on_faces, ""), *_switched(on_digits, ".digits")]


def _switched(records: Sequence[RunRecord], data: str) -> list[Claim]:
    where = " (background colour of digits)" if data else ""
    found = {name: {r.spec.seed: r for r in own} for name, own in label_switch.rows(records).items()}
    ledger = []
    for short, (name, own) in zip(("hard", "adv", "robust"), found.items(), strict=True):
        claim = {
            "id": f"fig3.{short}{data}",
            "where": "Fig. 3",
            "claim": f"{paper.METHOD_LABELS[name]}: accuracy on unmodified images (%){where}",
            "paper": None if data else paper.FIG3[name],
        }
        values = {seed: label_switch.accuracy(record) for seed, record in own.items()}
        # hard switch is there to be low: the lower, the more the labels alone decide
        ledger.append(margin(claim, values, own, sign=-1 if short == "hard" else 1, nothing=50.0))
    for (less, low), (more, high) in pairwise(found.items()):
        claim = {
            "id": f"fig3.order.{more}{data}",
            "where": "Fig. 3",
            "claim": f"{paper.METHOD_LABELS[more]} has a higher accuracy than {paper.METHOD_LABELS[less]}{where} "
            "(points)",
            "paper": None if data else round(paper.FIG3[more] - paper.FIG3[less], 1),
        }
        line = larger(claim, label_switch.accuracy, high, low)
        ledger.append(replace(line, verdict="ours") if data else line)
    return ledger


def online_claims(on_faces: Sequence[RunRecord], on_digits: Sequence[RunRecord]) -> list[Claim]:
    """Every claim of Fig. 10(a) and 10(b), judged by the records of chapter 07. What the paper shows of faces is told
    of digits as well, and what it says of aeda_robust, of the variant that attacks every batch."""
    return [*_order(by_method(on_faces), ""), *_order(by_method(on_digits), ".digits")]


def _order(runs: Runs, data: str) -> list[Claim]:
    where = " on digits" if data else ""
    kept, faded = ("aeda_online", "aeda_robust"), ("aeda_pre", "aeda_once")
    common = _common(runs, *kept, *faded)
    ledger = [
        margin(
            {
                "id": f"fig10a.order{data}",
                "where": "Fig. 10(a)",
                "claim": "At the end r(m) of AEDA_online and of AEDA_robust is above that of AEDA_pre and of "
                f"AEDA_once{where} (the least of the differences)",
                "paper": None if data else "stable and superior",
            },
            {
                seed: float(np.min([last(runs[m][seed], "r") for m in kept]))
                - float(np.max([last(runs[m][seed], "r") for m in faded]))
                for seed in common
            },
            runs.get("aeda_robust", {}),
            threshold=0.0,
        )
    ]
    for method in online.STOPPED[:1] if data else online.STOPPED:
        label, goes_on, stopped = paper.METHOD_LABELS[method], runs.get(method, {}), runs.get(f"{method}_stopped", {})
        ours = "" if method == "aeda_robust" else ".per_batch"
        for id_, measure, words, sign in (
            ("", "bias", "the held-out bias is higher", 1),
            (".r", "r", "r(m) is lower", -1),
        ):
            ledger.append(
                margin(
                    {
                        "id": f"fig10b.stop{id_}{ours}{data}",
                        "where": "Fig. 10(b)",
                        "claim": f"Where the attack of {label} was stopped{where}, {words} in the end",
                        "paper": None if data or ours else "approach those of AEDA_pre",
                    },
                    {
                        seed: sign * (last(stopped[seed], measure) - last(goes_on[seed], measure))
                        for seed in _common(runs, method, f"{method}_stopped")
                    },
                    stopped,
                    threshold=0.0,
                )
            )
    return ledger


def transfer_claims(on_faces: Sequence[RunRecord], on_digits: Sequence[RunRecord]) -> list[Claim]:
    """Every claim of Fig. 4 and Fig. 11, judged by the records of chapter 03, and the same of digits."""
    return [*_fading(by_method(on_faces), ""), *_fading(by_method(on_digits), ".digits")]


def _fading(runs: Runs, data: str) -> list[Claim]:
    where = " on digits" if data else ""
    pre, robust_source, on = (runs.get(m, {}) for m in ("aeda_pre", "aeda_pre_robust_source", "aeda_online"))

    def claim(id_: str, figure: str, words: str, paper: str | None) -> dict[str, Any]:
        return {"id": f"{id_}{data}", "where": figure, "claim": words + where, "paper": None if data else paper}

    lost = "r(m) of AEDA_pre is lower after the last epoch than after the first"
    rises = "The lower r(m) of AEDA_pre, the higher its bias: their rank correlation over the epochs, negated"
    fig4 = (
        ("decay", lost, "lost", pre, _loss_of_r),
        ("decay.robust_source", "The same of r(m) where the source is robust", "lost", robust_source, _loss_of_r),
        ("bias_rises", rises, "generally increases", pre, _rise_of_bias),
        (
            "bias_rises.robust_source",
            "The same of r(m) and bias where the source is robust",
            "generally increases",
            robust_source,
            _rise_of_bias,
        ),
    )
    return [
        *(
            margin(
                claim(f"fig4.{id_}", "Fig. 4", words, said),
                {seed: measured(run) for seed, run in own.items()},
                own,
                threshold=0.0,
            )
            for id_, words, said, own, measured in fig4
        ),
        margin(
            claim(
                "fig11.stable",
                "Fig. 11",
                "AEDA_online keeps a larger share of its first feature difference than AEDA_pre does of its own "
                "over the same epochs",
                "stable, against falling",
            ),
            {
                seed: kept(on[seed], on[seed]) - kept(pre[seed], on[seed])
                for seed in _common(runs, "aeda_pre", "aeda_online")
            },
            on,
            threshold=0.0,
        ),
        margin(
            claim(
                "fig11.level", "Fig. 11", "AEDA_online's feature difference is larger than AEDA_pre's in the end", None
            ),
            {
                seed: last(on[seed], "difference") - last(pre[seed], "difference")
                for seed in _common(runs, "aeda_pre", "aeda_online")
            },
            on,
        ),
    ]


def _loss_of_r(run: RunRecord) -> float:
    return first(run, "r") - last(run, "r")


def _rise_of_bias(run: RunRecord) -> float:
    return -course(run, "r", "bias")


def few_shot_claims(records: Sequence[RunRecord]) -> list[Claim]:
    """Every claim of Table 3, judged by the records of chapter 09: of precision, and the same of accuracy."""
    values, ledger = table3.by_seed(records), []
    own = {record.spec.seed: record for record in records if record.spec.method == "few_shot"}
    for measure, id_ in (("precision", "table3"), ("accuracy", "table3.accuracy")):
        for digit, printed in paper.TABLE3["few_shot"].items():
            claim = {
                "id": f"{id_}.digit{digit}",
                "where": "Table 3",
                "claim": f"AEDA_robust: {measure} of digit {digit} with four training images (%)",
                "paper": printed,
            }
            without = Estimate.of(values.get(("original", measure, digit), {}).values()).mean
            ledger.append(margin(claim, values.get(("few_shot", measure, digit), {}), own, nothing=without))
        claim = {
            "id": f"{id_}.gain",
            "where": "Table 3",
            "claim": f"AEDA_robust: mean {measure} of the digits 2, 4, 6 and 8 over Original's (points)",
            "paper": round(table3.paper_gain(), 2),
        }
        ledger.append(margin(claim, table3.differences(records, measure), own))
    return ledger


def _consistency(run: RunRecord) -> float:
    return float("nan") if run.undefined else metrics.consistency(run.counts)


def first(run: RunRecord, measure: str) -> float:
    """`measure` after the first epoch that has it; NaN where none has."""
    return next((row[measure] for row in run.epochs if measure in row), float("nan"))


def last(run: RunRecord, measure: str) -> float:
    """`measure` after the last epoch; NaN where that has none, for instance as the attack was never to begin."""
    return run.epochs[-1].get(measure, float("nan")) if run.epochs else float("nan")


def course(run: RunRecord, one: str, other: str) -> float:
    """Spearman's correlation of two measures over the epochs; 0 where one of them does not move."""
    rows = [row for row in run.epochs if one in row]
    return float(np.nan_to_num(spearman([row[one] for row in rows], [row[other] for row in rows])))


def kept(run: RunRecord, since: RunRecord) -> float:
    """The share that is left in the end of the feature difference which `run` had when `since` first had one; NaN where
    there was none to lose."""
    begins = next((i for i, row in enumerate(since.epochs) if "difference" in row), None)
    had = 0 if begins is None else run.epochs[begins].get("difference", 0)
    return last(run, "difference") / had if had else float("nan")


def _common(runs: Runs, *methods: str) -> list[int]:
    """The seeds or folds that all of `methods` have."""
    return sorted(set.intersection(*(set(runs.get(method, {})) for method in methods)))


def verdicts(ledger: Sequence[Claim]) -> Table:
    """The lines of `ledger` as a chapter's table."""
    rows = pd.DataFrame([line(claim) for claim in ledger]).set_index("claim").rename_axis(None)
    return Table(
        rows,
        "Claims of this chapter, judged. Intervals: 95 %, over n folds or seeds. Only recorded runs of the full "
        "protocol on the real data are judged, everything else is not run; ours are claims that the paper does not "
        "make.",
    )


def line(claim: Claim) -> dict[str, str]:
    """A claim in words, by the titles of its columns."""

    def told(value: float | str | None) -> str:
        return "–" if value is None else str(value).replace("-", "−") if isinstance(value, float) else str(value)

    return {
        "claim": claim.claim,
        "paper": told(claim.paper),
        "here": told(claim.ours),
        "95 % interval": f"{told(claim.ci95[0])} to {told(claim.ci95[1])}" if claim.ci95 else "–",
        "n": str(claim.n),
        "verdict": claim.verdict,
    }
