"""An audit in words, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import torch

import aeda_core
from aeda_core.datasets.base import BiasedImages
from aeda_core.own import drawing
from aeda_core.own.comparable import caution
from aeda_core.own.measured import DEALS, FEWEST, RATE, REPLICATES, Estimate, Gap, Measured
from aeda_core.own.report import Figure, Report, Section, Table

DRAWN = 40
"""Target tasks that a figure has room for; those with the largest gaps are drawn."""

LIMITS = (
    "It is about these images and labels alone. Wrong labels, and people who are in no image, do not show.",
    "It compares the values of one bias variable. Others, and combinations, may matter more.",
    "It finds that accuracies differ and whether imbalance goes with that; it does not prove a cause.",
    "It does not say whether the task should be automated, or whether equal accuracies are what is fair here.",
)


def report(
    name: str,
    data: BiasedImages,
    measured: Measured,
    trained: dict[str, Any] | None,
    notes: Sequence[str],
    more: Sequence[Section],
) -> Report:
    """The report of an audit.

    name:    of the folder or file
    trained: how the classifier was; None if it is another's and only its predictions are known
    more:    sections of the caller's
    """
    sections = [
        Section("The groups", [_sizes(data)]),
        Section("Accuracy of every group", [_dots(data, measured), _accuracies(measured)]),
        Section("The gaps", _gaps(measured)),
        Section("Imbalance and gap", _imbalance(measured, own=trained is not None and trained["folds"] > 1)),
        *more,
        Section("How this was found", _method(trained)),
        Section("What an audit cannot tell", LIMITS),
    ]
    numbers = {
        "kind": "audit",
        "version": aeda_core.__version__,
        "name": name,
        "images": len(data),
        "identities": _people(data),
        "trained": trained,
        **asdict(measured),
    }
    return Report(f"Bias audit of {name}", _summary(data, measured), sections, notes, numbers)


def _summary(data: BiasedImages, measured: Measured) -> list[str]:
    """What matters most."""
    people = _people(data)
    of = "" if people == len(data) else f" of {people:,} identities"
    said = [f"{len(data):,} images{of}: {len(data.task_names)} target tasks, {len(data.bias_names)} bias values."]
    said += caution(data)
    if measured.overall is None:
        return [*said, "No target task has an image of every bias value, so nothing can be said about bias."]
    said.append(
        f"Balanced accuracy (bACC) is {measured.overall.bacc.text(1)} %, model bias {measured.overall.bias.text(2)}; a "
        f"fair classifier with as many right answers would show {measured.overall.floor:.2f} on these images."
    )
    said.append(_clear(measured.gaps))
    if measured.undefined:
        said.append(f"Nothing is said about {', '.join(measured.undefined)}: a group of theirs has no image.")
    if measured.correlation is not None:
        said.append(
            f"Imbalance and gap go together with r = {_signed(measured.correlation, 2)} (Spearman, over "
            f"{len(measured.pairs)} pairs of groups)."
        )
    return said


def _clear(gaps: Sequence[Gap]) -> str:
    """Which tasks show more than chance."""
    clear = sorted((gap for gap in gaps if gap.clear), key=lambda gap: -gap.gap.value)
    if not clear:
        return f"None of the {len(gaps)} gaps is more than chance."
    worst = clear[0]
    which = f"{len(clear)} of the {len(gaps)} gaps {'is' if len(clear) == 1 else 'are'} more than chance"
    return (
        f"{which}; the largest is {worst.gap.percent.value:.1f} points, on {worst.target}, where accuracy is higher "
        f"with {worst.most} ({100 * worst.share:.0f} % of the images of the two) than with {worst.least}."
    )


def _sizes(data: BiasedImages) -> Table:
    sizes = data.group_sizes().tolist()
    rows = [
        [task, *(f"{n:,} ({100 * n / max(sum(row), 1):.0f} %)" for n in row)]
        for task, row in zip(data.task_names, sizes, strict=True)
    ]
    return Table("Images of each target task (row) with each bias value (column).", ["Target", *data.bias_names], rows)


def _dots(data: BiasedImages, measured: Measured) -> Figure:
    gaps = {gap.target: gap.gap.value for gap in measured.gaps}
    tasks = sorted(data.task_names, key=lambda task: -gaps.get(task, 2))[:DRAWN]
    found: dict[str, list[Estimate | None]] = {task: [] for task in data.task_names}
    for group in measured.groups:
        found[group.target].append(group.accuracy and group.accuracy.percent)
    some = "" if len(tasks) == len(data.task_names) else f" The {DRAWN} tasks with the largest gaps are drawn."
    return Figure(
        drawing.dots([(task, found[task]) for task in tasks], data.bias_names, "accuracy (%)"),
        alt="Accuracy of every group with its interval; the table below has the numbers.",
        caption=f"Accuracy of every group, with 95 % intervals, by size of the gap.{some}",
    )


def _accuracies(measured: Measured) -> Table:
    repeated = any(group.persons < group.images for group in measured.groups)  # otherwise their number says nothing new
    rows = []
    for group in measured.groups:
        persons = [f"{group.persons:,}"] if repeated else []
        accuracy = group.accuracy.percent.text(1) if group.accuracy else "no image"
        rows.append([group.target, group.bias, f"{group.images:,}", *persons, accuracy])
    head = ["Target", "Bias value", "Images", *(["Identities"] if repeated else []), "Accuracy (%)"]
    return Table("Accuracy of every group, with 95 % intervals.", head, rows, words=2)


def _gaps(measured: Measured) -> list[str | Table]:
    if not measured.gaps:
        return ["No target task has an image of every bias value, so there is no gap to speak of."]
    rows = [
        [
            gap.target,
            f"{gap.most} over {gap.least}" if gap.most != gap.least else "equal",
            gap.gap.percent.text(1),
            f"{100 * gap.floor:.1f}",
            f"{gap.p:.4f}",
            "yes" if gap.clear else "no",
            f"{100 * gap.share:.0f}",
        ]
        for gap in sorted(measured.gaps, key=lambda gap: -gap.gap.value)
    ]
    head = ["Target", "Better over worse", "Gap (points)", "If fair", "p", "More than chance", "Share (%)"]
    caption = "The gap of each target task between the bias values that it does best and worst on, with 95 % intervals."
    told = (
        "If fair: the gap to be expected if the right answers fell on the bias values at random. p: how often they "
        f"would then leave such a gap. More than chance: of these, about {100 * RATE:.0f} % are expected to be chance. "
        "Share: how many of the task's images with one of the two bias values have the better one. A gap is never "
        "negative, so 0 is in no interval."
    )
    return [Table(caption, head, rows, words=2), told]


def _imbalance(measured: Measured, own: bool) -> list[str | Figure]:
    pairs = measured.pairs
    if not pairs:
        return ["No target task has images of two bias values, so there is nothing to compare."]
    names = [f"{pair.target}, {pair.one} over {pair.other}" for pair in pairs]
    points = [(100 * pair.share, 100 * pair.gap, name) for pair, name in zip(pairs, names, strict=True)]
    figure = Figure(
        drawing.scatter(points, "share of the first bias value (%)", "gap (points)"),
        alt="The share of the first of two bias values among a task's images, against its accuracy less the other's.",
        caption=f"Every target task and pair of bias values ({len(pairs)} points): imbalance and signed gap.",
    )
    if measured.correlation is None:
        told = f"Fewer than {FEWEST} points, or points that do not vary, say nothing about a correlation."
    else:
        told = (
            f"Spearman's r is {_signed(measured.correlation, 2)}. Near 1, the classifier does better on whom it has "
            "seen more of; near 0, the gaps have other causes."
        )
    if not own:
        told += " The shares are those of the images that were predicted; those of the training images may be others."
    return [figure, told]


def _method(trained: dict[str, Any] | None) -> list[str]:
    made = f"Made with aeda-core {aeda_core.__version__} on {date.today():%Y-%m-%d}."
    if trained is None:
        how = "The predictions are another classifier's. They are taken as made of images that it was not trained on."
    else:
        mirrored = ", on mirrored images, too" if trained["mirror"] else ""
        how = f"The plain classifier ({trained['network']}) was trained "
        if trained["folds"] == 1:
            how += (
                f"for {trained['epochs']} epochs{mirrored}, on the images that the CSV gives for training, "
                f"and judged by those that it gives for testing (seed {trained['seed']})."
            )
        else:
            how += (
                f"{trained['folds']} times for {trained['epochs']} epochs{mirrored}, each time on all identities but "
                f"those of one of {trained['folds']} parts, and judged by that part, so that every image was predicted "
                f"by a classifier that had not seen its identity (seed {trained['seed']})."
            )
    return [
        how,
        "bACC is the mean of the accuracies of all groups. Model bias is Eq. (1) of Zhang and Sang (2020), the gap "
        "between the bias values' accuracies, summed over the target tasks: 0 is fair, 1 for each task the worst.",
        "Intervals of accuracies are Wilson's, with as many trials as a group has identities; the others hold the "
        f"middle 95 % of {REPLICATES} Bayesian bootstrap draws of identities. Drawing again makes gaps larger, so the "
        f"interval of the model bias is moved to where the estimate is. Chance is judged by {DEALS:,} deals of "
        "the right answers to the bias values. What another training would change is in none of this.",
        made,
    ]


def _people(data: BiasedImages) -> int:
    return len(torch.unique(data.identities))


def _signed(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}".replace("-", "−")
