"""One file a chapter, or for chapters that share their runs. A new chapter is a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from aeda_core.experiments import celeba, cmnist, few_shot, label_switch, method, online, sensitivity
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
    "label_switch": Chapter("02_switched_labels.ipynb", label_switch.LabelSwitchParameters, label_switch.specs),
    "transfer": Chapter("03_transferability.ipynb", online.OnlineParameters, online.transfer_specs),
    "method": Chapter("04_method.ipynb", method.MethodParameters),
    "cmnist": Chapter("05_cmnist.ipynb", cmnist.CMNISTParameters, cmnist.specs, cmnist.tuning),
    "celeba": Chapter("06_celeba.ipynb", celeba.CelebAParameters, celeba.specs, celeba.tuning, celeba.keep_averages),
    "online": Chapter("07_online_attack.ipynb", online.OnlineParameters, online.online_specs),
    "accuracy_fairness": Chapter(
        "08_accuracy_and_fairness.ipynb",
        celeba.CelebAParameters,
        partial(celeba.specs, methods=celeba.BEFORE_AND_AFTER),
    ),
    "few_shot": Chapter(
        "09_few_shot.ipynb", few_shot.FewShotParameters, few_shot.specs, few_shot.tuning, few_shot.keep_samples
    ),
    "sensitivity": Chapter(
        "10_assumptions.ipynb", sensitivity.SensitivityParameters, sensitivity.specs, sensitivity.tuning
    ),
}
