"""How fair a plain classifier of one's own images is, or another's classifier by its predictions."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from aeda_core.datasets.base import BiasedImages
from aeda_core.datasets.folder import Folder
from aeda_core.errors import Problem
from aeda_core.models import Classifier, frozen, in_chunks, predictions
from aeda_core.own import audit_report
from aeda_core.own.comparable import require_comparable
from aeda_core.own.measured import measure
from aeda_core.own.network import network_for
from aeda_core.own.predictions import read_predictions
from aeda_core.own.report import Pictures, Report, Section
from aeda_core.own.training import epochs_for, estimated, fit_once

WRONG = 12
"""Images that are shown of those that are wrong."""


@dataclass(frozen=True)
class OutOfFold:
    """What was predicted of images by classifiers that had seen nothing of their identities.

    judged:  int64 (M,), which images these are: all, or where the CSV gives a split, those to test on
    logits:  float32 (M, T), of classes or attributes
    network: what was trained, in words
    folds:   how often; 1 where the CSV gives a split
    """

    judged: Tensor
    logits: Tensor
    network: str
    folds: int
    epochs: int


def audit(
    images: Folder | BiasedImages,
    *,
    network: str | nn.Module = "auto",
    folds: int = 5,
    epochs: int | None = None,
    seed: int = 0,
    mirror: bool = False,
    show_images: bool = False,
    progress: bool = True,
) -> Report:
    """Train the plain classifier on all persons but some, for each of `folds` parts, and judge it by the others; or
    once by the split that `images` have.

    images:      as `read_folder` gives them, or made by hand
    network:     as `network_for` takes it
    epochs:      passes over the training images; by default as many as give the network the steps that it needs
    mirror:      train on mirrored images, too; for images where left and right mean nothing
    show_images: whether the report holds the images that are wrong most confidently
    progress:    show a bar on a terminal, with the time that is left
    What is trained is kept, so that the same call goes on where it was stopped.
    Raises Problem if there is nothing to compare, or no such parts can be made.
    """
    folder = images if isinstance(images, Folder) else Folder(images, (), None, (), "images")
    require_comparable(folder.data)
    if epochs is not None and epochs < 1:
        raise Problem(f"epochs is {epochs}; it takes at least 1 to learn something.")
    found = cross_fitted(folder, network, folds, epochs, seed, mirror, progress)
    if len(found.judged) < len(folder):  # otherwise nothing is to be copied
        folder = folder[found.judged]
    data = folder.data
    measured = measure(data, predictions(found.logits, data.targets), seed)
    trained = {"network": found.network, "folds": found.folds, "epochs": found.epochs, "seed": seed, "mirror": mirror}
    sections = [Section("Wrong with most confidence", [_wrong(folder, found.logits)])] if show_images else []
    return audit_report.report(folder.name, data, measured, trained, folder.notes, sections)


def audit_predictions(
    file: str | Path,
    *,
    target: str | Sequence[str] = "target",
    bias: str = "bias",
    predicted: str | Sequence[str] = "predicted",
    identity: str | None = None,
    seed: int = 0,
) -> Report:
    """The same of any classifier, from a CSV with what it predicted of images that it was not trained on.

    target:    a column of classes, or several columns of yes and no
    bias:      a column with the value of the bias variable
    predicted: a column with classes, or a column of yes and no for each of `target`
    identity:  a column that says who or what an image shows; otherwise every row shows someone else
    Raises DataError, in a sentence, for a file that does not hold this.
    """
    found = read_predictions(Path(file), target, bias, predicted, identity)
    require_comparable(found.data)
    measured = measure(found.data, found.predicted, seed)
    return audit_report.report(Path(file).name, found.data, measured, None, found.notes, [])


def cross_fitted(
    folder: Folder,
    network: str | nn.Module,
    folds: int,
    epochs: int | None,
    seed: int,
    mirror: bool,
    progress: bool,
) -> OutOfFold:
    """What the plain classifier says of the images to judge by, trained on others (see `Folder.parts`)."""
    data, parts = folder.data, folder.parts(folds, seed)
    description, builder = network_for(data, network)
    n_epochs = epochs or epochs_for(len(parts[0][0]), builder)
    logits = torch.empty(len(data), len(data.target_names))
    with estimated(data[parts[0][0]], builder, [("original", {})] * len(parts), n_epochs, shown=progress) as tick:
        for rest, part in parts:
            classifier = fit_once("original", data[rest], builder, n_epochs, seed, tick("original"), mirror=mirror)
            logits[part] = _logits(classifier, data.images[part])
    judged = torch.cat([part for _, part in parts]).sort().values
    return OutOfFold(judged, logits[judged], description, len(parts), n_epochs)


def _logits(classifier: Classifier, images: Tensor) -> Tensor:
    with frozen(classifier):
        return in_chunks(lambda some: classifier.target_head(classifier.features(some)), images)


def _wrong(folder: Folder, logits: Tensor) -> Pictures:
    """The images that the classifier is most certain of and wrong about."""
    data = folder.data
    attributes = data.targets.ndim == 2
    probabilities = logits.sigmoid() if attributes else logits.softmax(1)
    predicted = predictions(logits, data.targets)
    if attributes:
        certain = torch.where(predicted == 1, probabilities, 1 - probabilities)
    else:
        certain = probabilities.max(1).values
    certain = torch.where(predicted != data.targets, certain, -1.0)
    shown = []
    for place in certain.flatten().argsort(descending=True, stable=True)[:WRONG].tolist():
        image, label = divmod(place, certain.shape[1] if attributes else 1)
        which = (image, label) if attributes else (image,)
        if certain[which] < 0:
            break
        said, true = (data.task_names[int(each[which]) + 2 * label] for each in (predicted, data.targets))
        name = folder.paths[image] if folder.paths else f"image {image}"
        value = data.bias_names[int(data.bias[image])]
        words = f"{name}: {said} ({100 * float(certain[which]):.0f} %), but {true}; {value}"
        shown.append((_uri(data.images[image]), words))
    caption = "Images that were predicted wrongly, those first that the classifier was most certain of."
    return Pictures(caption if shown else "No image was predicted wrongly.", shown)


def _uri(image: Tensor) -> str:
    """A PNG of uint8 (C, H, W)."""
    written = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(written, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
