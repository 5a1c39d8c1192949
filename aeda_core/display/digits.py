"""What chapter 05 shows of digits: Fig. 7 and Fig. 8."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle
from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.display import captions
from aeda_core.display.look import BLUE, VERMILLION, Figure, canvas, finished, styled
from aeda_core.display.plots import BESIDE, picture
from aeda_core.findings.measures import estimates, frame, number
from aeda_core.findings.paper import label
from aeda_core.runs import RunRecord


@styled
def fig7(training: BiasedImages, test: BiasedImages, source: str) -> Figure:
    """Fig. 7: the ten training digits on their backgrounds, and test digits on both.

    training: ten images, digits 0 to 9; test: twenty, 0 to 9 on the first background, then on the second
    """
    rows = {
        "training": training.images,
        f"test, {test.bias_names[0]}": test.images[:10],
        f"test, {test.bias_names[1]}": test.images[10:],
    }
    drawn, axes = canvas(2.5, 3, phone=(3, 1, 1.4), gridspec_kw={"hspace": 0.06})
    for ax, (name, images) in zip(axes, rows.items(), strict=True):
        strip = side_by_side(images)
        picture(ax, strip)
        ax.set_ylabel(name, **BESIDE)
    per_digit = strip.shape[1] / 10
    axes[-1].set_xticks([(i + 0.5) * per_digit for i in range(10)], labels=test.target_names, fontweight="bold")
    axes[-1].tick_params(length=0)
    return finished(drawn, "fig7", source=captions.data_phrase(source))


def side_by_side(images: Tensor, gap: int = 3) -> np.ndarray:
    """uint8 images (N, 3, H, W) as one RGBA strip, a transparent gap around each."""
    pixels = images.permute(0, 2, 3, 1).cpu().numpy()
    opaque = np.concatenate([pixels, np.full((*pixels.shape[:3], 1), 255, np.uint8)], axis=3)
    padded = np.pad(opaque, ((0, 0), (0, 0), (gap, gap), (0, 0)))
    return np.concatenate(list(padded), axis=1)


@styled
def fig8(records: Sequence[RunRecord], methods: Sequence[str] = ("original", "aeda_robust")) -> Figure:
    """Fig. 8: for each of `methods` two confusion matrices, test digits on red and on brown, in percent of a row."""
    shown = [record for record in records if record.spec.method in methods and not record.refused]
    if missing := set(methods) - {record.spec.method for record in shown}:
        raise ValueError(f"no record of {', '.join(sorted(missing))}; pass the records of every method to be shown.")
    never = "never" if all(record.spec.data["correlation"] == 1 for record in shown) else "rarely"
    drawn, axes = canvas(3.75 * len(methods), len(methods), 2, squeeze=False)
    for row, method in zip(axes, methods, strict=True):
        counts = sum(record.counts for record in shown if record.spec.method == method)
        percent = 100 * counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)  # a row without images stays 0
        for ax, matrix, background, unseen in zip(row, percent, ("red", "brown"), (5, 0), strict=True):
            _confusion(ax, matrix)
            ax.set(xlabel="predicted digit", ylabel="true digit")
            ax.set_title(f"{label(method)}, tested on {background}")
            ax.add_patch(Rectangle((-0.5, unseen - 0.5), 10, 5, fill=False, edgecolor=VERMILLION, linewidth=1.6))
            ax.text(9.75, unseen + 2, f"{never} on {background} in training", rotation=270, ha="left", va="center",
                    fontsize=8, style="italic")  # fmt: skip
    own, other = (estimates(frame(shown), side) for side in ("own", "other"))
    words = "; ".join(
        f"{label(m)}: {number(own[m].mean, 0)} % right on the background known from training, "
        f"{number(other[m].mean, 0)} % on the other"
        for m in methods
    )
    return finished(drawn, "fig8", shown, n=len(methods), words=words, never=never)


def _confusion(ax: Axes, percent: np.ndarray) -> None:
    """Cells as tiles of one hue, transparent where there is nothing, never too dark for the page's ink on them."""
    cells = [(t, p) for t in range(10) for p in range(10) if percent[t, p] >= 0.5]
    shades = [(BLUE, 0.04 + 0.52 * percent[cell] / 100) for cell in cells]
    tiles = [Rectangle((p - 0.47, t - 0.47), 0.94, 0.94, facecolor=s) for (t, p), s in zip(cells, shades, strict=True)]
    ax.add_collection(PatchCollection(tiles, match_original=True, linewidth=0))
    for t, p in cells:
        if percent[t, p] >= 1:
            ax.text(p, t, f"{percent[t, p]:.0f}", ha="center", va="center_baseline", fontsize=8,
                    fontweight="bold" if t == p else "normal")  # fmt: skip
    ax.set(xlim=(-0.5, 9.5), ylim=(9.5, -0.5), aspect="equal", xticks=range(10), yticks=range(10))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(True)
    ax.spines[:].set_alpha(0.35)
