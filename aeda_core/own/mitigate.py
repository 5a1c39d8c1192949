"""A fairer classifier for images of one's own, where there is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from aeda_core import metrics, storage
from aeda_core.attack import Attack
from aeda_core.datasets.base import BiasedImages, DataError
from aeda_core.datasets.folder import Folder
from aeda_core.errors import Problem
from aeda_core.methods import METHODS
from aeda_core.metrics import Evaluation
from aeda_core.models import Classifier, frozen, in_chunks
from aeda_core.own import card, decision, mitigate_report, saved
from aeda_core.own.comparable import require_comparable
from aeda_core.own.network import network_for
from aeda_core.own.report import Report
from aeda_core.own.training import Builder, epochs_for, estimated, fit_once

METHOD = "aeda_robust_warm"
"""The cheapest of AEDA's variants in the book (chapter 10)."""

COMMON = {"share": 0.8, "refresh": 4}
"""Its options in every trial: the share of chapter 10, and examples that are never older than a few batches."""

TRIALS: tuple[dict[str, float], ...] = (
    {"epsilon": 0.06, "lambda_": 0.9},
    {"epsilon": 0.3, "lambda_": 0.98},
    {"epsilon": 0.15, "lambda_": 0.9},
    {"epsilon": 0.6, "lambda_": 0.98},
    {"epsilon": 0.03, "lambda_": 0.9},
    {"epsilon": 0.3, "lambda_": 1.0},
)
"""The settings that are tried, in this order: the radii of faces and of digits, and others between and around them. A
step is 0.4 ε long, as in chapter 05."""

RATES = (1.0, 1 / 3)
"""Of reweighting, times the network's learning rate. Its rare labels weigh many times what others do, so a lower rate
may be needed: chapters 06 and 13 chose a third."""

FOLDS = 5
"""Of so many parts one is tested on and one chooses the setting, where the data bring no split of their own."""

SPLITS = ("train", "validation", "test")

REPLICATES = 1000

SIGNS = {"epsilon": "ε", "lambda_": "λ"}
"""The options by which settings are told apart."""

ATTACKED = 200
"""How many of the images to choose by are attacked, to see whether the attack reaches another bias value at all."""


@dataclass(frozen=True)
class Parts:
    """Images to train on, to choose by and to test on; nobody is in two of them."""

    training: BiasedImages
    validation: BiasedImages
    test: BiasedImages


@dataclass(frozen=True)
class Setting:
    """What is trained: a method, its options, and how many times the network's learning rate it has."""

    method: str
    options: dict[str, Any]
    rate: float = 1.0

    @property
    def label(self) -> str:
        options = [f"{sign} {self.options[name]:g}" for name, sign in SIGNS.items() if name in self.options]
        return ", ".join(
            [METHODS[self.method].label, *options, *([f"rate × {self.rate:.2g}"] if self.rate != 1 else [])]
        )


@dataclass(frozen=True)
class Outcome:
    """A classifier and what it does on some images.

    worst:   what classifiers are compared by (see `decision`)
    reached: of AEDA's, how often its attack makes it see another bias value (see `reached`)
    """

    label: str
    classifier: Classifier
    evaluation: Evaluation
    worst: float
    reached: float | None


@dataclass(frozen=True)
class Mitigated:
    """What `mitigate` found.

    notes:      what was noticed in the data, a sentence each
    network:    what was trained, in words
    chosen:     the setting that was chosen
    trials:     Original and every setting that was tried, on the images to choose by
    tested:     Original and the chosen setting, on the test images
    replicates: bACC and bias of these two if other persons had been tested (see `metrics.bootstrap`)
    verdict:    of the chosen setting against Original
    """

    name: str
    notes: tuple[str, ...]
    network: str
    builder: Builder
    parts: Parts
    epochs: int
    chosen: Setting
    trials: tuple[Outcome, ...]
    tested: tuple[Outcome, Outcome]
    replicates: tuple[decision.Replicates, decision.Replicates]
    verdict: decision.Verdict

    @property
    def recommended(self) -> str:
        """`original`, or the name of the method that beats it by more than chance."""
        return self.chosen.method if self.verdict.better else "original"

    @property
    def classifier(self) -> Classifier:
        """The one that is recommended."""
        return self.tested[self.verdict.better].classifier

    @property
    def report(self) -> Report:
        """All of it in words and tables."""
        return mitigate_report.report(self, self.notes)

    def __str__(self) -> str:
        return self.verdict.sentence(self.chosen.label)

    def save(self, folder: str | Path) -> list[str]:
        """Write the recommended classifier, its card and the report into `folder`.

        Returns sentences about what is not written and why (see `saved.save_model`).
        """
        folder, data = Path(folder), self.parts.test
        classes, size = data.targets.ndim == 1, data.images.shape[-1]
        model = saved.without_bias_head(self.classifier, self.builder, data.target_names, classes, size)
        notes = saved.save_model(model, folder)
        storage.write(folder / "README.md", card.written(self, model.about))
        self.report.save(folder / "report.html")
        return notes


def mitigate(
    images: Folder | BiasedImages,
    *,
    network: str | nn.Module = "auto",
    trials: int = 4,
    epochs: int | None = None,
    seed: int = 0,
    mirror: bool = False,
    progress: bool = True,
) -> Mitigated:
    """Train Original, reweighting and `trials` settings of AEDA; choose one by held-out people, judge it by others.

    Reweighting is tried where every group has training images: in chapter 13 it takes away more of the bias than AEDA.

    images:   as `read_folder` gives them, or made by hand
    network:  as `network_for` takes it
    epochs:   passes over the training images; by default as many as give the network the steps that it needs
    mirror:   train on mirrored images, too; for images where left and right mean nothing
    progress: show a bar on a terminal
    What is trained is kept, so that the same call goes on where it was stopped.
    Raises Problem if the data cannot show whether a classifier is fair.
    """
    if not 1 <= trials <= len(TRIALS):
        raise Problem(f"trials is {trials}; there are 1 to {len(TRIALS)} settings to try.")
    if epochs is not None and epochs < 1:
        raise Problem(f"epochs is {epochs}; it takes at least 1 to learn something.")
    folder = images if isinstance(images, Folder) else Folder(images, (), None, (), "images")
    require_comparable(folder.data)
    parts = split(folder, seed)
    description, builder = network_for(parts.training, network)
    epochs = epochs or epochs_for(len(parts.training), builder)
    settings = [Setting("original", {})]
    if not parts.training.empty_groups():
        settings += [Setting("reweighting", {}, rate) for rate in RATES]
    for trial in TRIALS[:trials]:
        attack = {"step_size": 0.4 * trial["epsilon"], "start": epochs // 4}
        settings.append(Setting(METHOD, {**COMMON, **trial, **attack}))
    runs = [(each.method, each.options) for each in settings]
    with estimated(parts.training, builder, runs, epochs, shown=progress) as tick:
        classifiers = [
            fit_once(
                each.method,
                parts.training,
                builder,
                epochs,
                seed,
                tick(each.method),
                mirror=mirror,
                rate=each.rate,
                **each.options,
            )
            for each in settings
        ]
    tried = [_outcome(*each, parts.validation) for each in zip(settings, classifiers, strict=True)]
    best = max(range(1, len(tried)), key=lambda number: tried[number].worst)
    tested = [_outcome(settings[number], classifiers[number], parts.test) for number in (0, best)]
    original, candidate = (
        metrics.bootstrap(parts.test, metrics.predicted(each.classifier, parts.test), REPLICATES) for each in tested
    )
    return Mitigated(
        name=folder.name,
        notes=folder.notes,
        network=description,
        builder=builder,
        parts=parts,
        epochs=epochs,
        chosen=settings[best],
        trials=tuple(tried),
        tested=(tested[0], tested[1]),
        replicates=(original, candidate),
        verdict=decision.verdict(
            original,
            candidate,
            _n_tasks(tested[0].evaluation, parts.test),
            decision.one_answer(metrics.defined(tested[0].evaluation.confusion), parts.test.targets.ndim == 2),
        ),
    )


def split(folder: Folder, seed: int) -> Parts:
    """The split that the data bring, or three fifths, one fifth and one fifth of the people, drawn by `seed`.

    Where the data bring a test set and nothing to choose by, that is dealt out of their training images.
    Raises DataError if no target task has images of every bias value to choose by, or to be tested on.
    """
    data, n_parts = folder.data, FOLDS
    validation = torch.empty(0, dtype=torch.int64)
    if folder.splits is None:
        rest, test = folder.folds(n_parts, seed)[0]
        n_parts -= 1
    else:
        given = np.asarray(folder.splits)
        rest, validation, test = (torch.from_numpy(np.flatnonzero(given == name)) for name in SPLITS)
    if not len(validation):
        training, held_out = replace(folder[rest], splits=None).folds(n_parts, seed)[0]
        rest, validation = rest[training], rest[held_out]
    parts = Parts(data[rest], data[validation], data[test])
    for what, part in (("choose by", parts.validation), ("test on", parts.test)):
        if not (part.group_sizes() > 0).all(1).any():
            raise DataError(
                f"of the {len(part)} images to {what}, no target has one of every bias value, so that nothing can be "
                f"said about fairness; add such images, or a split column that puts them there."
            )
    return parts


def _outcome(setting: Setting, classifier: Classifier, data: BiasedImages) -> Outcome:
    found = metrics.evaluate(classifier, data)
    worst = decision.worst(found.bacc, found.bias, _n_tasks(found, data))
    attacks = setting.method == METHOD
    return Outcome(
        setting.label, classifier, found, float(worst), reached(classifier, data, setting.options) if attacks else None
    )


def reached(classifier: Classifier, data: BiasedImages, options: dict[str, Any]) -> float:
    """The share of the images, or of ATTACKED of them, that the attack makes h_b take for another bias value.

    Near 0 the radius does not reach from one bias value to another, and examples within it show nothing new.
    options: of METHOD; its ε, length of step and λ are those of the attack
    """
    some = data[torch.linspace(0, len(data) - 1, min(len(data), ATTACKED)).long()]
    attack, towards = Attack(**{name: options[name] for name in ("epsilon", "step_size", "lambda_")}), some.other_bias()
    examples = attack.on_uint8(classifier, some.images, towards, some.targets)
    with frozen(classifier):
        seen = in_chunks(lambda images: classifier(images)[1], examples).argmax(1)
    return float((seen == towards).double().mean())


def _n_tasks(found: Evaluation, data: BiasedImages) -> int:
    """How many target tasks bACC and bias are about."""
    return len(data.task_names) - len(found.undefined)
