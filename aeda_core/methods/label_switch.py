"""Adversarial examples as the only training data: the experiment of Sec. 2.2, Fig. 3. Not a debiasing method.

Its data have one task, the one that the method's classifiers are trained for and that is attacked: in the paper gender.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from aeda_core.attack import Attack
from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.learner import Plan
from aeda_core.methods.original import Original
from aeda_core.models import Classifier, bias_loss, pixels, redrawn


class HardSwitch(Original):
    """`hard_switch`: every image with the label that it does not have."""

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int) -> None:
        super().__init__(model, data, plan, seed)
        self.switched = 1 - self.data.targets

    def loss(self, batch: Tensor) -> Tensor:
        return bias_loss(self.model.target_head(self.model.features(pixels(self.images(batch)))), self.switched[batch])


class RobustSource(Original):
    """A classifier of the switched task in its bias head, adversarially trained [Madry et al. 2018] where `attack` is
    given: on the examples that are worst for it as it is, in place of the originals."""

    def __init__(
        self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, attack: Attack | None = None
    ) -> None:
        super().__init__(model, data, plan, seed)
        self.attack = attack

    def parameters(self) -> Iterable[nn.Parameter]:
        return self.model.parameters()

    def loss(self, batch: Tensor) -> Tensor:
        images, labels = pixels(self.images(batch)), self.data.targets[batch]
        if self.attack is not None:
            images = self.attack(self.model, images, 1 - labels)
        return bias_loss(self.model.bias_head(self.model.features(images)), labels)


class AdversarialSwitch(HardSwitch):
    """`adversarial_switch`: nothing but adversarial examples, each with the label that it was attacked towards.

    source_epochs: how long the attacked classifier is trained
    source_radius: ε of that classifier's own adversarial training; 0 trains it on the originals
    The rest of `options` are those of `attack.Attack`; λ is 1, for there is no second task.
    """

    def __init__(
        self,
        model: Classifier,
        data: BiasedImages,
        plan: Plan,
        seed: int,
        source_epochs: int = 10,
        source_radius: float = 0.0,
        **options: object,
    ) -> None:
        if source_radius < 0:
            raise ValueError(f"source_radius is {source_radius}; the radius of adversarial training is 0 or more.")
        super().__init__(model, data, plan, seed)
        self.attack = Attack(**{**options, "lambda_": 1.0})
        self.source_plan = Plan(**{**vars(plan), "epochs": source_epochs})
        self.source_radius, self.seed = source_radius, seed
        self.examples: Tensor | None = None

    def epoch(self, number: int) -> Tensor:
        if self.examples is None:
            self.examples = self.attack.on_uint8(self.source(), self.data.images, self.switched, self.switched)
        return super().epoch(number)

    def source(self) -> Classifier:
        """The trained classifier that is attacked."""
        harden = None
        if self.source_radius:
            share = self.source_radius / self.attack.epsilon
            harden = Attack(
                **{**vars(self.attack), "epsilon": self.source_radius, "step_size": share * self.attack.step_size}
            )
        source = RobustSource(redrawn(self.model, self.seed), self.data, self.source_plan, self.seed, harden)
        for number in range(1, self.source_plan.epochs + 1):
            source.epoch(number)
        return source.learner.averaged.module

    def images(self, index: Tensor) -> Tensor:
        return self.oriented(self.examples[index], index)

    def state_dict(self) -> dict:
        return super().state_dict() | {"examples": self.examples}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.examples = state["examples"].to(self.data.images.device)
