"""The methods, one file each: what an epoch does, and all else that there is to say about a method.

A new method is a new file here, with a subclass of `Method` that has a `name`.
"""

from __future__ import annotations

import sys
from types import ModuleType

from aeda_core import registry
from aeda_core.errors import Problem
from aeda_core.methods.base import Method
from aeda_core.methods.learner import Plan
from aeda_core.methods.needs import EmptyGroup

METHODS: dict[str, type[Method]] = {}
"""The methods against bias, by name, in the order of tables: the paper's, and ours beside them."""

STUDIES: dict[str, type[Method]] = {}
"""What is trained to find something else out (Sec. 2.2, App. B); no row of the tables of methods against bias."""


def discover(package: ModuleType) -> None:
    """Add the methods that the modules of `package` define. Raises Problem if a name is already another's."""
    for kind in registry.discover(package, Method):
        known = (METHODS | STUDIES).setdefault(kind.name, kind)
        if known is not kind:
            raise Problem(f"{kind.__module__} defines a method '{kind.name}', which {known.__module__} defines, too.")
        (STUDIES if kind.study else METHODS)[kind.name] = kind


def named(name: str) -> type[Method]:
    """The method or study of this name. Raises Problem if there is none."""
    found = METHODS | STUDIES
    if name not in found:
        raise Problem(f"there is no method '{name}'; known are {', '.join(found)}.")
    return found[name]


discover(sys.modules[__name__])

__all__ = ["METHODS", "STUDIES", "EmptyGroup", "Method", "Plan", "discover", "named"]
