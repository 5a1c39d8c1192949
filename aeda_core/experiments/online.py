"""Chapters 03 and 07: the runs whose course over the epochs shows why the attack has to go on.

Both chapters look at faces, as the paper does, and at coloured digits, where more runs can be afforded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from pydantic import Field

from aeda_core.experiments import celeba, cmnist, common
from aeda_core.experiments.chapter import Chapter
from aeda_core.runs import RunRecord, RunSpec

ONLINE = ("aeda_pre", "aeda_once", "aeda_online", "aeda_robust", "aeda_robust_per_batch")
"""The methods of Fig. 10(a), and ours."""

STOPPED = ("aeda_robust", "aeda_robust_per_batch")
"""Those whose attack is also stopped (Fig. 10b); on digits the first of them."""

FADING = ("aeda_pre", "aeda_online")
"""The methods of Fig. 4 and Fig. 11; `aeda_pre` also with a robust source."""


class OnlineParameters(celeba.CelebAParameters):
    """What chapters 03 and 07 can be told: everything about the faces, and what they do to a method.

    The digits are trained as in chapter 05 at the same profile, but for what `digits_…` says.
    """

    # a second epoch, in which aeda_once attacks
    changes: ClassVar = celeba.CelebAParameters.changes | {
        "smoke": celeba.CelebAParameters.changes["smoke"] | {"epochs": 2}
    }

    seeds: int = Field(3, ge=1, description="folds that are tested on, of `folds`")
    stopped_at: float = Field(2 / 3, gt=0, le=1, description="share of the epochs after which the attack stops")
    source_radius: float = Field(0.03, gt=0, description="ε that the robust source withstands, on faces")
    digits_source_radius: float = Field(0.2, gt=0, description="the same on digits")
    digits_seeds: int | None = Field(None, ge=1, le=100, description="runs of each method on digits")
    digits_n_train: int | None = Field(None, ge=1, description="training digits")
    digits_epochs: int | None = Field(None, ge=1, description="epochs on digits")
    digits_epsilon: float | None = Field(None, ge=0, description="ε on digits")
    digits_step_size: float | None = Field(None, gt=0, description="length of a step on digits")
    digits_steps: int | None = Field(None, ge=1, description="steps of the attack on digits")
    digits_lambda_: float | None = Field(None, ge=0, le=1, description="λ on digits")


def transfer_specs(p: OnlineParameters) -> list[RunSpec]:
    """The runs of Fig. 4 and Fig. 11: FADING, and `aeda_pre` with a robust source, on faces and on digits."""
    found = []
    for specs, radius in ((_faces(p, FADING), p.source_radius), (_digits(p, FADING), p.digits_source_radius)):
        pre = [spec for spec in specs if spec.method == "aeda_pre"]
        found += [*specs, *_changed(pre, source_radius=radius)]
    return found


def online_specs(p: OnlineParameters) -> list[RunSpec]:
    """The runs of Fig. 10(a) and 10(b): ONLINE, and STOPPED with their attack stopped after two thirds of the epochs,
    which is where the paper's 40th stands."""
    found = []
    for specs, stopped in ((_faces(p, ONLINE), STOPPED), (_digits(p, ONLINE), STOPPED[:1])):
        stop = max(1, round(specs[0].plan["epochs"] * p.stopped_at))
        found += [*specs, *_changed((spec for spec in specs if spec.method in stopped), stop=stop)]
    return found


def transfer(p: OnlineParameters) -> tuple[list[RunRecord], list[RunRecord]]:
    """The records of `transfer_specs`: on faces, on digits."""
    return common.by_data(common.records(transfer_specs, p))


def online(p: OnlineParameters) -> tuple[list[RunRecord], list[RunRecord]]:
    """The records of `online_specs`: on faces, on digits."""
    return common.by_data(common.records(online_specs, p))


def recorded(specs: Callable[[OnlineParameters], list[RunSpec]]) -> tuple[list[RunRecord], list[RunRecord]]:
    """The committed records of `specs`, whatever a chapter's own profile."""
    return common.by_data(common.recorded(specs, OnlineParameters))


def _faces(p: OnlineParameters, methods: tuple[str, ...]) -> list[RunSpec]:
    return celeba.specs(p, methods)


def _digits(p: OnlineParameters, methods: tuple[str, ...]) -> list[RunSpec]:
    told = {"data_root": p.data_root, "precision": p.precision}
    for name in cmnist.CMNISTParameters.model_fields:
        if (value := getattr(p, f"digits_{name}", None)) is not None:
            told[name] = value
    return cmnist.specs(cmnist.CMNISTParameters.load(p.profile, **told), methods)


def _changed(specs: Iterable[RunSpec], **options: Any) -> list[RunSpec]:
    return [spec.model_copy(update={"options": {**spec.options, **options}}) for spec in specs]


TRANSFER = Chapter(
    "transfer", "03_transferability.ipynb", OnlineParameters, (transfer_specs,), about=("Fig. 4", "Fig. 11")
)
CHAPTER = Chapter(
    "online", "07_online_attack.ipynb", OnlineParameters, (online_specs,), about=("Fig. 10(a)", "Fig. 10(b)")
)
