"""Data sets with a target and a bias label for every image, one file each.

A new data set is a new file here, with a subclass of `DataSet` that has a `name`.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch

from aeda_core import registry
from aeda_core.datasets.base import BiasedImages, DataError
from aeda_core.datasets.dataset import DataSet, Source, Splits

_found: dict[str, type[DataSet]] = {}


def discover(package: ModuleType) -> None:
    """Add the data sets that the modules of `package` define. Raises DataError if a name is already another's."""
    for kind in registry.discover(package, DataSet):
        known = _found.setdefault(kind.name, kind)
        if known is not kind:
            raise DataError(f"{kind.__module__} defines a data set '{kind.name}', which {known.__module__} does, too.")


def known() -> dict[str, type[DataSet]]:
    """The data sets by name. The files of this package are read when this is asked for the first time, for some of them
    import what takes a second."""
    _discover_own()
    return dict(_found)


@functools.cache
def _discover_own() -> None:
    discover(sys.modules[__name__])


def named(name: str) -> type[DataSet]:
    """The data set of this name. Raises DataError if there is none."""
    found = known()
    if name not in found:
        raise DataError(f"there is no data set '{name}'; known are {', '.join(found)}.")
    return found[name]


def load(name: str, data_root: str = "", **recipe: Any) -> Splits:
    """The data set `name`, from the folder `data_root` or the first place that has it (see data/README.md).

    recipe: arguments of the data set's `Recipe`
    Raises DataError if there is no such data set or `data_root` does not hold it.
    """
    kind = named(name)
    made = kind.Recipe(**recipe)
    source = kind.read(data_root, made)
    return Splits(*kind.split(source, made), source.source)


def build(data: dict[str, Any], data_root: str = "") -> Splits:
    """The data set that a RunSpec's `data` describes, from `data_root` or the first place that has it.

    `targets: bias` in it makes the bias variable the target.

    Raises DataError if what is there is not what the description's fingerprint names.
    """
    recipe = dict(data)
    kind, wanted = named(recipe.pop("name")), recipe.pop("fingerprint")
    only_bias = recipe.pop("targets", "") == "bias"
    made = kind.Recipe(**recipe)
    source = kind.read(data_root, made, wanted)
    _require(source, wanted, kind.content)
    parts = kind.split(source, made)
    training, validation, test = map(_of_bias, parts) if only_bias else parts
    return Splits(training, validation, test, source.source)


def _require(found: Source, wanted: str, content: str) -> None:
    if found.fingerprint != wanted:
        raise DataError(
            f"the run is about {content} with fingerprint {wanted[:12]}, but here are {found.source} with "
            f"{found.fingerprint[:12]}; point data_root at the right ones (see data/README.md)."
        )


def _of_bias(data: BiasedImages) -> BiasedImages:
    """The same images with the bias variable as the target, and no bias variable beside it (Sec. 2.2)."""
    return replace(
        data, targets=data.bias, target_names=data.bias_names, bias=torch.zeros_like(data.bias), bias_names=("all",)
    )


__all__ = ["BiasedImages", "DataError", "DataSet", "Splits", "build", "discover", "known", "load", "named"]
