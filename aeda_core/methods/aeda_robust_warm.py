"""AEDA with an attack that goes on from its earlier examples: a cheaper `aeda_robust`, and ours."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.aeda_robust import AEDARobust
from aeda_core.methods.learner import Plan
from aeda_core.models import Classifier


class AEDARobustWarm(AEDARobust):
    """`aeda_robust_warm`, ours: as `aeda_robust`, and an attack goes on from the example that it made the time before
    (cf. ATTA [Zheng et al. 2020]), so that one step is enough; it stays within ε of the original (assumption: warm).

    With a `share`, drawn anew every epoch, only those images are attacked, and their examples stand in for them;
    without one, training is on all originals and all examples, Eq. (4), at twice the cost.
    """

    name, label, order, ours = "aeda_robust_warm", "AEDA_robust, warm-started (ours)", 110, True

    class Options(AEDARobust.Options):
        steps: int = Field(1, ge=1, description="steps of the attack")
        reset: int | None = Field(
            None, ge=1, description="epochs after which the attack begins at the originals again; None: never"
        )
        share: float | None = Field(
            None,
            gt=0,
            lt=1,
            description="of the images, those that their examples replace in an epoch; None: all of both",
        )

    options: Options

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.replaced = torch.zeros_like(self.data.bias, dtype=torch.bool)

    def starting_points(self, index: Tensor) -> Tensor:
        return self.mirror(self.examples[index], index)

    def epoch(self, number: int) -> Tensor:
        reset = self.options.reset
        if reset is not None and self.attacks_in(number) and (number - self.options.start - 1) % reset == 0:
            self.examples = self.data.images.clone()
        return super().epoch(number)

    def draw_epoch(self) -> Tensor:
        order = super().draw_epoch()
        if self.options.share is not None:
            self.replaced = self.learner.shuffled(len(self.data)) < self.options.share * len(self.data)
        return order

    def renew(self, classifier: Classifier, index: Tensor) -> None:
        super().renew(classifier, index if self.options.share is None else index[self.replaced[index]])

    def both(self, index: Tensor) -> tuple[Tensor, Tensor]:
        if self.options.share is None or not self.has_examples:
            return super().both(index)
        seen = torch.where(self.replaced[index].view(-1, 1, 1, 1), self.examples[index], self.data.images[index])
        return self.mirror(seen, index), index
