"""Data sets with a target and a bias label for every image. A new one is a new file and a line in `build`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aeda_core.datasets import cmnist, mnist
from aeda_core.datasets.base import BiasedImages, DataError

__all__ = ["BiasedImages", "DataError", "Splits", "build"]


@dataclass(frozen=True)
class Splits:
    """Training images, held-out training images, test images; no identity stands in two of them."""

    training: BiasedImages
    validation: BiasedImages
    test: BiasedImages
    source: str


def build(data: dict[str, Any], data_root: str = "") -> Splits:
    """The data set that a RunSpec's `data` describes, from `data_root` or the ladder.

    Raises DataError if what is there is not what the description's fingerprint names.
    """
    recipe = dict(data)
    name, wanted = recipe.pop("name"), recipe.pop("fingerprint")
    if name != "cmnist":
        raise DataError(f"there is no data set '{name}'; known is cmnist.")
    digits = mnist.load(data_root)
    if digits.fingerprint != wanted:
        raise DataError(
            f"the run is about digits with fingerprint {wanted[:12]}, but here are {digits.source} with "
            f"{digits.fingerprint[:12]}; point data_root at the right ones (see data/README.md)."
        )
    recipe = cmnist.Recipe(**recipe)
    return Splits(
        cmnist.training(digits, recipe),
        cmnist.validation(digits, recipe),
        cmnist.testing(digits, recipe),
        digits.source,
    )
