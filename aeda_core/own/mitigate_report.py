"""What `mitigate` found, in tables and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import aeda_core
from aeda_core import metrics
from aeda_core.datasets.base import BiasedImages
from aeda_core.datasets.labels import counted
from aeda_core.own import decision
from aeda_core.own.audit_report import LIMITS
from aeda_core.own.comparable import caution
from aeda_core.own.measured import Estimate
from aeda_core.own.report import Report, Section, Table

if TYPE_CHECKING:
    from aeda_core.own.mitigate import Mitigated, Outcome


def report(found: Mitigated, notes: Sequence[str]) -> Report:
    """The report of `mitigate`. notes: what was noticed in the data."""
    parts = found.parts
    sections = [
        Section("Original and what was chosen", [results(found), accuracies(found)]),
        Section("What was tried", [trials(found), *_method(found)]),
        Section("The groups", [sizes(parts.training, "training images")]),
        Section("What this cannot tell", LIMITS),
    ]
    said = [str(found), *caution(parts.test)]
    if undefined := found.tested[0].evaluation.undefined:
        said.append(f"Nothing is said about {', '.join(undefined)}: a group of theirs has no test image.")
    if empty := parts.training.empty_groups():
        said.append(counted(empty, "group has no training image", "groups have no training image", "; "))
    return Report(f"A fairer classifier for {found.name}?", said, sections, notes, _numbers(found))


def sizes(data: BiasedImages, what: str) -> Table:
    """How many images every group has."""
    counts = zip(data.task_names, data.group_sizes().tolist(), strict=True)
    rows = [[task, *(f"{n:,}" for n in row)] for task, row in counts]
    return Table(f"{what.capitalize()} of each target task with each bias value.", ["Target", *data.bias_names], rows)


def trials(found: Mitigated) -> Table:
    """Original and every setting, on the images to choose by."""
    rows = [
        [
            each.label,
            "–" if each.reached is None else f"{100 * each.reached:.0f}",
            f"{each.evaluation.bacc:.1f}",
            f"{each.evaluation.bias:.2f}",
            f"{each.worst:.1f}",
        ]
        for each in found.trials
    ]
    caption = (
        f"On the {len(found.parts.validation):,} images to choose by; what is highest in the last column, Original "
        "left aside, is tested."
    )
    head = ["Classifier", "Attack succeeds (%)", "bACC (%)", "Model bias", "bACC less half the mean gap"]
    return Table(caption, head, rows)


def results(found: Mitigated) -> Table:
    """Original and the chosen setting on the test images, and what lies between them."""
    rows = []
    for each, replicates in zip(found.tested, found.replicates, strict=True):
        bacc, bias = _estimates(each, replicates)
        rows.append([each.label, bacc.text(1), bias.text(2), f"{_floor(each):.2f}"])
    original, chosen = (each.evaluation for each in found.tested)
    bacc = Estimate(chosen.bacc - original.bacc, *found.verdict.bacc)
    bias = Estimate(chosen.bias - original.bias, *found.verdict.bias)
    rows.append(["difference", bacc.text(1), bias.text(2), ""])
    caption = f"On {len(found.parts.test):,} test images, which chose nothing, with 95 % intervals."
    return Table(caption, ["Classifier", "bACC (%)", "Model bias", "Bias if fair"], rows)


def accuracies(found: Mitigated) -> Table:
    """Percent right in every group of the test images."""
    data, (original, chosen) = found.parts.test, (each.evaluation.groups for each in found.tested)
    sizes = data.group_sizes()
    rows = [
        [
            task,
            value,
            f"{int(sizes[t, b]):,}",
            *(f"{100 * groups[task, value]:.1f}" if (task, value) in groups else "–" for groups in (original, chosen)),
        ]
        for t, task in enumerate(data.task_names)
        for b, value in enumerate(data.bias_names)
    ]
    head = ["Target", "Bias value", "Images", "Original (%)", "Chosen (%)"]
    return Table("Accuracy of every group of the test images.", head, rows, words=2)


def _method(found: Mitigated) -> list[str]:
    parts = found.parts
    return [
        f"{len(parts.training):,} images trained {found.network}, {found.epochs} epochs each time; "
        f"{len(parts.validation):,} others chose the setting, and {len(parts.test):,} more judged it. Nobody is in two "
        "of these sets.",
        _reweighted(found),
        "The attack succeeds where it makes the bias head see another bias value. If it seldom does, ε is too small to "
        "reach from one value to another, and the examples show nothing new.",
        "bACC is the mean of the accuracies of all groups. Model bias is Eq. (1) of Zhang and Sang (2020), the gap "
        "between the bias values' accuracies, summed over the target tasks. bACC less half the mean gap is, of two "
        "bias values, the accuracy of the one that does worse, averaged over the tasks. Intervals hold the middle 95 % "
        "of Bayesian bootstrap draws of identities; those of a difference take the same draws for both classifiers. "
        "Drawing again makes gaps larger, so the interval of a model bias is moved to where the estimate is. "
        "What another training would change is in none of them.",
    ]


def _reweighted(found: Mitigated) -> str:
    if not found.parts.training.empty_groups():
        return (
            "Reweighting trains on what there is; of every target task a label weighs the more, the rarer it is with "
            "its bias value. AEDA adds examples that are perturbed towards another bias value."
        )
    return (
        "AEDA adds examples that are perturbed towards another bias value. Reweighting, which is simpler, was not "
        "tried: a group without a training image has no label that could weigh more."
    )


def _estimates(each: Outcome, replicates: decision.Replicates) -> tuple[Estimate, Estimate]:
    """bACC and model bias."""
    return (
        Estimate(each.evaluation.bacc, *decision.interval(replicates["bacc"])),
        Estimate(each.evaluation.bias, *decision.around(each.evaluation.bias, replicates["bias"])),
    )


def _floor(each: Outcome) -> float:
    counts = each.evaluation.confusion
    return metrics.permutation_floor(counts, metrics.defined(counts))


def _numbers(found: Mitigated) -> dict[str, Any]:
    tested = []
    for each, replicates in zip(found.tested, found.replicates, strict=True):
        bacc, bias = _estimates(each, replicates)
        counts = each.evaluation.confusion.tolist()
        tested.append({"label": each.label, "bacc": asdict(bacc), "bias": asdict(bias), "confusion": counts})
    return {
        "kind": "mitigation",
        "version": aeda_core.__version__,
        "name": found.name,
        "network": found.network,
        "epochs": found.epochs,
        "method": found.chosen.method,
        "options": found.chosen.options,
        "rate": found.chosen.rate,
        "targets": found.parts.test.task_names,
        "bias_values": found.parts.test.bias_names,
        "images": {name: len(getattr(found.parts, name)) for name in ("training", "validation", "test")},
        "trials": [
            {
                "label": each.label,
                "reached": each.reached,
                "bacc": each.evaluation.bacc,
                "bias": each.evaluation.bias,
                "worst": each.worst,
            }
            for each in found.trials
        ],
        "tested": tested,
        "verdict": asdict(found.verdict),
        "recommended": found.recommended,
    }
