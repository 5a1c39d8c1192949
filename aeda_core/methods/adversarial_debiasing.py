"""Adversarial debiasing by gradient reversal [Ganin and Lempitsky 2015; Sec. 4.1]."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from aeda_core.methods.base import Method
from aeda_core.models import bias_loss, pixels


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


class AdversarialDebiasing(Method):
    """`adversarial_debiasing`: h_b learns the bias from f, f learns to give it nothing to learn from.

    The factor on the reversed gradient grows from 0 to `strength` as 2 / (1 + exp(−10 p)) − 1 with the progress p in
    [0, 1], the schedule of Ganin and Lempitsky.
    """

    name, label, order = "adversarial_debiasing", "Adversarial debiasing", 40
    divisible = True

    class Options(Method.Options):
        strength: float = Field(1.0, ge=0, description="of the reversed gradient of adversarial debiasing")

    options: Options

    def parameters(self) -> Iterable[nn.Parameter]:
        return self.model.parameters()

    def loss(self, batch: Tensor) -> Tensor:
        growth = 2 / (1 + math.exp(-10 * self.learner.progress)) - 1
        features = self.model.features(pixels(self.images(batch)))
        bias_logits = self.model.bias_head(_Reversal.apply(features, self.options.strength * growth))
        target_logits = self.model.target_head(features)
        return self.target_loss(target_logits, batch) + bias_loss(bias_logits, self.data.bias[batch])
