"""Switched labels as the only training data: the experiment of Sec. 2.2, Fig. 3. Not a debiasing method.

Its data have one task of two classes, which is trained, attacked and switched; in the paper it is gender.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from aeda_core.attack import Attack
from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.aeda import hardening, trained_source
from aeda_core.methods.learner import Plan
from aeda_core.methods.original import Original
from aeda_core.models import Classifier, target_loss


class HardSwitch(Original):
    """`hard_switch`: the originals, each with the label that it does not have."""

    def target_loss(self, logits: Tensor, batch: Tensor) -> Tensor:
        return target_loss(logits, 1 - self.data.targets[batch])


class AdversarialSwitch(HardSwitch):
    """`adversarial_switch`: no originals, but one adversarial example of each, with the label it was attacked towards.

    source_epochs: how long the classifier that is attacked is trained
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
        super().__init__(model, data, plan, seed)
        self.attack = Attack(**{**options, "lambda_": 1.0})
        self.source_plan = replace(plan, epochs=source_epochs)
        self.hardening = hardening(self.attack.norm, source_radius)
        self.seed = seed
        self.examples: Tensor | None = None

    def epoch(self, number: int) -> Tensor:
        if self.examples is None:
            # the task that is trained here is the one whose head a Source is attacked by
            both = replace(self.data, bias=self.data.targets, bias_names=self.data.target_names)
            source = trained_source(self.model, both, self.source_plan, self.seed, self.hardening)
            self.examples = self.attack.on_uint8(source, both.images, 1 - both.bias, both.targets)
        return super().epoch(number)

    def images(self, index: Tensor) -> Tensor:
        return self.oriented(self.examples[index], index)

    def state_dict(self) -> dict:
        return super().state_dict() | {"examples": self.examples}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.examples = state["examples"].to(self.data.images.device)
