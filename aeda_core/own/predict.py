"""What a saved model says of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aeda_core.datasets import pictures
from aeda_core.datasets.base import DataError
from aeda_core.own.saved import Model

if TYPE_CHECKING:
    import pandas as pd


def predict(model: Model, images: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """What `model` says of a picture, or of all pictures in a folder and in the folders inside it.

    Returns a row a picture, and a sentence for each that cannot be read. Its columns are `path`, `predicted` for the
    likeliest class or one of yes and no for each attribute, and `probability of …` for each target.
    Raises DataError if there is no picture that can be read.
    """
    import pandas as pd

    images = Path(images)
    files = [images] if images.is_file() else sorted(file for file in images.rglob("*") if _is_picture(file))
    if not files:
        raise DataError(
            f"there is no picture in '{images}'; name one, or a folder with {', '.join(pictures.SUFFIXES)}."
        )
    read = pictures.read(files, model.about.size)
    unreadable = [f"'{file}' cannot be read: {reason}." for file, reason in read.unreadable.values()]
    if not len(read.images):
        raise DataError(f"none of the {len(files)} pictures in '{images}' can be read; the first: {unreadable[0]}")
    probabilities = model.probabilities(read.images)
    targets = model.about.targets
    if model.about.classes:
        said = {"predicted": [targets[best] for best in probabilities.argmax(1).tolist()]}
    else:
        said = {name: _yes_or_no(column.tolist()) for name, column in zip(targets, probabilities.T, strict=True)}
    paths = [str(file) for place, file in enumerate(files) if place not in read.unreadable]
    numbers = {f"probability of {name}": column.numpy() for name, column in zip(targets, probabilities.T, strict=True)}
    return pd.DataFrame({"path": paths, **said, **numbers}), unreadable


def _is_picture(file: Path) -> bool:
    return file.is_file() and file.suffix.lower() in pictures.SUFFIXES


def _yes_or_no(probabilities: list[float]) -> list[str]:
    return ["yes" if probability > 0.5 else "no" for probability in probabilities]
