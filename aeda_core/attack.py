"""Targeted I-FGSM [Kurakin et al. 2017]: Eq. (2) and Eq. (3) of Sec. 3.2.

ε and step sizes are in units of [0, 1] pixels. Nothing of the model is changed: mode, gradients and flags stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from aeda_core.errors import Problem, require_number
from aeda_core.models import Classifier, frozen, pixels, target_loss

CHUNK = 64
"""Images attacked at a time: few enough for their activations to stay in a CPU core's cache."""

CHUNK_ON_GPU = 1024
"""The same on a GPU, where they are to keep it busy."""


class LInf:
    """Every pixel within ε of the original; steps along the sign of the gradient. Both in place, so that
    a step needs little memory of its own."""

    @staticmethod
    def direction(gradient: Tensor) -> Tensor:
        return gradient.sign_()

    @staticmethod
    def project(images: Tensor, centre: Tensor, epsilon: float) -> Tensor:
        return images.clamp_(centre - epsilon, centre + epsilon)


class L2:
    """The perturbation's Euclidean length at most ε; steps along the normalised gradient."""

    @staticmethod
    def direction(gradient: Tensor) -> Tensor:
        unit: Tensor = gradient / gradient.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        return unit

    @staticmethod
    def project(images: Tensor, centre: Tensor, epsilon: float) -> Tensor:
        delta = images - centre
        length = delta.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        inside: Tensor = centre + delta * (epsilon / length).clamp_max(1)
        return inside


Norm = Literal["linf", "l2"]
NORMS: dict[Norm, type[LInf] | type[L2]] = {"linf": LInf, "l2": L2}


@dataclass(frozen=True)
class Attack:
    """I-FGSM towards another bias value: `Attack(...)(model, images, towards, targets)` (assumption: attack-budget).

    norm:      `"linf"` or `"l2"`, what ε bounds
    epsilon:   radius of the ball around the original, in [0, 1] pixel units
    step_size: length of a step in that norm
    steps:     number of steps
    lambda_:   λ of Eq. (3): 1 attacks the bias task alone (Eq. 2), less also holds on to the target label

    The defaults are the book's settings for C-MNIST; the options of methods and the parameters of chapters take them
    from here.
    """

    norm: Norm = "linf"
    epsilon: float = 0.3
    step_size: float = 0.12
    steps: int = 5
    lambda_: float = 0.98

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise Problem(f"norm is {self.norm!r}; it is one of {', '.join(NORMS)}.")
        require_number("epsilon", self.epsilon, "the radius of a perturbation is finite and 0 or more", least=0)
        require_number("step_size", self.step_size, "a step is finite and longer than 0", above=0)
        require_number("steps", self.steps, "an attack takes a whole number of steps, at least 1", least=1, whole=True)
        require_number("lambda_", self.lambda_, "it weighs two losses and lies in [0, 1]", least=0, most=1)

    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        towards: Tensor,
        targets: Tensor | None = None,
        start: Tensor | None = None,
    ) -> Tensor:
        """X_adv of Eq. (3), or of Eq. (2) where λ is 1.

        images:  float32 (N, 3, H, W) in [0, 1]
        towards: int64 (N,), b_attack, the bias value to be seen
        targets: the target labels to be kept; needed where λ < 1
        start:   where the first step is taken from, of the shape and range of `images` and within ε of them; by default
                 the images themselves. An earlier example saves steps [Zheng et al. 2020]
        Returns float32 (N, 3, H, W) in [0, 1], within ε of `images`.
        """
        if self.lambda_ < 1 and targets is None:
            raise Problem(f"lambda_ is {self.lambda_}: Eq. (3) keeps the target labels, so pass targets.")

        def eq3(x_adv: Tensor) -> Tensor:
            target_logits, bias_logits = model(x_adv)  # one pass through f for both terms
            loss = self.lambda_ * F.cross_entropy(bias_logits, towards)
            if self.lambda_ < 1 and targets is not None:
                loss = loss + (1 - self.lambda_) * target_loss(target_logits, targets)
            return loss

        with frozen(model):
            return self.descend(eq3, images, start)

    def within(self, epsilon: float) -> Attack:
        """The same attack within another radius, its steps longer or shorter in proportion."""
        return replace(self, epsilon=epsilon, step_size=self.step_size * epsilon / self.epsilon)

    def descend(self, loss: Callable[[Tensor], Tensor], images: Tensor, start: Tensor | None = None) -> Tensor:
        """arg min of `loss` over the ball around `images`, by signed or normalised gradient steps from `start`."""
        norm = NORMS[self.norm]
        x_adv = images if start is None else start
        for _ in range(self.steps):
            x_adv = x_adv.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(loss(x_adv), x_adv)
            with torch.no_grad():
                x_adv = x_adv - norm.direction(gradient).mul_(self.step_size)
                x_adv = norm.project(x_adv, images, self.epsilon).clamp_(0, 1)
        return x_adv.detach()

    def on_uint8(
        self, model: Classifier, images: Tensor, towards: Tensor, targets: Tensor, start: Tensor | None = None
    ) -> Tensor:
        """The same for uint8 images, in chunks. The perturbation is cut, not rounded, to whole grey levels, so that
        what is stored is an image and stays inside the ball.

        Raises Problem if steps from a `start` are so short that the cut would take them back.
        """
        if start is not None and self.norm == "linf" and self.step_size < 1 / 255:
            raise Problem(
                f"step_size is {self.step_size}; from an earlier example it is at least 1/255, for what is less than a "
                "grey level would be lost from one time to the next."
            )
        chunks = []
        given = (images, towards, targets, images if start is None else start)
        size = CHUNK if images.device.type == "cpu" else CHUNK_ON_GPU
        for x, b, t, s in zip(*(part.split(size) for part in given), strict=True):
            x_adv = self(model, pixels(x), b, t, None if start is None else pixels(s))
            # 1e-3 of a grey level forgives float error where ε is a whole number of them
            levels = ((x_adv * 255 - x).abs() + 1e-3).floor() * (x_adv * 255 - x).sign()
            chunks.append((x + levels).to(torch.uint8))
        return torch.cat(chunks)
