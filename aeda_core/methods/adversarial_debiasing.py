"""Adversarial debiasing by gradient reversal [Ganin and Lempitsky 2015; Sec. 4.1]."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.learner import Plan
from aeda_core.methods.original import Original
from aeda_core.models import Classifier, bias_loss, pixels


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


class AdversarialDebiasing(Original):
    """`adversarial_debiasing`: h_b learns the bias from f, f learns to give it nothing to learn from.

    strength: factor on the reversed gradient once training is under way; it grows from 0 as
              2 / (1 + exp(−10 p)) − 1 with the progress p in [0, 1], the schedule of Ganin and Lempitsky
    """

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, strength: float = 1.0) -> None:
        if strength < 0:
            raise ValueError(f"strength is {strength}; a gradient is reversed with a factor of 0 or more.")
        self.strength = strength
        super().__init__(model, data, plan, seed)

    def parameters(self) -> Iterable[nn.Parameter]:
        return self.model.parameters()

    def loss(self, batch: Tensor) -> Tensor:
        growth = 2 / (1 + math.exp(-10 * self.learner.progress)) - 1
        features = self.model.features(pixels(self.images(batch)))
        bias_logits = self.model.bias_head(_Reversal.apply(features, self.strength * growth))
        target_logits = self.model.target_head(features)
        return self.target_loss(target_logits, batch) + bias_loss(bias_logits, self.data.bias[batch])
