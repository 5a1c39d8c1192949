"""Finding what a package defines: a method, a data set or a chapter is one file, and nothing else names it."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def modules(package: ModuleType) -> list[ModuleType]:
    """The modules of `package`; those that are not imported yet are imported."""
    return [
        importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)
    ]


def discover(package: ModuleType, base: type[T]) -> list[type[T]]:
    """The subclasses of `base` in the modules of `package` that have a `name` of their own, by their `order`."""
    kinds = [
        kind
        for module in modules(package)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, base) and kind.__module__ == module.__name__
    ]
    return sorted((kind for kind in kinds if "name" in vars(kind)), key=lambda kind: kind.order)
