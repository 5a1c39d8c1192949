"""What chapter 02 shows: Fig. 3, how it moves with the robustness of the source, and what a perturbation looks like."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from aeda_core.datasets import BiasedImages
from aeda_core.report import captions
from aeda_core.report.look import BLUE, INK, STYLE, VERMILLION, WIDTH, Figure, finished
from aeda_core.report.paper import FIG3, METHOD_LABELS
from aeda_core.report.tables import Estimate, Table, number
from aeda_core.runs import RunRecord

Records = Sequence[RunRecord]
TASKS = {"celeba": "gender, faces", "cmnist": "background colour, digits"}


def accuracy(record: RunRecord) -> float:
    """Percent of the unmodified test images that are classified rightly."""
    return 100 * float(np.einsum("btt->", record.counts) / record.counts.sum())


def rows(records: Records) -> dict[str, list[RunRecord]]:
    """The three rows of Fig. 3: hard switch, ADV switch, and ADV switch with the most robust of the sources."""
    switched = [r for r in records if r.spec.method == "adversarial_switch"]
    most = max((r.spec.options["source_radius"] for r in switched), default=0.0)
    return {
        "hard_switch": [r for r in records if r.spec.method == "hard_switch"],
        "adversarial_switch": [r for r in switched if r.spec.options["source_radius"] == 0],
        "adversarial_switch_robust_source": [r for r in switched if r.spec.options["source_radius"] == most > 0],
    }


def fig3(faces: Records, digits: Records) -> Figure:
    """Fig. 3: accuracy on unmodified test images after training on switched labels alone, faces and digits."""
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 2.3), layout="constrained")
        panels = canvas.subplots(1, 2, sharey=True)
        words = []
        for ax, records in zip(panels, (faces, digits), strict=True):
            title = TASKS[records[0].spec.data["name"]]
            found = {name: Estimate.of(map(accuracy, own)) for name, own in rows(records).items()}
            for y, (name, estimate) in enumerate(found.items()):
                _dot(ax, y, estimate)
                if records is faces:
                    ax.plot(FIG3[name], y, "D", markersize=6, color=INK, markerfacecolor="none", label="the paper")
            ax.axvline(50, color=INK, alpha=0.4, linewidth=0.8, linestyle=":")
            ax.set(xlim=(-3, 103), ylim=(2.5, -0.5), xlabel="accuracy (%)", title=title)
            ax.set_yticks(range(3), [METHOD_LABELS[name] for name in found])
            ax.grid(axis="x")
            words.append(
                f"{title}: " + ", ".join(f"{METHOD_LABELS[n]} {number(e.mean, 1)} %" for n, e in found.items())
            )
        return finished(
            canvas,
            "fig3",
            alt=f"Dots of accuracy after training on switched labels. {'; '.join(words)}.",
            caption="Trained on nothing but switched labels, tested on unmodified images with their true labels. Dots: "
            f"mean{_spread(faces)}; open diamonds: the paper's numbers (faces only); dotted: guessing. "
            f"Left: {captions.origin(faces)} Right: {captions.origin(digits)}",
            records=[*faces, *digits],
        )


def fig_radius(faces: Records, digits: Records) -> Figure:
    """Accuracy after ADV switch against the radius that the source was trained to withstand."""
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 2.5), layout="constrained")
        panels = canvas.subplots(1, 2, sharey=True)
        words = []
        for ax, records in zip(panels, (faces, digits), strict=True):
            title = TASKS[records[0].spec.data["name"]]
            switched = [r for r in records if r.spec.method == "adversarial_switch"]
            radii = sorted({r.spec.options["source_radius"] for r in switched})
            found = [Estimate.of(accuracy(r) for r in switched if r.spec.options["source_radius"] == x) for x in radii]
            ax.plot(radii, [e.mean for e in found], "o-", color=VERMILLION, markersize=5, linewidth=1.4)
            if np.isfinite(found[0].low):
                low, high = np.clip([[e.low for e in found], [e.high for e in found]], 0, 100)
                ax.fill_between(radii, low, high, color=VERMILLION, alpha=0.16, linewidth=0)
            ax.axhline(50, color=INK, alpha=0.4, linewidth=0.8, linestyle=":")
            ax.set(ylim=(-3, 103), xlabel="radius ε that the source withstands", title=title)
            ax.grid(axis="y")
            words.append(
                f"{title}: " + ", ".join(f"{e.mean:.0f} % at {x:g}" for x, e in zip(radii, found, strict=True))
            )
        panels[0].set_ylabel("accuracy (%)")
        return finished(
            canvas,
            "radius",
            alt=f"Accuracy after ADV switch against the source's radius. {'; '.join(words)}.",
            caption="The harder its source is to fool, the more an adversarial example teaches. Accuracy on "
            "unmodified test "
            "images after ADV switch, against the radius of the source's adversarial training; 0 is a source trained "
            "on "
            f"originals. Lines: mean{_spread(faces, band=True)}. Left: {captions.origin(faces)} Right: "
            f"{captions.origin(digits)}",
            records=[*faces, *digits],
        )


def by_source(faces: Records, digits: Records) -> Table:
    """What fig_radius draws, in numbers, and hard switch above it."""
    rows = {}
    for records in (faces, digits):
        title = TASKS[records[0].spec.data["name"]]
        for record in records:
            radius = record.spec.options.get("source_radius")
            source = {None: "none: hard switch", 0: "normal"}.get(radius, f"robust within {radius:g}" if radius else "")
            rows.setdefault((title, source), []).append(accuracy(record))
    cells = [
        {"task": title, "source": source, "accuracy (%)": Estimate.of(values).text(1)}
        for (title, source), values in rows.items()
    ]
    return Table(
        pd.DataFrame(cells).set_index("task"),
        "Accuracy on unmodified test images after training on switched labels, by the source whose adversarial "
        f"examples were trained on; mean [95 % interval]. Faces: {captions.origin(faces)} Digits: "
        f"{captions.origin(digits)}",
        words=("source",),
        records=[*faces, *digits],
    )


def fig_perturbations(shown: BiasedImages, examples: Sequence[Tensor], source: str) -> Figure:
    """Digits, what an attack adds to them, and what comes out; for a normal and for a robust source."""
    originals = shown.images.float()
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, 4.6), layout="constrained")
        panels = canvas.subplots(5, len(shown), squeeze=False)
        strips = [("original", originals)]
        for name, images in zip(("normal source", "robust source"), examples, strict=True):
            change = images.float() - originals
            strips += [(f"{name}:\nadded", 127.5 + change), (f"{name}:\nexample", images.float())]
        for row, (name, images) in zip(panels, strips, strict=True):
            for ax, image in zip(row, images, strict=True):
                ax.imshow(image.clamp(0, 255).byte().permute(1, 2, 0).numpy(), interpolation="none")
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
            row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        colours = [shown.bias_names[b] for b in shown.bias.tolist()]
        return finished(
            canvas,
            "perturbations",
            alt=f"{len(shown)} digits on {', '.join(colours)} backgrounds; below each the perturbation and the "
            "adversarial "
            "example of a normally trained and of a robust source.",
            caption="What is added to a digit so that a classifier of the background's colour takes it for the other "
            "one, drawn around grey, and the example that results. Both sources ask for a step towards the other "
            "colour, under noise; the eye hardly tells them apart. Computed while this page was made, on "
            f"{captions.data_phrase(source)}.",
        )


def _dot(ax: Axes, y: float, estimate: Estimate) -> None:
    if np.isfinite(estimate.low):
        ax.plot([max(0, estimate.low), min(100, estimate.high)], [y, y], color=BLUE, linewidth=2.2)
    ax.plot(estimate.mean, y, "o", markersize=7, color=BLUE, markeredgewidth=0)


def _spread(records: Records, band: bool = False) -> str:
    if not captions.has_intervals(records):
        return f" of one {captions.unit_of(records)}"
    return f" over {captions.unit_of(records)}s and seeds, with {'a band' if band else 'a line'} for its 95 % interval"
