"""The numbers that the paper prints, here and nowhere else, and what its methods are called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from aeda_core.methods import METHODS, STUDIES


class Published(TypedDict):
    """A row of a table of the paper. bacc in percent, bias by Eq. (1) over all targets; None where it has "–"."""

    bacc: float | None
    bias: float | None


TABLE1: dict[str, Published] = {
    "original": {"bacc": 55.62, "bias": 7.84},
    "undersampling": {"bacc": None, "bias": None},
    "reweighting": {"bacc": None, "bias": None},
    "adversarial_debiasing": {"bacc": 89.93, "bias": 1.37},
    "cyclegan": {"bacc": 65.23, "bias": 5.42},
    "aeda_pre": {"bacc": 64.53, "bias": 5.89},
    "aeda_online": {"bacc": 80.57, "bias": 3.20},
    "aeda_robust": {"bacc": 91.80, "bias": 0.53},
}
"""Table 1: C-MNIST. It has no row for `aeda_once`, `aeda_robust_per_batch` and `oracle`."""

TABLE2: dict[str, Published] = {
    "original": {"bacc": 73.57, "bias": 5.48},
    "undersampling": {"bacc": 66.35, "bias": 2.35},
    "reweighting": {"bacc": 73.82, "bias": 4.39},
    "adversarial_debiasing": {"bacc": 72.82, "bias": 4.23},
    "cyclegan": {"bacc": 73.65, "bias": 4.75},
    "aeda_pre": {"bacc": 73.68, "bias": 5.23},
    "aeda_online": {"bacc": 74.03, "bias": 4.22},
    "aeda_robust": {"bacc": 74.30, "bias": 3.27},
}
"""Table 2: CelebA, mean of five folds."""

FIG3: dict[str, float] = {"hard_switch": 5.7, "adversarial_switch": 55.6, "adversarial_switch_robust_source": 89.1}
"""Fig. 3: accuracy in percent of gender classifiers that were trained on switched labels."""

TABLE3: dict[str, dict[int, float]] = {
    "original": {2: 46.80, 4: 70.37, 6: 0.00, 8: 0.00},
    "few_shot": {2: 69.25, 4: 88.88, 6: 42.50, 8: 25.00},
}
"""Table 3: "precision" in percent, digit by digit; of how many draws of the shots it does not say."""

PUBLISHED = {"cmnist": TABLE1, "celeba": TABLE2}
"""The table of each data set."""

VARIANTS: dict[str, str] = {
    "aeda_pre_robust_source": "AEDA_pre, robust source",
    "aeda_robust_stopped": "AEDA_robust, stopped",
    "aeda_robust_per_batch_stopped": "AEDA_robust, per batch, stopped",
    "adversarial_switch_robust_source": "ADV switch (robust)",
}
"""How variants of a method are called that an experiment makes (see `runs.RunRecord.name`)."""


def label(name: str) -> str:
    """What a method, or a variant of one, is called; its name in plain words where nobody has said."""
    known = METHODS | STUDIES
    return VARIANTS.get(name) or (known[name].label if name in known else name.replace("_", " "))


def in_order(names: Iterable[str]) -> list[str]:
    """Methods and their variants in the order of tables and figures; a variant comes right after its method."""
    known = [*METHODS, *STUDIES]

    def place(name: str) -> tuple[int, str]:
        method = max((other for other in known if name.startswith(other)), key=len, default="")
        return (known.index(method) if method else len(known), name)

    return sorted(dict.fromkeys(names), key=place)
