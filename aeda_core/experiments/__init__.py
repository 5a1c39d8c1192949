"""One file a chapter, or for chapters that share their runs.

A new chapter is a `Chapter` at the top level of a new file here, and its notebook in book/.
"""

from __future__ import annotations

import sys
from types import ModuleType

from aeda_core import registry
from aeda_core.errors import Problem
from aeda_core.experiments.chapter import Chapter

CHAPTERS: dict[str, Chapter] = {}
"""The chapters by name, in the order of their notebooks."""


def discover(package: ModuleType) -> None:
    """Add the chapters that the modules of `package` define. Raises Problem if a name is already another's."""
    for module in registry.modules(package):
        for chapter in vars(module).values():
            if not isinstance(chapter, Chapter):
                continue
            if CHAPTERS.setdefault(chapter.name, chapter) is not chapter:
                raise Problem(f"{module.__name__} defines a chapter '{chapter.name}', and there is one of this name.")
    in_order = sorted(CHAPTERS.values(), key=lambda chapter: chapter.notebook)
    CHAPTERS.clear()
    CHAPTERS.update({chapter.name: chapter for chapter in in_order})


discover(sys.modules[__name__])

__all__ = ["CHAPTERS", "Chapter", "discover"]
