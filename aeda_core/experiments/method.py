"""Chapter 04: the method in the plane, where an image is a point and the attack can be watched.

Everything is computed when the chapter runs, in seconds, whatever the profile; there are no runs to record.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from scipy import stats
from torch import Tensor, nn

from aeda_core import metrics
from aeda_core.attack import Attack
from aeda_core.datasets.base import BiasedImages, other_values
from aeda_core.experiments.chapter import Chapter
from aeda_core.methods import METHODS, Method, Plan
from aeda_core.models import Classifier, frozen, pixels
from aeda_core.profiles import Parameters

LAMBDAS = tuple(i / 20 for i in range(21))
"""What λ can be set to in Fig. 5, besides the chapter's own."""

TEST_SEED = 10_000
"""Of the points that are tested on, plus the seed of the run; the training points have seeds 0, 1, …"""

RESOLUTION = 81
"""Points along a side of the grid on which the decision lines are found."""


class MethodParameters(Parameters):
    """What chapter 04 can be told; no profile changes more than the number of seeds."""

    changes: ClassVar = {"smoke": {"seeds": 1}, "laptop": {"seeds": 3}}

    n_train: int = Field(200, ge=4, description="training points")
    n_test: int = Field(2000, ge=4, description="test points")
    correlation: float = Field(0.95, ge=0, le=1, description="how often bias and target go together in training")
    target_gap: float = Field(0.26, ge=0, le=0.6, description="between the two classes, from left to right")
    bias_gap: float = Field(0.32, ge=0, le=0.6, description="between the two bias values, from bottom to top")
    noise: float = Field(0.07, gt=0, description="standard deviation of a cloud")
    hidden: int = Field(16, ge=1, description="features of f")
    epochs: int = Field(20, ge=1, description="passes over the training images")
    batch_size: int = Field(20, ge=1, description="originals in a batch")
    learning_rate: float = Field(0.02, gt=0, description="of f and h_t")
    norm: Literal["linf", "l2"] = Field("l2", description="what ε bounds: linf or l2")
    epsilon: float = Field(0.35, ge=0, description="ε, the radius of the attack, in [0, 1] pixel units")
    step_size: float = Field(0.044, gt=0, description="length of a step of the attack, in the same units")
    steps: int = Field(10, ge=1, description="steps of the attack")
    lambda_: float = Field(0.6, ge=0, le=1, description="λ of Eq. (3); 1 attacks the bias task alone, Eq. (2)")
    start: int = Field(5, ge=0, description="epochs on the originals alone before the first attack")


@dataclass(frozen=True)
class Plane:
    """A classifier of both tasks and the points that it was trained on.

    points:  float (N, 2) in [0, 1]: from left to right the target, from bottom to top the bias
    targets, bias: int (N,), 0 or 1
    examples: float (N, 2), the adversarial example of each point that training used last; None without any
    margins: for `target` and `bias` float (R, R), how far a task's second logit is above its first, at a grid's points;
             the first axis goes from bottom to top. The decision line is where it is 0
    """

    points: np.ndarray
    targets: np.ndarray
    bias: np.ndarray
    examples: np.ndarray | None
    margins: dict[str, np.ndarray]


@dataclass(frozen=True)
class Perturbation:
    """Every training point under the attack of Eq. (3) at one λ; at 1 it is that of Eq. (2).

    paths:   float (steps + 1, N, 2), from the original to its example
    flipped: share of the examples in which h_b sees the other bias value
    kept:    share of them in which h_t sees the original's label
    both:    share of them of which both are true, and which so are what Sec. 3.2 asks for
    """

    lambda_: float
    paths: np.ndarray
    flipped: float
    kept: float
    both: float


@dataclass(frozen=True)
class Outcome:
    """What a training with one seed came to, tested on points of all four groups alike; λ is None without attack."""

    method: str
    lambda_: float | None
    seed: int
    bacc: float
    bias: float


def drawn(p: MethodParameters, n: int, correlation: float, seed: int) -> BiasedImages:
    """n points as images of one pixel with two channels, half of them of each class.

    The first channel tells the class, the second the bias value, and both agree with probability `correlation`.
    """
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(n) % 2
    bias = torch.where(torch.rand(n, generator=generator) < correlation, targets, other_values(targets, 2))
    centres = 0.5 + torch.stack([(targets - 0.5) * p.target_gap, (bias - 0.5) * p.bias_gap], dim=1)
    points = centres + p.noise * torch.randn(n, 2, generator=generator)
    images = (points.clamp(0, 1) * 255).round().to(torch.uint8).view(n, 2, 1, 1)
    return BiasedImages(images, targets, bias, torch.arange(n), ("left", "right"), ("low", "high"))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Tensors as small as these cost threads more to share than to compute; and one adds up the same everywhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@_one_thread()
def trained(p: MethodParameters, method: str, seed: int = 0, **options: object) -> Method:
    """A method of the library after all its epochs on points of the training set; `options` are its own."""
    data = drawn(p, p.n_train, p.correlation, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        extractor = nn.Sequential(nn.Flatten(), nn.Linear(2, p.hidden), nn.Tanh())
        model = Classifier(extractor, p.hidden, n_targets=2)
    plan = Plan(epochs=p.epochs, batch_size=p.batch_size, learning_rate=p.learning_rate, averaging=0.9)
    learner = METHODS[method](model, data, plan, seed, **options)
    for number in range(1, p.epochs + 1):
        learner.epoch(number)
    return learner


def online(p: MethodParameters, **changes: object) -> dict[str, object]:
    """The options of `aeda_online` and `aeda_robust`."""
    attack = {"norm": p.norm, "epsilon": p.epsilon, "step_size": p.step_size, "steps": p.steps, "lambda_": p.lambda_}
    return {**attack, "start": p.start, "bias_learning_rate": p.learning_rate, **changes}


def before(p: MethodParameters) -> Method:
    """`aeda_online` that never comes to attack: f and h_t as plain training leaves them, with h_b on top by Eq. (5)."""
    return trained(p, "aeda_online", **online(p, start=p.epochs))


def after(p: MethodParameters) -> Method:
    """`aeda_online` with the same points and first weights."""
    return trained(p, "aeda_online", **online(p))


def plane(method: Method) -> Plane:
    """What `method` was trained on and the decision lines that it came to."""
    examples = method.latest_examples(torch.arange(len(method.data)))
    axis = torch.linspace(0, 1, RESOLUTION)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).view(-1, 2, 1, 1)
    with frozen(method.model), torch.no_grad():
        logits = dict(zip(("target", "bias"), method.model(grid), strict=True))
    return Plane(
        points=_flat(pixels(method.data.images)),
        targets=method.data.targets.numpy(),
        bias=method.data.bias.numpy(),
        examples=None if examples is None else _flat(pixels(examples)),
        margins={task: (z[:, 1] - z[:, 0]).view(RESOLUTION, RESOLUTION).numpy() for task, z in logits.items()},
    )


@_one_thread()
def perturbations(p: MethodParameters, method: Method) -> list[Perturbation]:
    """The attack of the library on every training point of `method`, with the way that it takes, at LAMBDAS and p's."""
    lambdas = sorted({*LAMBDAS, p.lambda_})
    attacks = (Attack(p.norm, p.epsilon, p.step_size, p.steps, lambda_) for lambda_ in lambdas)
    return [_perturbation(method.model, method.data, attack) for attack in attacks]


def _perturbation(model: Classifier, data: BiasedImages, attack: Attack) -> Perturbation:
    # I-FGSM asks the model once a step, so what the model is asked is the way there
    path: list[Tensor] = []
    listening = model.register_forward_pre_hook(lambda _, inputs: path.append(inputs[0].detach()))
    try:
        x_adv = attack(model, pixels(data.images), data.other_bias(), data.targets)
    finally:
        listening.remove()
    with frozen(model), torch.no_grad():
        target_logits, bias_logits = model(x_adv)
    flipped, kept = bias_logits.argmax(1) != data.bias, target_logits.argmax(1) == data.targets
    shares = (float(share.float().mean()) for share in (flipped, kept, flipped & kept))
    return Perturbation(attack.lambda_, np.stack([_flat(x) for x in (*path, x_adv)]), *shares)


def outcomes(p: MethodParameters) -> list[Outcome]:
    """Plain training, `aeda_online` and `aeda_robust`, the two at λ = 1 and at the chapter's λ, with each seed."""
    compared = [("original", None)]
    compared += [(name, lam) for name in ("aeda_online", "aeda_robust") for lam in dict.fromkeys((1.0, p.lambda_))]
    found = []
    for seed in range(p.seeds):
        test = drawn(p, p.n_test, 0.5, TEST_SEED + seed)
        for name, lambda_ in compared:
            options = {} if lambda_ is None else online(p, lambda_=lambda_)
            counts = metrics.confusion(trained(p, name, seed, **options).learner.averaged.module, test)
            found.append(Outcome(name, lambda_, seed, metrics.bacc(counts), metrics.model_bias(counts)))
    return found


def ceiling(p: MethodParameters) -> float:
    """Accuracy in percent of the best vertical line: clouds that overlap cannot be told apart without an error."""
    return 100 * float(stats.norm.cdf(p.target_gap / 2 / p.noise))


def _flat(images: Tensor) -> np.ndarray:
    return images.view(len(images), 2).numpy()


CHAPTER = Chapter("method", "04_method.ipynb", MethodParameters)
