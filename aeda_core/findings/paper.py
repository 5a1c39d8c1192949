"""The numbers that the paper prints, here and nowhere else, and what its methods are called."""

from __future__ import annotations

from typing import TypedDict


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
"""Table 3: "precision" in percent, digit by digit, of a single draw of the shots."""

PUBLISHED = {"cmnist": TABLE1, "celeba": TABLE2}
"""The table of each data set."""

METHOD_LABELS: dict[str, str] = {
    "original": "Original",
    "undersampling": "Under-sampling",
    "reweighting": "Reweighting",
    "adversarial_debiasing": "Adversarial debiasing",
    "cyclegan": "CycleGAN",
    "aeda_pre": "AEDA_pre",
    "aeda_pre_robust_source": "AEDA_pre, robust source",
    "aeda_once": "AEDA_once",
    "aeda_online": "AEDA_online",
    "aeda_robust": "AEDA_robust",
    "aeda_robust_stopped": "AEDA_robust, stopped",
    "aeda_robust_per_batch": "AEDA_robust, per batch (ours)",
    "aeda_robust_warm": "AEDA_robust, warm-started (ours)",
    "aeda_robust_per_batch_stopped": "AEDA_robust, per batch, stopped",
    "oracle": "Oracle (random backgrounds)",
    "hard_switch": "Hard switch",
    "adversarial_switch": "ADV switch",
    "adversarial_switch_robust_source": "ADV switch (robust)",
}
"""How a method is called in tables and figures; the order is the one they are listed in, the paper's."""


def label(name: str) -> str:
    """What a method, or a variant of one, is called; its name in plain words where METHOD_LABELS has none."""
    return METHOD_LABELS.get(name, name.replace("_", " "))
