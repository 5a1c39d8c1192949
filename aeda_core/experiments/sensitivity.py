"""Chapter 10: how much `aeda_robust` depends on what the paper leaves open, one choice at a time, on small C-MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, ClassVar

from pydantic import Field

from aeda_core import runs
from aeda_core.experiments import cmnist, common
from aeda_core.experiments.chapter import Chapter
from aeda_core.runs import RunRecord, RunSpec


@dataclass(frozen=True)
class Choice:
    """A choice and what it was varied over.

    title:    over its plot
    values:   what the horizontal axis says, and what that changes in the method's options, the plan or the data
    ours:     which of them the book uses
    papers:   which of them the paper uses, where it says
    original: whether `original` depends on it, too, and is shown beside
    """

    title: str
    values: dict[str, dict[str, Any]]
    ours: str
    papers: str | None = None
    original: bool = False


def _radius(epsilon: float, norm: str = "linf") -> dict[str, Any]:
    return {"norm": norm, "epsilon": epsilon, "step_size": round(0.4 * epsilon, 4)}


CHOICES: dict[str, Choice] = {
    "epsilon": Choice(
        "Radius ε (L∞)", {f"{value:g}": _radius(value) for value in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)}, ours="0.3"
    ),
    "norm": Choice(
        "Norm: radius ε in L2", {f"{value:g}": _radius(value, "l2") for value in (2.0, 4.0, 8.0, 14.0)}, ours="L∞ 0.3"
    ),
    "steps": Choice(
        "Steps of the attack",
        {str(n): {"steps": n, "step_size": round(0.6 / n, 4)} for n in (1, 2, 5, 10)},
        ours="5",
    ),
    "lambda": Choice(
        "λ of Eq. (3)", {f"{value:g}": {"lambda_": value} for value in (0.5, 0.8, 0.9, 0.98, 1.0)}, ours="0.98"
    ),
    "refresh": Choice(
        "Examples made anew",
        {
            "each\nbatch": {"refresh": 1},
            "8\nbatches": {"refresh": 8},
            "each\nepoch": {},
            "2\nepochs": {"every": 2},
            "4\nepochs": {"every": 4},
            "once": {"start": 1, "stop": 2},
        },
        ours="each\nepoch",
        papers="each\nepoch",
    ),
    "bias_epochs": Choice("Epochs of h_b in an epoch of f", {str(n): {"bias_epochs": n} for n in (1, 2, 4)}, ours="1"),
    "start": Choice("Epochs before the first attack", {str(n): {"start": n} for n in (0, 1, 3, 6)}, ours="0"),
    "epochs": Choice("Epochs of training", {str(n): {"epochs": n} for n in (6, 12, 24)}, ours="12", original=True),
    "n_train": Choice(
        "Training digits",
        {f"{n:,}": {"n_train": n} for n in (500, 1000, 2000, 4000)},
        ours="2,000",
        original=True,
    ),
    "correlation": Choice(
        "Correlation of colour and digit",
        {f"{value:g}": {"correlation": value} for value in (0.5, 0.7, 0.9, 0.98, 1.0)},
        ours="1",
        papers="1",
        original=True,
    ),
}
"""Everything but the choice is as in the base run: `aeda_robust` as in chapter 05, on fewer digits."""


FRESH = "five fresh steps"
"""The row of CHEAPER that is `aeda_robust` as it is."""

CHEAPER: dict[str, tuple[str, dict[str, Any]]] = {
    "Original": ("original", {}),
    FRESH: ("aeda_robust", {}),
    "one warm step": ("aeda_robust_warm", {}),
    "one warm step, four fifths of the images": ("aeda_robust_warm", {"share": 0.8}),
}
"""What chapter 10 holds against each other in quality and cost, on the digits of chapter 05: a method, and options that
differ from those there."""

FRESH_SEEDS = 2
"""Runs with five fresh steps that CHEAPER can afford; they are the longest by far."""

WARM_TUNING: tuple[dict[str, Any], ...] = (
    {},
    {"reset": 5},
    {"lambda_": 1.0},
    {"share": 0.5},
    {"share": 0.8},
    {"share": 0.5, "lambda_": 1.0},
    {"share": 0.8, "lambda_": 1.0},
    {"share": 0.8, "steps": 2, "step_size": 0.06},
)
"""What was tried for aeda_robust_warm, over two seeds, on held-out digits. With λ as in chapter 05, so that CHEAPER
differs in the attack's start alone, the share of 0.8 has the best sum of ranks in bACC and bias."""


class SensitivityParameters(cmnist.CMNISTParameters):
    """What chapter 10 can be told: the base run from which one choice at a time departs."""

    changes: ClassVar = {
        "smoke": {"precision": "auto", "seeds": 1, "n_train": 256, "n_validation": 100, "extremes": True, "shorter": 6},
        "laptop": {"precision": "auto", "seeds": 1, "extremes": True, "shorter": 5},
    }

    seeds: int = Field(2, ge=1, le=100, description="runs of each value, with seeds 0, 1, …")
    n_train: int = Field(2000, ge=1, description="training digits")
    n_validation: int = Field(500, ge=1, description="training digits held out")
    epochs: int = Field(12, ge=1, description="passes over the training images")
    extremes: bool = Field(False, description="only the first and the last value of each choice, beside ours")
    shorter: int = Field(1, ge=1, description="divides all lengths of training and the sizes of training sets")


def specs(p: SensitivityParameters) -> list[RunSpec]:
    """The runs behind every choice's plot; those at the base are shared."""
    found = {spec.id: spec for choice in CHOICES.values() for own in plan(p, choice).values() for spec in own}
    return list(found.values())


def cheaper_plan(p: SensitivityParameters) -> dict[str, list[RunSpec]]:
    """By name in CHEAPER: the runs, one a seed, as in chapter 05 at the same profile."""
    digits = _digits(p)
    plans = {name: _with(cmnist.specs(digits, (method,)), options) for name, (method, options) in CHEAPER.items()}
    return plans | {FRESH: plans[FRESH][:FRESH_SEEDS]}


def cheaper_specs(p: SensitivityParameters) -> list[RunSpec]:
    """The runs of `cheaper_plan`."""
    return [spec for own in cheaper_plan(p).values() for spec in own]


def tuning(p: SensitivityParameters) -> list[RunSpec]:
    """Every setting of WARM_TUNING, half as long as in chapter 05, never tested on the test set."""
    digits = _digits(p)
    digits = digits.model_copy(update={"epochs": digits.epochs // 2, "seeds": 2})
    return [
        spec.model_copy(update={"tested_on": "validation", "seed": cmnist.TUNING_SEED + spec.seed})
        for options in WARM_TUNING
        for spec in _with(cmnist.specs(digits, ("aeda_robust_warm",)), options)
    ]


tuned = partial(common.recorded, tuning, SensitivityParameters)
"""The committed records of `tuning`."""


def cheaper(p: SensitivityParameters) -> dict[str, list[RunRecord]]:
    """By name in CHEAPER: the records of `cheaper_plan`."""
    found = iter(runs.run_all(cheaper_specs(p), profile=p.profile, data_root=p.data_root, label="cheaper"))
    return {name: list(islice(found, len(own))) for name, own in cheaper_plan(p).items()}


def plan(p: SensitivityParameters, choice: Choice) -> dict[tuple[str, str], list[RunSpec]]:
    """By method and value of `choice`: the runs, one a seed."""
    names = list(choice.values)
    if p.extremes:
        names = [name for name in names if name in (names[0], choice.ours, names[-1])]
    methods = ("original", "aeda_robust") if choice.original else ("aeda_robust",)
    return {(method, name): _varied(p, method, choice.values[name]) for method in methods for name in names}


def records(p: SensitivityParameters) -> dict[str, dict[tuple[str, str], list[RunRecord]]]:
    """By choice, then by method and value, the chapter's records: looked up, and trained where `p` is live."""
    asked = specs(p)
    trained = runs.run_all(asked, profile=p.profile, data_root=p.data_root, label="sensitivity")
    found = {spec.id: record for spec, record in zip(asked, trained, strict=True)}
    return {
        name: {key: [found[spec.id] for spec in own] for key, own in plan(p, choice).items()}
        for name, choice in CHOICES.items()
    }


def _digits(p: SensitivityParameters) -> cmnist.CMNISTParameters:
    return cmnist.CMNISTParameters.load(p.profile, data_root=p.data_root, precision=p.precision)


def _with(specs: list[RunSpec], options: dict[str, Any]) -> list[RunSpec]:
    return [spec.model_copy(update={"options": {**spec.options, **options}}) for spec in specs]


def _varied(p: SensitivityParameters, method: str, change: dict[str, Any]) -> list[RunSpec]:
    fields = {k: v for k, v in change.items() if k in type(p).model_fields}
    lengths = {"n_train": p.n_train, "epochs": p.epochs} | fields
    fields |= {name: max(1, lengths[name] // p.shorter) for name in ("n_train", "epochs")}
    extra = {k: v for k, v in change.items() if k not in type(p).model_fields}
    return [
        spec.model_copy(update={"options": {**spec.options, **extra}})
        for spec in cmnist.specs(p.model_copy(update=fields), (method,))
    ]


CHAPTER = Chapter("sensitivity", "10_assumptions.ipynb", SensitivityParameters, (specs, cheaper_specs), tuning)
