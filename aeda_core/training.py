"""The one loop: train an epoch, look at the held-out images, keep what is needed to go on after a stop."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from aeda_core import metrics, provenance
from aeda_core.datasets.base import BiasedImages
from aeda_core.errors import Problem
from aeda_core.methods import Method
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
    after_epoch: Callable[[], None] = lambda: None,
) -> tuple[Classifier, list[Row]]:
    """Train `method` to the end of its plan, resuming from `checkpoint` if it is there.

    validation:  held-out training images; the rows are about them, never about the test set. None: rows hold no bacc
                 and no bias
    checkpoint:  written after every epoch, whole or not at all
    after_epoch: called when an epoch is done and saved
    Raises OtherCode if a module that decides results has changed since the checkpoint was written.
    Returns the classifier with averaged weights, and for each epoch a row with loss, bacc in percent, bias, and where
    there are examples those of `probes.probe`.
    """
    rows: list[Row] = []
    if checkpoint is not None and checkpoint.exists():
        rows = _restore(method, checkpoint)
        for _ in rows:
            after_epoch()
    for number in range(len(rows) + 1, method.learner.plan.epochs + 1):
        loss = float(method.epoch(number))
        row: Row = {"epoch": number, "loss": loss}
        if validation is not None:
            counts = metrics.confusion(method.averaged, validation)
            known = metrics.defined(counts)
            row |= {"bacc": metrics.bacc(counts, known), "bias": metrics.model_bias(counts, known)}
        some = torch.arange(min(PROBED, len(method.data)), device=method.learner.device)
        if (examples := method.latest_examples(some)) is not None:
            originals = method.data[some]
            row |= probe(method.model, originals.images, examples, originals.bias, method.attacked[some])
        rows.append({name: round(value, 6) for name, value in row.items()})
        if checkpoint is not None:
            _save(method, rows, checkpoint)
        after_epoch()
    return method.averaged, rows


def _save(method: Method, rows: list[Row], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    state = {"model": method.model.state_dict(), "method": method.state_dict(), "rows": rows}
    torch.save({"code": provenance.code(), **state}, partial)
    os.replace(partial, path)


def _restore(method: Method, path: Path) -> list[Row]:
    state = torch.load(path, map_location=method.learner.device, weights_only=True)
    if state["code"] != provenance.code():
        raise OtherCode(
            f"the checkpoint '{path}' is of other code (digest {state['code']}, now {provenance.code()}), and going on "
            "from it would mix two programs; delete it to start again, or go back to that code."
        )
    method.model.load_state_dict(state["model"])
    method.load_state_dict(state["method"])
    rows: list[Row] = state["rows"]
    return rows
