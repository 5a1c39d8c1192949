"""Training on images of one's own: how long, how fast, and what is kept of it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from tqdm import tqdm

from aeda_core import provenance, storage
from aeda_core.datasets.base import DATA, BiasedImages, fingerprint
from aeda_core.methods import Plan, named
from aeda_core.models import Classifier
from aeda_core.own.network import pace
from aeda_core.training import train

TRAINED = DATA / "own" / "trained"
"""Weights of what was trained on images of one's own, and checkpoints of what was stopped; all of it may be deleted."""

BATCH = 64
FEWEST, MOST = 4, 200
"""Epochs: at least so many, so that large sets are seen often enough, and at most so many, for small ones repeat."""

Builder = Callable[[], Classifier]
Progress = Callable[[int], None]


def epochs_for(n_images: int, network: Builder) -> int:
    """Epochs that give `network` the steps it needs on so many training images."""
    return min(MOST, max(FEWEST, math.ceil(pace(network).steps / math.ceil(n_images / BATCH))))


def fit(
    method: str,
    data: BiasedImages,
    network: Builder,
    epochs: int,
    seed: int = 0,
    progress: Progress = lambda done: None,
    checkpoint: Path | None = None,
    *,
    mirror: bool = False,
    rate: float = 1.0,
    **options: Any,
) -> Classifier:
    """The classifier that `method` trains on all of `data`, with averaged weights.

    network:    builds it; `seed` draws its weights and all else
    progress:   called with the number of epochs that are done
    checkpoint: where training goes on after a stop
    mirror:     whether a random half of the images is mirrored, anew every epoch; for images where left and right mean
                nothing
    rate:       times the learning rate of the network's pace
    options:    of the method
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    steps = epochs * math.ceil(len(data) / BATCH)
    plan = Plan(
        epochs=epochs,
        batch_size=BATCH,
        learning_rate=rate * pace(network).learning_rate,
        task_balance=1.0,
        mirror=mirror,
        averaging=min(0.99, max(0.0, 1 - 4 / steps)),  # over about a quarter of a short training
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = network().to(device)
        trained, _ = train(named(method)(model, data.to(device), plan, seed, **options), None, checkpoint, progress)
    return trained.to("cpu")


def fit_once(
    method: str,
    data: BiasedImages,
    network: Builder,
    epochs: int,
    seed: int = 0,
    progress: Progress = lambda done: None,
    **settings: Any,
) -> Classifier:
    """As `fit`, and what is trained is kept under its content, so that the same call goes on where it was stopped, and
    trains nothing once it is done."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = network()
    content = fingerprint(data.images, data.targets, data.bias, *model.state_dict().values())
    name = provenance.digest([provenance.code(), content, str(model), method, epochs, seed, settings])
    path = TRAINED / f"{name}.safetensors"
    if path.exists():
        try:
            model.load_state_dict(load_file(path))
            progress(epochs)
            return model
        except (SafetensorError, RuntimeError):  # it is trained again
            aside = storage.set_aside(path)
            tqdm.write(f"The weights in '{path}' are damaged; they are now '{aside.name}', and are trained anew.")
    checkpoint = path.with_suffix(".checkpoint")
    model = fit(method, data, network, epochs, seed, progress, checkpoint, **settings)
    storage.write(path, save({name: value.contiguous() for name, value in model.state_dict().items()}))
    checkpoint.unlink(missing_ok=True)
    return model


@contextmanager
def estimated(
    data: BiasedImages,
    network: Builder,
    runs: Sequence[tuple[str, dict[str, Any]]],
    epochs: int,
    shown: bool = True,
) -> Iterator[Callable[[str], Progress]]:
    """A bar for training each of `runs`, a method and its options, on `data`; it says first how long that will take.

    Gives the `progress` of `fit` for the next of `runs`, which is of this method. On no terminal, or unless `shown`,
    there is no bar.
    """
    shown = shown and sys.stderr.isatty()
    costs = {method: _seconds(method, data, network, options) if shown else 1.0 for method, options in runs}
    total = epochs * sum(costs[method] for method, _ in runs)
    form = "{desc} {percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left"
    described = f"{len(runs)} trainings, about {math.ceil(total / 60)} min"
    with tqdm(total=total, desc=described, bar_format=form, disable=not shown) as bar:

        def begun(method: str) -> Progress:
            before = bar.n
            return lambda done: bar.update(before + done * costs[method] - bar.n)

        yield begun


def _seconds(method: str, data: BiasedImages, network: Builder, options: dict[str, Any]) -> float:
    """How long an epoch takes here, judged by two batches."""
    some = data[torch.linspace(0, len(data) - 1, min(len(data), 2 * BATCH)).long()]
    with torch.random.fork_rng():
        attacking = {**options, **({"start": 0} if "start" in options else {})}
        trained = named(method)(network(), some, Plan(epochs=2, batch_size=BATCH), 0, **attacking)
        trained.epoch(1)  # the first one also finds its kernels and its memory
        began = time.perf_counter()
        trained.epoch(2)
    return (time.perf_counter() - began) * len(data) / len(some)
