"""What the page `live` shows: `python book/live.py` trains its two classifiers (2 CPU minutes) and writes them to
_static/live-model.js, and the picture for where no script runs to _static/live-still.html."""

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

from aeda_core import METHODS, Attack, Classifier, Plan, Splits, evaluate, load, small_cnn, train
from aeda_core.datasets.cmnist import Recipe
from aeda_core.display.look import BLUE, INK, canvas, styled
from aeda_core.display.plots import picture
from aeda_core.models import pixels

STATIC = Path(__file__).with_name("_static")
MODEL, STILL = STATIC / "live-model.js", STATIC / "live-still.html"

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


def trained(start: int, data: Splits) -> Classifier:
    """`network` after AEDA_robust, whose attack begins after `start` epochs."""
    torch.manual_seed(0)
    method = METHODS["aeda_robust"](network(), data.training, Plan(EPOCHS), seed=0, start=start)
    classifier, _ = train(method, data.validation)
    return classifier.eval()


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


def main() -> None:
    """Train, and write both files."""
    torch.set_num_threads(1)
    data = digits()
    models = {name: trained(start, data) for name, start in STARTS.items()}
    MODEL.write_text(script(models, data), encoding="utf-8")
    STILL.write_text(still(models, data), encoding="utf-8")


if __name__ == "__main__":
    main()
