"""Chapters 01, 06 and 08: which runs on faces Fig. 2, Table 2 and Fig. 10(c) need."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from aeda_core.datasets import celeba
from aeda_core.datasets.base import DATA
from aeda_core.datasets.celeba import CelebA
from aeda_core.datasets.rates import NAMES, share_of_women
from aeda_core.experiments import common
from aeda_core.experiments.chapter import Chapter
from aeda_core.methods import named
from aeda_core.methods.aeda import AEDA
from aeda_core.profiles import ParameterError, Parameters
from aeda_core.runs import RunSpec

METHODS = (
    "original",
    "undersampling",
    "reweighting",
    "adversarial_debiasing",
    "cyclegan",
    "aeda_pre",
    "aeda_online",
    "aeda_robust",
    "aeda_robust_per_batch",
)

AFFORDED = {"cyclegan": 3}
"""Folds of the methods that cost too much to be trained on all that are tested on."""

BEFORE_AND_AFTER = ("original", "aeda_robust", "aeda_robust_per_batch")
"""The methods of chapter 08."""

TUNING: dict[str, tuple[dict[str, Any], ...]] = {
    "original": ({},),  # to compare with
    "adversarial_debiasing": (
        {"strength": 0.03},
        {"strength": 0.1},
        {"strength": 0.3},
        {"strength": 0.1, "adversary_hidden": 0},
        {"strength": 0.3, "adversary_hidden": 0},
    ),
    "reweighting": ({"reweighting_rate": 1e-3}, {"reweighting_rate": 3e-4}),
    "aeda_robust": (
        {},
        {"robust_bias_rate": 1e-4},
        {"robust_bias_rate": 1e-3},
        {"robust_bias_rate": 1e-3, "bias_hidden": 256},
        {"robust_bias_rate": 1e-4, "epsilon": 0.08, "step_size": 0.053},
    ),
}
"""What was tried; what the AEDA variants have in common was found by hand before, on the same people."""

AT_FULL_LENGTH = ("original", "aeda_robust")
"""What is tried at the length of the reported runs, for the attack begins when half of it is over; the rest at half."""

TUNING_FOLD = 4
"""The fold on whose training folds settings are tried; people held out of these choose."""

AVERAGED = ("Big_Nose", "Bushy_Eyebrows", "High_Cheekbones", "Smiling", "Young")
"""The attributes of Fig. 9: those with enough people of both genders, with and without, for an average."""

AT_LEAST = 200
"""People in an average face."""

AVERAGED_SIZE = 96
"""Height and width of the average faces, in pixels."""

AVERAGES = DATA / "average_faces.npz"


class CelebAParameters(Parameters):
    """What the chapters on faces can be told; the defaults are the `paper` profile's.

    A fold is a run: `seeds` runs are trained on all folds but the first, on all but the second, …
    """

    changes: ClassVar = {
        "smoke": {
            "precision": "auto",
            "seeds": 1,
            "n_persons": 300,
            "n_validation": 50,
            "size": 32,
            "width": 0.0625,
            "epochs": 1,
            "steps": 1,
            "start": 0,
            "source_epochs": 1,
            "gan_epochs": 1,
            "gan_width": 4,
            "gan_blocks": 1,
        },
        "laptop": {
            "precision": "auto",
            "seeds": 1,
            "n_persons": 1200,
            "n_validation": 200,
            # avatars are few and simple: small images, a slim network and small batches, so that it comes to lean
            # within seconds
            "size": 32,
            "width": 0.125,
            "epochs": 12,
            "batch_size": 16,
            "learning_rate": 5e-4,
            "adversary_rate": 5e-4,
            # found on avatars: few and long steps, and an h_b that keeps up with them
            "epsilon": 0.1,
            "step_size": 0.08,
            "steps": 2,
            "robust_bias_rate": 2e-4,
            "start": 6,
            "source_epochs": 6,
            "gan_epochs": 1,
            "gan_width": 8,
            "gan_blocks": 2,
        },
    }

    seeds: int = Field(5, ge=1, description="folds that are tested on, of `folds`")
    folds: int = Field(5, ge=2, description="parts that the people are dealt into")
    n_persons: int = Field(0, ge=0, description="people; 0: all there are")
    n_validation: int = Field(900, ge=1, description="persons held out of the training folds")
    size: int = Field(CelebA.network["size"], ge=32, description="height and width of the faces, in pixels")
    width: float = Field(CelebA.network["width"], gt=0, le=1, description="share of VGG-16's channels")
    weights: str = Field("", description="file in data/weights to start from; empty: random weights")
    epochs: int = Field(14, ge=1, description="passes over the training images")
    batch_size: int = Field(64, ge=1, description="originals in a batch")
    learning_rate: float = Field(1e-3, gt=0, description="of f and h_t")
    task_balance: float = Field(1.0, ge=0, le=1, description="0: labels count the same; 1: target tasks do")
    mirror: bool = Field(False, description="mirror a random half of the faces in every epoch")
    precision: Literal["auto", "bf16", "fp32"] = Field("fp32", description="auto: bf16 where it is faster here")
    norm: Literal["linf", "l2"] = common.option("aeda_robust", "norm")
    epsilon: float = common.option("aeda_robust", "epsilon", default=0.06)
    step_size: float = common.option("aeda_robust", "step_size", default=0.04)
    steps: int = common.option("aeda_robust", "steps", default=3)
    lambda_: float = common.option("aeda_robust", "lambda_", default=0.9)
    start: int = common.option("aeda_robust", "start", default=7)
    bias_epochs: int = common.option("aeda_robust", "bias_epochs")
    bias_learning_rate: float = common.option("aeda_robust", "bias_learning_rate")
    robust_bias_rate: float = Field(3e-5, gt=0, description="the same of aeda_robust, whose h_b is not to forget")
    bias_hidden: int = Field(0, ge=0, description="hidden units of h_b where AEDA attacks it")
    source_epochs: int = common.option("aeda_pre", "source_epochs", default=7)
    reweighting_rate: float = Field(3e-4, gt=0, description="learning rate of reweighting")
    strength: float = common.option("adversarial_debiasing", "strength", default=0.1)
    adversary_rate: float = Field(1e-3, gt=0, description="learning rate of adversarial debiasing")
    adversary_hidden: int = Field(256, ge=0, description="hidden units of its bias head; 0: linear")
    gan_epochs: int = common.option("cyclegan", "gan_epochs")
    gan_batch_size: int = common.option("cyclegan", "gan_batch_size", default=4)
    gan_identity: float = common.option("cyclegan", "gan_identity", default=0.0)
    gan_residual: bool = common.option("cyclegan", "gan_residual", default=True)
    gan_width: int = common.option("cyclegan", "gan_width")
    gan_blocks: int = common.option("cyclegan", "gan_blocks")


def specs(p: CelebAParameters, methods: tuple[str, ...] = METHODS, folds: Iterable[int] | None = None) -> list[RunSpec]:
    """One run for each fold and method; a spec holds only what decides its own method's result."""
    if p.seeds > p.folds:
        raise ParameterError(f"parameter seeds is {p.seeds}: it is at most folds, {p.folds}; a fold is tested on once.")
    network = {**CelebA.network, "size": p.size, "width": p.width}
    network |= {"precision": common.precision(p.precision, network)} | ({"weights": p.weights} if p.weights else {})
    data = {
        "name": "celeba",
        "fingerprint": common.fingerprint(p, CelebA, size=p.size),
        "n_persons": p.n_persons,
        "n_validation": p.n_validation,
        "size": p.size,
        "folds": p.folds,
    }
    plan = {
        "epochs": p.epochs,
        "batch_size": p.batch_size,
        "learning_rate": p.learning_rate,
        "task_balance": p.task_balance,
        "mirror": p.mirror,
    }
    shared = {"data": data, "model": network, "plan": plan}
    return [
        common.spec(method, fold, shared, {"data": {"fold": fold}}, *_own(p, method))
        for fold in (range(p.seeds) if folds is None else folds)
        for method in methods
        if folds is not None or fold < AFFORDED.get(method, p.folds)
    ]


def _own(p: CelebAParameters, method: str) -> list[common.Parts]:
    """What `method` has of its own on faces."""
    differs: dict[str, common.Parts] = {
        "reweighting": {"plan": {"learning_rate": p.reweighting_rate}},
        "aeda_robust": {"options": {"bias_learning_rate": p.robust_bias_rate}},
    }
    head = {"model": {"bias_hidden": p.bias_hidden}} if p.bias_hidden and issubclass(named(method), AEDA) else {}
    return [*common.compared(method, p, CelebAParameters), differs.get(method, {}), head]


def tuning(p: CelebAParameters) -> list[RunSpec]:
    """The runs behind the choice of hyper-parameters: every setting of TUNING once, on the training folds of one fold,
    judged by people held out of them."""
    half = {"epochs": max(1, p.epochs // 4 * 2), "start": p.start // 2}
    return [
        spec.model_copy(update={"tested_on": "validation"})
        for method, settings in TUNING.items()
        for setting in settings
        for spec in specs(
            p.model_copy(update={**({} if method in AT_FULL_LENGTH else half), **setting}),
            (method,),
            [TUNING_FOLD],
        )
    ]


records = partial(common.records, specs)
"""The chapter's records: looked up, and where its parameters are live trained if they are missing."""

recorded = partial(common.recorded, specs, CelebAParameters)
"""The committed records of the full protocol, whatever a chapter's own profile."""

tuned = partial(common.recorded, tuning, CelebAParameters)
"""The committed records of `tuning`."""


def shares_of_women() -> dict[str, float]:
    """For each of the seventeen attributes the share of women among all of CelebA's images that have it."""
    return {name: share_of_women(name) for name in celeba.ATTRIBUTES}


def averages(p: CelebAParameters) -> tuple[list[dict[str, Any]], str]:
    """Fig. 9: mean faces of the groups of the attributes AVERAGED, and their source.

    The recorded chapter shows the committed means over CelebA's people, kept by `keep_averages`.
    """
    if not p.live:
        with np.load(AVERAGES) as kept:
            images, sizes, source = kept["images"], kept["sizes"], str(kept["source"])
    else:
        images, sizes, source = _averages(celeba.load(p.data_root, AVERAGED_SIZE))
    cells = itertools.product(AVERAGED, ("women", "men"), (False, True))
    rows = [
        {"attribute": name, "group": group, "present": present, "n": int(n), "image": image if n >= AT_LEAST else None}
        for (name, group, present), n, image in zip(
            cells, sizes.flat, images.reshape(-1, *images.shape[3:]), strict=True
        )
    ]
    return rows, source


def keep_averages(data_root: str = "") -> None:
    """Write the mean faces that the recorded chapter shows, if these are the people whom the records are about."""
    faces = celeba.load(data_root, AVERAGED_SIZE)
    if faces.fingerprint == celeba.CELEBA_FINGERPRINT:
        images, sizes, source = _averages(faces)
        np.savez_compressed(AVERAGES, images=images, sizes=sizes, source=source)


def _averages(faces: celeba.Faces) -> tuple[np.ndarray, np.ndarray, str]:
    """Mean images uint8 (attributes, gender, absent or present, H, W, 3), black where fewer than AT_LEAST people are;
    and how many people each group has."""
    male = faces.attributes[:, NAMES.index("Male")].numpy()
    images, sizes = [], []
    for name, gender, value in itertools.product(AVERAGED, (0, 1), (0, 1)):
        members = (male == gender) & (faces.attributes[:, NAMES.index(name)].numpy() == value)
        group = np.asarray(faces.images[members.nonzero()[0]])
        mean = group.mean(axis=0) if len(group) >= AT_LEAST else np.zeros(group.shape[1:])
        images.append(mean.round().astype(np.uint8).transpose(1, 2, 0))
        sizes.append(len(group))
    shape = (len(AVERAGED), 2, 2)
    return np.reshape(images, (*shape, *images[0].shape)), np.reshape(sizes, shape), faces.source


ATTRIBUTION = Chapter(
    "attribution",
    "01_bias_attribution.ipynb",
    CelebAParameters,
    (partial(specs, methods=("original",)),),
    about=("Fig. 2",),
)
CHAPTER = Chapter("celeba", "06_celeba.ipynb", CelebAParameters, (specs,), tuning, keep_averages, about=("Table 2",))
ACCURACY_FAIRNESS = Chapter(
    "accuracy_fairness",
    "08_accuracy_and_fairness.ipynb",
    CelebAParameters,
    (partial(specs, methods=BEFORE_AND_AFTER),),
    about=("Fig. 10(c)",),
)
