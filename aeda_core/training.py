"""The one loop: train an epoch, look at the held-out images, keep what is needed to go on after a stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from aeda_core import checkpoints, metrics, parallel, provenance, storage
from aeda_core.datasets.base import BiasedImages
from aeda_core.errors import Problem
from aeda_core.methods import Method
from aeda_core.methods.learner import finite
from aeda_core.models import Classifier
from aeda_core.probes import probe

PROBED = 1000
"""How many training images the probes look at, the first ones; r(m) is a share of this many."""

Row = dict[str, float]


class OtherCode(Problem):
    """A checkpoint was left by other code than would go on from it."""


def train(
    method: Method,
    validation: BiasedImages | None,
    checkpoint: Path | None = None,
    after_epoch: Callable[[int], None] = lambda done: None,
) -> tuple[Classifier, list[Row]]:
    """Train `method` to the end of its plan, resuming from `checkpoint` if it is there.

    validation:  held-out training images; the rows are about them, never about the test set. None: rows hold no bacc
                 and no bias
    checkpoint:  written after every epoch, also of what the method trains before its own, whole or not at all. One
                 that is damaged is set aside, and training begins anew
    after_epoch: called with the number of the plan's epochs that are done, whenever the state has been saved
    Raises OtherCode if a module that decides results has changed since the checkpoint was written, and Diverged if the
    loss becomes infinite or no number.
    Returns the classifier with averaged weights, and for each epoch a row with loss, bacc in percent, bias, and where
    there are examples those of `probes.probe`.
    """
    with parallel.first_before_others():  # who finds it damaged sets it aside
        rows = [] if checkpoint is None else _restore(method, checkpoint)

    def keep() -> None:
        if checkpoint is not None and not parallel.rank():
            _save(method, rows, checkpoint)
        after_epoch(len(rows))

    for _ in method.prepare():
        keep()
    for number in range(len(rows) + 1, method.learner.plan.epochs + 1):
        loss = finite(method.epoch(number), f"{method.name} in epoch {number}")
        rows.append({"epoch": number, "loss": round(loss, 6), **_looked_at(method, validation)})
        keep()
    return method.averaged, rows


def _looked_at(method: Method, validation: BiasedImages | None) -> Row:
    """What a row says besides the loss."""
    row: Row = {}
    if validation is not None:
        counts = metrics.confusion(method.averaged, validation)
        known = metrics.defined(counts)
        row |= {"bacc": metrics.bacc(counts, known), "bias": metrics.model_bias(counts, known)}
    some = torch.arange(min(PROBED, len(method.data)), device=method.learner.device)
    if (examples := method.latest_examples(some)) is not None:
        originals = method.data[some]
        row |= probe(method.model, originals.images, examples, originals.bias, method.attacked[some])
    return {name: round(value, 6) for name, value in row.items()}


def _save(method: Method, rows: list[Row], path: Path) -> None:
    state = {"model": method.model.state_dict(), "method": method.state_dict(), "rows": rows}
    checkpoints.save(path, {"code": provenance.code(), **state})


def _restore(method: Method, path: Path) -> list[Row]:
    """The rows of what `path` holds, and `method` as it was then; none and as it is where there is nothing."""
    if not path.exists():
        return []
    try:
        state = checkpoints.load(path)
    except checkpoints.Damaged as reason:
        aside = storage.set_aside(path)
        tqdm.write(f"The checkpoint '{path}' is damaged ({reason}); it is now '{aside.name}', and the run begins anew.")
        return []
    if state["code"] != provenance.code():
        raise OtherCode(
            f"the checkpoint '{path}' is of other code (digest {state['code']}, now {provenance.code()}), and going on "
            "from it would mix two programs; delete it to start again, or go back to that code."
        )
    method.model.load_state_dict(state["model"])
    method.load_state_dict(state["method"])
    rows: list[Row] = state["rows"]
    return rows
