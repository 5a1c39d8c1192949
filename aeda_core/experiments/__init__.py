"""One file a chapter, or for chapters that share their runs. A new chapter is a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from aeda_core.experiments import celeba, cmnist, method
from aeda_core.profiles import Parameters
from aeda_core.runs import RunSpec


def _none(parameters: Parameters) -> list[RunSpec]:
    return []


@dataclass(frozen=True)
class Chapter:
    """A notebook in book/ and what it needs.

    parameters: what it can be told
    specs:      the runs that it asks for
    tuning:     the runs that chose its hyper-parameters
    keep:       writes what else the recorded chapter shows of the data, given data_root
    """

    notebook: str
    parameters: type[Parameters]
    specs: Callable[..., list[RunSpec]] = _none
    tuning: Callable[..., list[RunSpec]] = _none
    keep: Callable[[str], None] | None = None

    @property
    def has_runs(self) -> bool:
        """Whether it shows records, and not only what it computes while it is executed."""
        return self.specs is not _none


CHAPTERS = {
    "attribution": Chapter(
        "01_bias_attribution.ipynb", celeba.CelebAParameters, partial(celeba.specs, methods=("original",))
    ),
    "method": Chapter("04_method.ipynb", method.MethodParameters),
    "cmnist": Chapter("05_cmnist.ipynb", cmnist.CMNISTParameters, cmnist.specs, cmnist.tuning),
    "celeba": Chapter("06_celeba.ipynb", celeba.CelebAParameters, celeba.specs, celeba.tuning, celeba.keep_averages),
    "accuracy_fairness": Chapter(
        "08_accuracy_and_fairness.ipynb",
        celeba.CelebAParameters,
        partial(celeba.specs, methods=celeba.BEFORE_AND_AFTER),
    ),
}
