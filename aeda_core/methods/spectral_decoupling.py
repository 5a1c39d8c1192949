"""Spectral decoupling [Pezeshki et al. 2021]."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from aeda_core.methods.base import Method


class SpectralDecoupling(Method):
    """`spectral_decoupling`: L_target with an L2 penalty on the logits, so that a feature that already explains a label
    does not starve the others of gradient [Pezeshki et al. 2021]. It is told no bias label.

    The authors take the penalty in place of weight decay; here the plan's weight decay, which is that of all methods,
    stays. Their code knows two classes, with one logit between them, and gives each class a γ of its own on faces. Here
    all logits have the same γ.
    """

    name, label, order, ours = "spectral_decoupling", "Spectral decoupling", 190, True
    divisible = True

    class Options(Method.Options):
        penalty: float = Field(0.1, ge=0, description="λ: the loss grows by λ/2 times the squared logits")
        centre: float = Field(0.0, description="γ, the logit that costs nothing")

    options: Options

    def target_loss(self, logits: Tensor, batch: Tensor) -> Tensor:
        """Of classes the penalty is on the squared length of an image's logits, of attributes on each logit."""
        squares = (logits - self.options.centre) ** 2
        size = squares.sum(1).mean() if self.data.targets.ndim == 1 else squares.mean()
        return super().target_loss(logits, batch) + self.options.penalty / 2 * size
