"""Chapter 12: the methods that came after the paper beside AEDA, over the share of conflicting training images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field

from aeda_core.datasets.cmnist import CMNIST
from aeda_core.experiments import cmnist, common
from aeda_core.experiments.chapter import Chapter
from aeda_core.profiles import Parameters
from aeda_core.runs import RunSpec

PAPERS = ("original", "reweighting", "adversarial_debiasing", "aeda_robust", "aeda_robust_warm")
"""What the later methods are held against; what is not tuned here is as in chapter 05."""

AFTER = (
    "groupdro",
    "jtt",
    "lff",
    "dfr",
    "lisa",
    "domain_independent",
    "spectral_decoupling",
    "badd",
    "flac",
    "biasadv",
)

METHODS = (*PAPERS, *AFTER)

CONTROLS = ("aeda_robust", "aeda_random", "aeda_shuffled", "aeda_untrained")
"""`aeda_robust` and what is left of it when its perturbations are spoiled, without a conflicting image."""

BASE: dict[str, dict[str, Any]] = {
    "aeda_robust_warm": {"steps": 1},
    # one step as long as the radius is wide: of two networks each, so several would make it the dearest by far
    "biasadv": {"steps": 1, "step_size": 0.3},
}
"""Options that are not tuned, where they are not a method's own defaults."""

RATES: tuple[dict[str, Any], ...] = tuple({"rate": factor} for factor in (0.25, 0.5, 1.0, 2.0, 3.0, 4.0))
"""The settings of a method that has nothing else to set."""


def _at_two_rates(*settings: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    return tuple(setting | rate for rate in ({}, {"rate": 3.0}) for setting in settings)


TUNING: dict[str, tuple[dict[str, Any], ...]] = {
    "original": RATES,
    "reweighting": RATES,
    "adversarial_debiasing": _at_two_rates({}, {"strength": 0.3}, {"strength": 3.0}),
    "aeda_robust": _at_two_rates({}, {"lambda_": 1.0}, {"epsilon": 0.2, "step_size": 0.08}),
    "aeda_robust_warm": _at_two_rates({}, {"share": 0.8}, {"share": 0.8, "lambda_": 1.0}),
    "groupdro": _at_two_rates({}, {"eta": 0.1}, {"adjustment": 1.0}),
    "jtt": _at_two_rates({"first_epochs": 4}, {"first_epochs": 4, "upweight": 10}, {"first_epochs": 2, "upweight": 10}),
    "lff": _at_two_rates({}, {"q": 0.9}, {"decay": 0.0}),
    "dfr": _at_two_rates({}, {"c": 10.0}, {"share": 0.5}),
    "lisa": _at_two_rates({}, {"intra_label": 1.0}, {"concentration": 0.5}),
    "domain_independent": RATES,
    "spectral_decoupling": _at_two_rates({}, {"penalty": 0.01}, {"penalty": 1.0}),
    "badd": _at_two_rates({"capture_epochs": 1}, {"capture_epochs": 2}, {"capture_epochs": 4}),
    "flac": _at_two_rates(
        {"capture_epochs": 1}, {"capture_epochs": 1, "alpha": 10.0}, {"capture_epochs": 1, "alpha": 1000.0}
    ),
    "biasadv": _at_two_rates({}, {"keep": 0.1}, {"keep": 0.1, "epsilon": 0.1, "step_size": 0.1}),
}
"""Six settings of every method: its options, and `rate`, how many times the chapter's learning rate its own is."""

CHOSEN: dict[str, dict[str, Any]] = {
    "original": {"rate": 4.0},
    "reweighting": {"rate": 4.0},
    "adversarial_debiasing": {"strength": 0.3, "rate": 3.0},
    "aeda_robust": {"lambda_": 1.0, "rate": 3.0},
    "aeda_robust_warm": {"rate": 3.0},
    "groupdro": {"rate": 3.0},
    "jtt": {"first_epochs": 2, "upweight": 10},
    "lff": {"q": 0.9, "rate": 3.0},
    "dfr": {"c": 10.0, "rate": 3.0},
    "lisa": {"intra_label": 1.0, "rate": 3.0},
    "domain_independent": {"rate": 4.0},
    "spectral_decoupling": {"penalty": 0.01, "rate": 3.0},
    "badd": {"capture_epochs": 1, "rate": 3.0},
    "flac": {"capture_epochs": 1, "alpha": 1000.0, "rate": 3.0},
    "biasadv": {"rate": 3.0},
}
"""Of TUNING the setting that the runs of a method have: `findings.after.chosen`, where group labels are known."""

TUNING_SHARE = 0.02
"""Of conflicting images while settings are chosen: enough for each group to have some."""


class AfterParameters(Parameters):
    """What chapter 12 can be told; every method has the same digits, network, length of training and optimiser."""

    changes: ClassVar = {
        "smoke": {
            "precision": "auto",
            "seeds": 1,
            "shares": (0.0, 0.1),
            "n_train": 256,
            "n_validation": 200,
            "epochs": 2,
        },
        "laptop": {
            "precision": "auto",
            "seeds": 1,
            "shares": (0.0, 0.02),
            "n_train": 400,
            "n_validation": 200,
            "epochs": 5,
        },
    }

    seeds: int = Field(3, ge=1, le=100, description="runs of each method and share, with seeds 0, 1, …")
    shares: tuple[float, ...] = Field(
        (0.0, 0.001, 0.005, 0.01, 0.02, 0.05),
        min_length=1,
        description="of the training digits, those on the other colour",
    )
    ten_share: float = Field(0.05, ge=0, le=1, description="the same, on another of ten colours")
    n_train: int = Field(4000, ge=1, description="training digits")
    n_validation: int = Field(250, ge=1, description="training digits held out")
    epochs: int = Field(7, ge=1, description="passes over the training images")
    batch_size: int = Field(64, ge=1, description="originals in a batch")
    learning_rate: float = Field(1e-3, gt=0, description="of f and h_t, before the factor in a method's setting")
    precision: Literal["auto", "bf16", "fp32"] = Field("fp32", description="auto: bf16 where it is faster here")


def specs(p: AfterParameters) -> list[RunSpec]:
    """C-MNIST: a run for each share of conflicting images, method and seed."""
    return [spec for share in p.shares for spec in share_specs(p, share)]


def share_specs(p: AfterParameters, share: float, methods: tuple[str, ...] = METHODS) -> list[RunSpec]:
    """C-MNIST with this share of conflicting images: a run for each seed and method."""
    return [spec_of(p, "cmnist", share, method, seed) for seed in range(p.seeds) for method in methods]


def ten_specs(p: AfterParameters) -> list[RunSpec]:
    """Biased MNIST: a run for each seed and method."""
    return [spec_of(p, "ten_colours", p.ten_share, method, seed) for seed in range(p.seeds) for method in METHODS]


control_specs = partial(share_specs, share=0.0, methods=CONTROLS)
"""Whether it is the attack that matters."""


def spec_of(
    p: AfterParameters, data: str, share: float, method: str, seed: int, setting: Mapping[str, Any] | None = None
) -> RunSpec:
    """The run of `method` on digits of which `share` are on a colour that is not their own.

    The seed draws the digits and their colours, too, so that the spread over seeds holds that of the few conflicting
    images.

    setting: as in TUNING; that of CHOSEN, unless settings are being tried
    """
    described = {
        "name": data,
        "fingerprint": common.fingerprint(p, CMNIST),
        "n_train": p.n_train,
        "n_validation": p.n_validation,
        "correlation": round(1 - share, 6),
        "seed": seed,
    }
    # the controls are aeda_robust in all but one respect
    settled = "aeda_robust" if method in CONTROLS else method
    own = {**BASE.get(method, {}), **(CHOSEN.get(settled, {}) if setting is None else setting)}
    rate = p.learning_rate * own.pop("rate", 1.0)
    shared: common.Parts = {
        "data": described,
        "model": {"precision": common.precision(p.precision, {})},
        "plan": {"epochs": p.epochs, "batch_size": p.batch_size},
    }
    of_chapter_05 = common.compared(settled, cmnist.CMNISTParameters.load(p.profile), cmnist.CMNISTParameters)
    given: common.Parts = {"plan": {"learning_rate": rate}, "options": own}
    return common.spec(method, seed, shared, *(of_chapter_05 if settled in PAPERS else ()), given)


def trials(p: AfterParameters) -> list[tuple[RunSpec, dict[str, Any]]]:
    """The runs behind CHOSEN, each with its setting: every setting of TUNING once, as long as the runs that are
    reported, and never on the test set."""
    return [
        (
            spec_of(p, "cmnist", TUNING_SHARE, method, cmnist.TUNING_SEED, setting).model_copy(
                update={"tested_on": "validation"}
            ),
            setting,
        )
        for method, settings in TUNING.items()
        for setting in settings
    ]


def tuning(p: AfterParameters) -> list[RunSpec]:
    """The runs of `trials`."""
    return [spec for spec, _ in trials(p)]


records = partial(common.records, specs)
"""The chapter's records on C-MNIST: looked up, and where its parameters are live trained if they are missing."""

ten_records = partial(common.records, ten_specs)
"""Those on biased MNIST."""

share_records = partial(common.records, share_specs)
"""Those at one share of conflicting images."""

control_records = partial(common.records, control_specs)
"""Those of the controls."""

tuned = partial(common.recorded, tuning, AfterParameters)
"""The committed records of `tuning`."""

CHAPTER = Chapter(
    "what_came_after",
    "12_what_came_after.ipynb",
    AfterParameters,
    (specs, ten_specs, control_specs),
    tuning,
    about=("Chapter 12",),
)
