"""Adversarial example-based data augmentation: Sec. 3.2 (pre), 3.3 (online) and 3.4 (robust) of the paper.

All of them train the target task on the originals and on X_adv, one adversarial example for each original, which a
bias classifier takes for another bias value and which keeps its target label. They differ in whom they attack, how
often, and in what the bias head is trained on; each has a file of its own.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from aeda_core.attack import Attack
from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.augmented import Augmented
from aeda_core.methods.base import Method
from aeda_core.methods.learner import Plan
from aeda_core.models import Classifier


class BiasAttackOptions(Method.Options):
    """The attack on the bias head alone, Eq. (2)."""

    norm: Literal["linf", "l2"] = Field(Attack.norm, description="what ε bounds: linf or l2")
    epsilon: float = Field(Attack.epsilon, ge=0, description="ε, the radius of the attack, in [0, 1] pixel units")
    step_size: float = Field(Attack.step_size, gt=0, description="length of a step of the attack, in the same units")
    steps: int = Field(Attack.steps, ge=1, description="steps of the attack")

    def attack(self) -> Attack:
        """The attack with these settings."""
        return Attack(self.norm, self.epsilon, self.step_size, self.steps, lambda_=1.0)


class AEDA(Augmented):
    """What the variants share: an attack by Eq. (3), and target training on originals and examples by Eq. (4)."""

    class Options(BiasAttackOptions):
        """The attack on the bias head that also holds on to the target label, Eq. (3)."""

        lambda_: float = Field(
            Attack.lambda_, ge=0, le=1, description="λ of Eq. (3); 1 attacks the bias task alone, Eq. (2)"
        )

        def attack(self) -> Attack:
            return Attack(self.norm, self.epsilon, self.step_size, self.steps, self.lambda_)

    options: Options

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.attack = self.options.attack()

    def adversarial_attack(
        self, classifier: Classifier, images: Tensor, index: Tensor, start: Tensor | None = None
    ) -> Tensor:
        """X_adv of Eq. (3), uint8, against `classifier`: `images` are the training images `index`, as they are seen."""
        return self.attack.on_uint8(classifier, images, self.attacked[index], self.data.targets[index], start)

    def renew(self, classifier: Classifier, index: Tensor) -> None:
        """X_adv ← X_ori, for the training images `index`."""
        x_adv = self.adversarial_attack(classifier, self.images(index), index, self.starting_points(index))
        self.examples[index] = self.mirror(x_adv, index)
        self.has_examples = True

    def starting_points(self, index: Tensor) -> Tensor | None:
        """Where the attack on the training images `index` begins, as they are seen; None: at the images."""
        return None
