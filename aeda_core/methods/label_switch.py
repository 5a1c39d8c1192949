"""Switched labels as the only training data: the experiment of Sec. 2.2, Fig. 3. Not a debiasing method.

Its data have one task of two classes, which is trained, attacked and switched; in the paper it is gender.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from aeda_core.datasets.base import BiasedImages, other_values
from aeda_core.methods.aeda import BiasAttackOptions
from aeda_core.methods.base import Method
from aeda_core.methods.learner import Plan
from aeda_core.methods.needs import TwoClasses
from aeda_core.methods.source import SourceOptions, trained_source, training_attack
from aeda_core.models import Classifier, target_loss


class HardSwitch(Method):
    """`hard_switch`: the originals, each with the label that it does not have."""

    name, label, order, study = "hard_switch", "Hard switch", 200, True
    needs = (TwoClasses(),)

    def target_loss(self, logits: Tensor, batch: Tensor) -> Tensor:
        return target_loss(logits, other_values(self.data.targets[batch], 2))


class AdversarialSwitch(HardSwitch):
    """`adversarial_switch`: no originals, but one adversarial example of each, with the label it was attacked towards.

    The attack is that of Eq. (2), for there is no second task.
    """

    name, label, order = "adversarial_switch", "ADV switch", 210

    class Options(SourceOptions, BiasAttackOptions):
        """The attack, and the classifier that is attacked."""

    options: Options

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.examples: Tensor | None = None

    def epoch(self, number: int) -> Tensor:
        if self.examples is None:
            self.examples = self.attacked_images()
        return super().epoch(number)

    def attacked_images(self) -> Tensor:
        """An adversarial example of every image, uint8, against a source that is trained for it."""
        attack = self.options.attack()
        # the task that is trained here is the one whose head a Source is attacked by
        both = replace(self.data, bias=self.data.targets, bias_names=self.data.target_names)
        plan = replace(self.plan, epochs=self.options.source_epochs)
        withstood = training_attack(attack.norm, self.options.source_radius)
        source = trained_source(self.model, both, plan, self.seed, withstood)
        return attack.on_uint8(source, both.images, both.other_bias(), both.targets)

    def images(self, index: Tensor) -> Tensor:
        images = self.data.images if self.examples is None else self.examples
        return self.mirror(images[index], index)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"examples": self.examples}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.examples = state["examples"].to(self.data.images.device)
