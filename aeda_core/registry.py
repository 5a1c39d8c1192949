"""Finding what a package defines: a method or a data set is one file, and nothing else names it."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def discover(package: ModuleType, base: type[T]) -> list[type[T]]:
    """The subclasses of `base` in the modules of `package` that have a `name` of their own, by their `order`.

    Imports every module of the package that is not imported yet.
    """
    modules = [
        importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)
    ]
    kinds = [
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, base) and kind.__module__ == module.__name__
    ]
    return sorted((kind for kind in kinds if "name" in vars(kind)), key=lambda kind: kind.order)
