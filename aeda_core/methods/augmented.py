"""Training on originals and on one example of each: what AEDA and CycleGAN share."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.base import Method
from aeda_core.methods.learner import Plan
from aeda_core.methods.needs import AnotherBiasValue, Need
from aeda_core.models import Classifier, pixels


class Augmented(Method):
    """L_target over the originals and the examples, Eq. (4). A subclass says how and when the examples are made.

    examples:     uint8, of the shape of the images: the example of each, or the image itself before there is one
    has_examples: whether they have been made
    attacked:     int64 (N,), b', the bias value that each example is to show: of two the one that the image does not
                  have, of more another one that is drawn once
    """

    needs: ClassVar[tuple[Need, ...]] = (AnotherBiasValue(),)

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.attacked = self.data.other_bias(seed)
        self.examples = self.data.images.clone()
        self.has_examples = False

    def loss(self, batch: Tensor) -> Tensor:
        """Eq. (4): L_target over {X_ori, X_adv}, both with the original's label
        (assumption: eq4)."""
        images, batch = self.both(batch)
        logits = self.model.target_head(self.model.features(pixels(images)))
        return self.target_loss(logits, batch)

    def both(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """{X_ori, X_adv} of the training images `index`, as this epoch sees them, and whose each is; before there are
        examples X_ori alone."""
        images = self.images(index)
        if not self.has_examples:
            return images, index
        return torch.cat([images, self.mirror(self.examples[index], index)]), index.repeat(2)

    def latest_examples(self, index: Tensor) -> Tensor | None:
        return self.examples[index] if self.has_examples else None

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"examples": self.examples, "has_examples": self.has_examples}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.examples, self.has_examples = state["examples"].to(self.data.images.device), state["has_examples"]
