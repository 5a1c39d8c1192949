"""Chapters 01, 06 and 08: which runs on faces Fig. 2, Table 2 and Fig. 10(c) need."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from aeda_core import runs
from aeda_core.datasets import celeba
from aeda_core.experiments.common import precision
from aeda_core.profiles import Parameters
from aeda_core.runs import RunRecord, RunSpec

METHODS = (
    "original",
    "undersampling",
    "reweighting",
    "adversarial_debiasing",
    "cyclegan",
    "aeda_pre",
    "aeda_once",
    "aeda_online",
    "aeda_robust",
    "aeda_robust_per_batch",
)


class CelebAParameters(Parameters):
    """What the chapters on faces can be told; the defaults are the `paper` profile's.

    A fold is a run: `seeds` runs are trained on all folds but the first, on all but the second, …
    """

    changes: ClassVar = {
        "smoke": {
            "seeds": 1,
            "n_persons": 300,
            "n_validation": 50,
            "size": 32,
            "width": 0.0625,
            "epochs": 1,
            "steps": 1,
            "source_epochs": 1,
            "translator_steps": 2,
        },
        "laptop": {"seeds": 1, "n_persons": 1500, "n_validation": 200, "epochs": 6, "source_epochs": 3},
    }

    seeds: int = Field(3, ge=1, description="folds that are tested on, of `folds`")
    folds: int = Field(5, ge=2)
    n_persons: int = Field(0, ge=0, description="0: all there are")
    n_validation: int = Field(900, ge=1, description="persons held out of the training folds")
    size: int = Field(48, ge=32, description="height and width of the faces, in pixels")
    width: float = Field(0.25, gt=0, le=1, description="share of VGG-16's channels")
    weights: str = Field("", description="file in data/weights to start from; empty: random weights")
    epochs: int = Field(12, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    task_balance: float = Field(1.0, ge=0, le=1)
    mirror: bool = Field(True, description="mirror a random half of the faces in every epoch")
    precision: Literal["auto", "bf16", "fp32"] = Field("bf16", description="auto: bf16 where the hardware has it")
    norm: Literal["linf", "l2"] = "linf"
    epsilon: float = Field(0.06, ge=0)
    step_size: float = Field(0.04, gt=0)
    steps: int = Field(3, ge=1)
    lambda_: float = Field(0.9, ge=0, le=1)
    start: int = Field(0, ge=0)
    bias_epochs: int = Field(1, ge=1)
    bias_learning_rate: float = Field(1e-3, gt=0)
    source_epochs: int = Field(6, ge=1)
    strength: float = Field(1.0, ge=0)
    adversary_rate: float = Field(1e-3, gt=0)
    adversary_hidden: int = Field(256, ge=0)
    translator_steps: int = Field(1000, ge=1)


def specs(p: CelebAParameters, methods: tuple[str, ...] = METHODS) -> list[RunSpec]:
    """One run for each fold and method; a spec holds only what decides its own method's result."""
    attack = {"norm": p.norm, "epsilon": p.epsilon, "step_size": p.step_size, "steps": p.steps, "lambda_": p.lambda_}
    online = {**attack, "start": p.start, "bias_epochs": p.bias_epochs, "bias_learning_rate": p.bias_learning_rate}
    options: dict[str, dict[str, Any]] = {
        "adversarial_debiasing": {"strength": p.strength},
        "cyclegan": {"steps": p.translator_steps},
        "aeda_pre": {**attack, "source_epochs": p.source_epochs},
        "aeda_once": {**online, "start": max(1, p.start)},
        "aeda_online": online,
        "aeda_robust": online,
        "aeda_robust_per_batch": {**online, "refresh": 1},
    }
    rates = {"adversarial_debiasing": p.adversary_rate}
    models = {"adversarial_debiasing": {"bias_hidden": p.adversary_hidden}}
    fingerprint = celeba.load(p.data_root, p.size).fingerprint if p.live else celeba.CELEBA_FINGERPRINT
    data = {
        "name": "celeba",
        "fingerprint": fingerprint,
        "n_persons": p.n_persons,
        "n_validation": p.n_validation,
        "size": p.size,
        "folds": p.folds,
    }
    network = {"name": "vgg16", "size": p.size, "width": p.width, "precision": precision(p.precision)}
    return [
        RunSpec(
            experiment="celeba",
            profile=p.profile if p.live else "paper",
            method=method,
            data={**data, "fold": fold},
            model={**network, **({"weights": p.weights} if p.weights else {}), **models.get(method, {})},
            plan={
                "epochs": p.epochs,
                "batch_size": p.batch_size,
                "learning_rate": rates.get(method, p.learning_rate),
                "task_balance": p.task_balance,
                "mirror": p.mirror,
            },
            options=options.get(method, {}),
            seed=fold,
        )
        for fold in range(p.seeds)
        for method in methods
    ]


def records(p: CelebAParameters, methods: tuple[str, ...] = METHODS) -> list[RunRecord]:
    """The chapters' records: looked up, and where `p` is live trained if they are missing."""
    return runs.run_all(specs(p, methods), live=p.live, data_root=p.data_root)
