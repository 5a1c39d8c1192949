"""Chapter 13: Table 2's question once more, of a network that starts from pretrained weights."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field

from aeda_core.datasets.celeba import CelebA
from aeda_core.experiments import common
from aeda_core.experiments.celeba import TUNING_FOLD
from aeda_core.experiments.chapter import Chapter
from aeda_core.profiles import ParameterError, Parameters
from aeda_core.runs import RunSpec

METHODS = (
    "original",
    "undersampling",
    "reweighting",
    "adversarial_debiasing",
    "aeda_robust",
    "aeda_robust_warm",
    "domain_independent",
)
"""Rivals and two variants of AEDA from Table 2 and chapter 10, and a later method from chapter 12."""

PLAN: dict[str, Any] = {"learning_rate": 3e-4, "batch_size": 64, "task_balance": 1.0}
"""How every method is trained, where its setting says nothing else."""

_ATTACK = {"epsilon": 0.08, "lambda_": 0.9, "start": 2, "bias_learning_rate": 1e-4}

OPTIONS: dict[str, dict[str, Any]] = {
    "original": {},
    "undersampling": {},
    "reweighting": {},
    "adversarial_debiasing": {"strength": 0.1, "bias_hidden": 256},
    "aeda_robust": {**_ATTACK, "step_size": 0.053, "steps": 3},
    "aeda_robust_warm": {**_ATTACK, "step_size": 0.08, "steps": 1},
    "domain_independent": {},
}
"""The options of a method, where its setting says nothing else, and its own defaults where these say nothing."""

_PLANS: tuple[dict[str, Any], ...] = (
    {},
    {"learning_rate": 1e-4},
    {"learning_rate": 1e-3},
    {"batch_size": 32},
    {"task_balance": 0.5},
    {"task_balance": 0.0},
)
"""The settings of a method that has nothing else to set."""

TUNING: dict[str, tuple[dict[str, Any], ...]] = {
    "original": _PLANS,
    "undersampling": _PLANS,
    # a rare label weighs many times what others weigh, so small steps instead of large ones
    "reweighting": (
        {},
        {"learning_rate": 1e-4},
        {"learning_rate": 3e-5},
        {"batch_size": 128},
        {"task_balance": 0.5},
        {"task_balance": 0.0},
    ),
    "adversarial_debiasing": (
        {},
        {"strength": 0.03},
        {"strength": 0.3},
        {"strength": 1.0},
        {"bias_hidden": 0},
        {"strength": 1.0, "bias_hidden": 0},
    ),
    "aeda_robust": (
        {},
        {"epsilon": 0.03, "step_size": 0.02},
        {"epsilon": 0.2, "step_size": 0.133},
        {"bias_learning_rate": 1e-3},
        {"epsilon": 0.2, "step_size": 0.133, "lambda_": 0.8, "bias_learning_rate": 1e-3},
        {"start": 4},
    ),
    "aeda_robust_warm": (
        {},
        {"epsilon": 0.03, "step_size": 0.03},
        {"epsilon": 0.2, "step_size": 0.2},
        {"epsilon": 0.2, "step_size": 0.2, "lambda_": 0.8, "bias_learning_rate": 1e-3},
        {"epsilon": 0.4, "step_size": 0.4, "lambda_": 0.8, "bias_learning_rate": 1e-3},
        {"epsilon": 0.2, "step_size": 0.1, "lambda_": 0.8, "bias_learning_rate": 1e-3, "start": 0},
    ),
    "domain_independent": _PLANS,
}
"""What is tried: six settings of each method, equally long, on people who do nothing but choose."""

CHOSEN: dict[str, dict[str, Any]] = {
    "original": {},
    "undersampling": {"task_balance": 0.0},
    "reweighting": {"learning_rate": 1e-4},
    "adversarial_debiasing": {},
    "aeda_robust": {"epsilon": 0.03, "step_size": 0.02},
    "aeda_robust_warm": {"epsilon": 0.03, "step_size": 0.03},
    "domain_independent": {},
}
"""Of TUNING the setting that the runs of a method have, by `findings.selection.choose`."""


class PretrainedParameters(Parameters):
    """What chapter 13 can be told; the defaults are the `paper` profile's. A fold is a run, as in chapter 06."""

    changes: ClassVar = {
        "smoke": {"seeds": 1, "n_persons": 300, "n_choosing": 50, "size": 32, "epochs": 1, "start": 0},
        "laptop": {"seeds": 1, "n_persons": 600, "n_choosing": 100, "size": 32, "epochs": 4, "batch_size": 16},
    }

    seeds: int = Field(5, ge=1, description="folds that are tested on, of `folds`")
    folds: int = Field(5, ge=2, description="parts that the people are dealt into")
    n_persons: int = Field(0, ge=0, description="people; 0: all there are")
    n_choosing: int = Field(1000, ge=1, description="persons who choose settings and do nothing else")
    size: int = Field(64, ge=32, description="height and width of the faces, in pixels")
    epochs: int = Field(6, ge=1, description="passes over the training images")
    precision: Literal["auto", "bf16", "fp32"] = Field("fp32", description="auto: bf16 where it is faster here")
    batch_size: int | None = Field(None, ge=1, description="originals in a batch")
    learning_rate: float | None = Field(None, gt=0, description="of f and h_t")
    task_balance: float | None = Field(None, ge=0, le=1, description="0: labels count the same; 1: target tasks do")
    epsilon: float | None = Field(None, ge=0, description="ε, the radius of the attack, in [0, 1] pixel units")
    step_size: float | None = Field(None, gt=0, description="length of a step of the attack, in the same units")
    steps: int | None = Field(None, ge=1, description="steps of the attack")
    lambda_: float | None = Field(None, ge=0, le=1, description="λ of Eq. (3); 1 attacks the bias task alone, Eq. (2)")
    start: int | None = Field(None, ge=0, description="epochs on the originals alone before the first attack")
    bias_learning_rate: float | None = Field(None, gt=0, description="of h_b where it is attacked")
    strength: float | None = Field(None, ge=0, description="of the reversed gradient of adversarial debiasing")


def specs(p: PretrainedParameters) -> list[RunSpec]:
    """A run for each fold and method, with the setting of CHOSEN but for what `p` says."""
    if p.seeds > p.folds:
        raise ParameterError(f"parameter seeds is {p.seeds}: it is at most folds, {p.folds}; a fold is tested on once.")
    return [spec for method in METHODS for spec in _runs(p, method, CHOSEN[method] | _given(p), range(p.seeds))]


def tuning(p: PretrainedParameters) -> list[RunSpec]:
    """Every setting of TUNING once, on the training folds of one fold, judged by the people who choose."""
    return [
        spec.model_copy(update={"tested_on": "validation"})
        for method, settings in TUNING.items()
        for setting in settings
        for spec in _runs(p, method, _given(p) | setting, [TUNING_FOLD])
    ]


def _given(p: PretrainedParameters) -> dict[str, Any]:
    """What `p` says for all methods, where each would have a setting of its own."""
    return {name: value for name, value in p if type(p).model_fields[name].default is None and value is not None}


def _runs(p: PretrainedParameters, method: str, setting: dict[str, Any], folds: Iterable[int]) -> list[RunSpec]:
    """The runs of `method` on `folds`: by PLAN and OPTIONS, but for what `setting` says of these."""
    settled = PLAN | OPTIONS[method]
    settled |= {name: value for name, value in setting.items() if name in settled}
    hidden = settled.pop("bias_hidden", 0)
    network = {"name": "efficientnet_lite0"} | ({"bias_hidden": hidden} if hidden else {})
    shared: common.Parts = {
        "data": {
            "name": "celeba",
            "fingerprint": common.fingerprint(p, CelebA, size=p.size),
            "n_persons": p.n_persons,
            "n_choosing": p.n_choosing,
            "size": p.size,
            "folds": p.folds,
        },
        "model": {**network, "precision": common.precision(p.precision, network)},
        "plan": {"epochs": p.epochs, "mirror": True} | {name: settled.pop(name) for name in PLAN},
        "options": settled,
    }
    return [common.spec(method, fold, shared, {"data": {"fold": fold}}) for fold in folds]


records = partial(common.records, specs)
"""The chapter's records: looked up, and where its parameters are live trained if they are missing."""

recorded = partial(common.recorded, specs, PretrainedParameters)
"""The committed records of the full protocol, whatever a chapter's own profile."""

tuned = partial(common.recorded, tuning, PretrainedParameters)
"""The committed records of `tuning`."""

CHAPTER = Chapter(
    "pretrained",
    "13_pretrained.ipynb",
    PretrainedParameters,
    (specs,),
    tuning,
    about=("Chapter 13",),
)
