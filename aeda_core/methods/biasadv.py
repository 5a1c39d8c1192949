"""Bias-adversarial augmentation [Lim et al. 2023], the direct successor of AEDA."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.aeda import BiasAttackOptions
from aeda_core.methods.biased import BesideBiased
from aeda_core.methods.learner import Plan
from aeda_core.models import Classifier, frozen, pixels, target_loss


class BiasAdv(BesideBiased):
    """`biasadv`: training on originals and on examples that attack the predictions of a biased classifier without
    ruining those of the debiased one [Lim et al. 2023].

    It is told no bias label: the attack leads away from the target label, in the eyes of a classifier that sees little
    but the bias. No code of its authors was found, so these are our choices: each batch is attacked just before it is
    trained on, by AEDA's attack, and all examples count alike.
    """

    name, label, order, ours = "biasadv", "BiasAdv", 220, True

    class Options(BiasAttackOptions, BesideBiased.Options):
        keep: float = Field(1.0, ge=0, description="λ, weight of the debiased classifier's loss in the attack")
        weight: float = Field(1.0, ge=0, description="β, weight of the examples in the loss; 0 is plain training")

    options: Options

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.attack = self.options.attack()

    def loss(self, batch: Tensor) -> Tensor:
        """L(x) + β · L(x_adv), over 1 + β."""
        images, weight = pixels(self.images(batch)), self.options.weight
        examples = self.bias_adversarial(images, batch) if weight else images[:0]
        self.biased_step(images, batch)
        logits = self.model.target_head(self.model.features(torch.cat([images, examples])))
        loss = self.target_loss(logits[: len(batch)], batch)
        return (loss + weight * self.target_loss(logits[len(batch) :], batch)) / (1 + weight) if weight else loss

    def bias_adversarial(self, images: Tensor, batch: Tensor) -> Tensor:
        """arg max over the ball around `images` of L(g(x)) − λ · L(f(x)), g the biased classifier, f the debiased."""
        targets = self.data.targets[batch]

        def negative(x_adv: Tensor) -> Tensor:
            attacked, kept = (
                target_loss(model.target_head(model.features(x_adv)), targets)
                for model in (self.biased.model, self.model)
            )
            return self.options.keep * kept - attacked

        with frozen(self.biased.model), frozen(self.model):
            return self.attack.descend(negative, images)
