"""One file a chapter: which runs it needs. A new chapter is a new file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aeda_core.experiments import cmnist
from aeda_core.profiles import Parameters
from aeda_core.runs import RunSpec


@dataclass(frozen=True)
class Chapter:
    """A notebook in book/, what it can be told, the runs it asks for, and those that chose its hyper-parameters."""

    notebook: str
    parameters: type[Parameters]
    specs: Callable[..., list[RunSpec]]
    tuning: Callable[..., list[RunSpec]]


CHAPTERS = {"cmnist": Chapter("05_cmnist.ipynb", cmnist.CMNISTParameters, cmnist.specs, cmnist.tuning)}
