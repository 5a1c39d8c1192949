"""What a chapter is: a notebook, what it can be told, and the runs that it asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aeda_core.profiles import Parameters
from aeda_core.runs import RunSpec

Specs = Callable[..., list[RunSpec]]
"""The runs that a chapter's parameters ask for."""


def _none(parameters: Parameters) -> list[RunSpec]:
    return []


@dataclass(frozen=True)
class Chapter:
    """A notebook in book/ and what it needs.

    name:       what the command line calls it
    parameters: what it can be told
    compared:   functions of the parameters, each the runs of a comparison; what stands in for runs in another precision
                stands in for all of a comparison (see `runs.kept`)
    tuning:     the runs that chose its hyper-parameters
    keep:       writes what else the recorded chapter shows of the data, given data_root
    about:      the tables and figures of the paper whose claims stand with it on the scorecard's page
    """

    name: str
    notebook: str
    parameters: type[Parameters]
    compared: tuple[Specs, ...] = ()
    tuning: Specs = _none
    keep: Callable[[str], None] | None = None
    about: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The name of its page."""
        return self.notebook.removesuffix(".ipynb")

    def specs(self, parameters: Parameters) -> list[RunSpec]:
        """The runs that it asks for."""
        return [spec for specs in self.compared for spec in specs(parameters)]

    def shown(self) -> list[list[RunSpec]]:
        """The committed runs that it compares, a list a comparison."""
        return [specs(self.parameters.load("recorded")) for specs in self.compared]

    def asked(self) -> list[list[RunSpec]]:
        """All committed runs that it asks for: `shown`, and last those of `tuning`."""
        return [*self.shown(), self.tuning(self.parameters.load("recorded"))]

    @property
    def has_runs(self) -> bool:
        """Whether it shows records, and not only what it computes while it is executed."""
        return bool(self.compared)
