"""What `mitigate` found, as tables of text: the first row is the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeda_core import metrics
from aeda_core.datasets.base import BiasedImages
from aeda_core.own import decision

if TYPE_CHECKING:
    from aeda_core.own.mitigate import Mitigated

Table = list[list[str]]


def sizes(data: BiasedImages) -> Table:
    """How many images every group has."""
    rows = zip(data.task_names, data.group_sizes().tolist(), strict=True)
    return [["target", *data.bias_names], *([task, *map(str, counts)] for task, counts in rows)]


def trials(found: Mitigated) -> Table:
    """Original and every setting, on the images to choose by."""
    head = ["classifier", "bACC (%)", "model bias", "bACC less half the mean gap"]
    return [head, *([each.label, *_numbers(each.evaluation, each.worst)] for each in found.trials)]


def results(found: Mitigated) -> Table:
    """Original and the chosen setting on the test images, and what lies between them, with 95 % intervals."""
    rows = [["classifier", "bACC (%)", "model bias", "bias if it were fair"]]
    for each, replicates in zip(found.tested, found.replicates, strict=True):
        counts = each.evaluation.confusion
        floor = metrics.permutation_floor(counts, metrics.defined(counts))
        bacc, bias = (decision.interval(replicates[name]) for name in ("bacc", "bias"))
        rows.append(
            [
                each.label,
                f"{each.evaluation.bacc:.1f} [{bacc[0]:.1f}, {bacc[1]:.1f}]",
                f"{each.evaluation.bias:.2f} [{bias[0]:.2f}, {bias[1]:.2f}]",
                f"{floor:.2f}",
            ]
        )
    bacc, bias = found.verdict.bacc, found.verdict.bias
    rows.append(["difference", f"[{bacc[0]:+.1f}, {bacc[1]:+.1f}]", f"[{bias[0]:+.2f}, {bias[1]:+.2f}]", ""])
    return rows


def accuracies(found: Mitigated) -> Table:
    """Percent right in every group of the test images, of Original and of the chosen setting."""
    data, (original, chosen) = found.parts.test, (each.evaluation.groups for each in found.tested)
    head = ["target", *(f"{bias}: Original → AEDA" for bias in data.bias_names)]
    rows = [
        [task, *(_change(original.get((task, bias)), chosen.get((task, bias))) for bias in data.bias_names)]
        for task in data.task_names
    ]
    return [head, *rows]


def _numbers(evaluation: metrics.Evaluation, worst: float) -> list[str]:
    return [f"{evaluation.bacc:.1f}", f"{evaluation.bias:.2f}", f"{worst:.1f}"]


def _change(before: float | None, after: float | None) -> str:
    """Percent before and after; a group without an image has neither."""
    return "no image" if before is None or after is None else f"{100 * before:.1f} → {100 * after:.1f}"
