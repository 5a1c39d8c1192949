"""One file a chapter, or for chapters that share their runs. A new chapter is a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from aeda_core.experiments import celeba, cmnist, few_shot, label_switch, method, online, sensitivity, your_data
from aeda_core.profiles import Parameters
from aeda_core.runs import RunSpec

Specs = Callable[..., list[RunSpec]]
"""The runs that a chapter's parameters ask for."""


def _none(parameters: Parameters) -> list[RunSpec]:
    return []


@dataclass(frozen=True)
class Chapter:
    """A notebook in book/ and what it needs.

    parameters: what it can be told
    compared:   functions of the parameters, each the runs of a comparison; what stands in for runs in another precision
                stands in for all of a comparison (see `runs.kept`)
    tuning:     the runs that chose its hyper-parameters
    keep:       writes what else the recorded chapter shows of the data, given data_root
    """

    notebook: str
    parameters: type[Parameters]
    compared: tuple[Specs, ...] = ()
    tuning: Specs = _none
    keep: Callable[[str], None] | None = None

    def specs(self, parameters: Parameters) -> list[RunSpec]:
        """The runs that it asks for."""
        return [spec for specs in self.compared for spec in specs(parameters)]

    def asked(self) -> list[list[RunSpec]]:
        """The committed runs that it shows, a list a comparison; the last are those of `tuning`."""
        parameters = self.parameters.load("recorded")
        return [specs(parameters) for specs in (*self.compared, self.tuning)]

    @property
    def has_runs(self) -> bool:
        """Whether it shows records, and not only what it computes while it is executed."""
        return bool(self.compared)


CHAPTERS = {
    "attribution": Chapter(
        "01_bias_attribution.ipynb", celeba.CelebAParameters, (partial(celeba.specs, methods=("original",)),)
    ),
    "label_switch": Chapter("02_switched_labels.ipynb", label_switch.LabelSwitchParameters, (label_switch.specs,)),
    "transfer": Chapter("03_transferability.ipynb", online.OnlineParameters, (online.transfer_specs,)),
    "method": Chapter("04_method.ipynb", method.MethodParameters),
    "cmnist": Chapter("05_cmnist.ipynb", cmnist.CMNISTParameters, (cmnist.specs,), cmnist.tuning),
    "celeba": Chapter("06_celeba.ipynb", celeba.CelebAParameters, (celeba.specs,), celeba.tuning, celeba.keep_averages),
    "online": Chapter("07_online_attack.ipynb", online.OnlineParameters, (online.online_specs,)),
    "accuracy_fairness": Chapter(
        "08_accuracy_and_fairness.ipynb",
        celeba.CelebAParameters,
        (partial(celeba.specs, methods=celeba.BEFORE_AND_AFTER),),
    ),
    "few_shot": Chapter(
        "09_few_shot.ipynb", few_shot.FewShotParameters, (few_shot.specs,), few_shot.tuning, few_shot.keep_samples
    ),
    "sensitivity": Chapter(
        "10_assumptions.ipynb",
        sensitivity.SensitivityParameters,
        (sensitivity.specs, sensitivity.cheaper_specs),
        sensitivity.tuning,
    ),
    "your_data": Chapter("11_your_data.ipynb", your_data.YourDataParameters, keep=your_data.keep),
}
