"""What chapter 02 shows: Fig. 3, how it moves with the robustness of the source, and what a perturbation looks like."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from torch import Tensor

from aeda_core.datasets import BiasedImages
from aeda_core.display import captions
from aeda_core.display.look import INK, VERMILLION, Figure, canvas, finished, styled
from aeda_core.display.plots import BESIDE, HOLLOW, dots, lines, picture
from aeda_core.display.tables import Table
from aeda_core.findings import measures, statistics
from aeda_core.findings.measures import Estimate, accuracy, number
from aeda_core.findings.paper import FIG3, label
from aeda_core.findings.statistics import PERCENT
from aeda_core.runs import RunRecord

Records = Sequence[RunRecord]
TASKS = {"celeba": "gender, faces", "cmnist": "background colour, digits"}


@styled
def fig3(faces: Records, digits: Records) -> Figure:
    """Fig. 3: accuracy on unmodified test images after training on switched labels alone, faces and digits."""
    drawn, panels = canvas(2.3, 1, 2, sharey=True)
    words = []
    for ax, records in zip(panels, (faces, digits), strict=True):
        data = _frame(measures.fig3(records))
        dots(ax, data, x="accuracy", y="name", order=list(FIG3), single=None, within=PERCENT, markersize=7)
        if records is faces:
            ax.plot(list(FIG3.values()), range(3), color=INK, linewidth=0, **HOLLOW)
        ax.axvline(50, color=INK, alpha=0.4, linewidth=0.8, linestyle=":")
        title = TASKS[records[0].spec.data["name"]]
        ax.set(xlim=(-3, 103), ylim=(2.5, -0.5), xlabel="accuracy (%)", ylabel="", title=title)
        ax.set_yticks(range(3), map(label, FIG3))
        ax.grid(axis="x")
        means = {name: Estimate.of(data.loc[data["name"] == name, "accuracy"]).mean for name in FIG3}
        words.append(f"{title}: " + ", ".join(f"{label(name)} {number(mean, 1)} %" for name, mean in means.items()))
    told = {"words": "; ".join(words), "interval": _spread(faces, "line")}
    return finished(drawn, "fig3", [*faces, *digits], _origin(faces, digits), **told)


@styled
def fig_radius(faces: Records, digits: Records) -> Figure:
    """Accuracy after ADV switch against the radius that the source was trained to withstand."""
    drawn, panels = canvas(2.5, 1, 2, sharey=True)
    words = []
    for ax, records in zip(panels, (faces, digits), strict=True):
        data = _frame([record for record in records if record.spec.method == "adversarial_switch"])
        lines(ax, data, "radius", "accuracy", within=PERCENT, color=VERMILLION, marker="o", markersize=6)
        ax.axhline(50, color=INK, alpha=0.4, linewidth=0.8, linestyle=":")
        title = TASKS[records[0].spec.data["name"]]
        ax.set(ylim=(-3, 103), xlabel="radius ε that the source withstands", ylabel="", title=title)
        ax.grid(axis="y")
        means = data.groupby("radius")["accuracy"].mean()
        words.append(f"{title}: " + ", ".join(f"{mean:.0f} % at {radius:g}" for radius, mean in means.items()))
    panels[0].set_ylabel("accuracy (%)")
    told = {"words": "; ".join(words), "interval": _spread(faces, "band")}
    return finished(drawn, "radius", [*faces, *digits], _origin(faces, digits), **told)


def by_source(faces: Records, digits: Records) -> Table:
    """What fig_radius draws, in numbers, and hard switch above it."""
    cells = []
    for records in (faces, digits):
        for radius, own in _frame(records).groupby("radius", dropna=False, sort=False):
            source = "none: hard switch" if pd.isna(radius) else f"robust within {radius:g}" if radius else "normal"
            task = TASKS[records[0].spec.data["name"]]
            found = Estimate.of(own["accuracy"], PERCENT, own["overlap"].mean())
            cells.append({"task": task, "source": source, "accuracy (%)": found.text(1)})
    origin = _origin(faces, digits)
    data = pd.DataFrame(cells).set_index("task")
    return Table.of("sources", data, [*faces, *digits], origin, words=("source",))


def _frame(records: Records) -> pd.DataFrame:
    """A row a run: name, accuracy in percent, the radius that its source withstands, which is NaN for hard switch, and
    `statistics.overlap`."""
    of = [
        (record.name, accuracy(record), record.spec.options.get("source_radius"), statistics.overlap([record]))
        for record in records
    ]
    return pd.DataFrame(of, columns=["name", "accuracy", "radius", "overlap"]).astype({"radius": float})


@styled
def fig_perturbations(shown: BiasedImages, examples: Sequence[Tensor], source: str) -> Figure:
    """Digits, what an attack adds to them, and what comes out; for a normal and for a robust source."""
    originals = shown.images.float()
    strips = [("original", originals)]
    for name, images in zip(("normal source", "robust source"), examples, strict=True):
        change = images.float() - originals
        strips += [(f"{name}:\nadded", 127.5 + change), (f"{name}:\nexample", images.float())]
    drawn, panels = canvas(4.6, 5, len(shown), phone=(5, len(shown), 2.6), squeeze=False)
    for row, (name, images) in zip(panels, strips, strict=True):
        for ax, image in zip(row, images, strict=True):
            picture(ax, image.clamp(0, 255).byte().permute(1, 2, 0).numpy())
        row[0].set_ylabel(name, fontsize=8, **BESIDE)
    colours = ", ".join(shown.bias_names[b] for b in shown.bias.tolist())
    told = {"n": len(shown), "colours": colours, "source": captions.data_phrase(source)}
    return finished(drawn, "perturbations", **told)


def _origin(faces: Records, digits: Records) -> str:
    return f"Faces: {captions.origin(faces)} Digits: {captions.origin(digits)}"


def _spread(records: Records, mark: str) -> str:
    unit = captions.unit_of(records)
    several = f" over {unit}s and seeds, with a {mark} for its 95 % interval"
    return several if captions.has_intervals(records) else f" of one {unit}"
