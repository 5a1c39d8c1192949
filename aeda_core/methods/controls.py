"""Is it the attack that matters? `aeda_robust` with its perturbations spoiled in one respect; not methods against bias.

Each keeps everything else: the examples' number, the size of their perturbations, Eq. (4) and (6).
"""

from __future__ import annotations

import torch
from torch import Tensor

from aeda_core.methods.aeda_robust import AEDARobust
from aeda_core.models import Classifier


class RandomDirection(AEDARobust):
    """`aeda_random`: each value of a perturbation has its size and a random sign, cut to what an image can hold."""

    name, label, order, ours, study = "aeda_random", "AEDA, random signs (control)", 300, True, True

    def adversarial_attack(
        self, classifier: Classifier, images: Tensor, index: Tensor, start: Tensor | None = None
    ) -> Tensor:
        perturbation = super().adversarial_attack(classifier, images, index, start).int() - images.int()
        signs = 2 * torch.randint(2, perturbation.shape, generator=self.learner.generator).to(images.device) - 1
        return (images + signs * perturbation).clamp(0, 255).to(torch.uint8)


class ShuffledPerturbations(AEDARobust):
    """`aeda_shuffled`: each image has the perturbation that was made for another one, cut to what an image can hold."""

    name, label, order, ours, study = "aeda_shuffled", "AEDA, others' perturbations (control)", 310, True, True

    def adversarial_attack(
        self, classifier: Classifier, images: Tensor, index: Tensor, start: Tensor | None = None
    ) -> Tensor:
        perturbation = super().adversarial_attack(classifier, images, index, start).int() - images.int()
        return (images + perturbation[self.learner.shuffled(len(images))]).clamp(0, 255).to(torch.uint8)


class UntrainedBiasHead(AEDARobust):
    """`aeda_untrained`: h_b stays as it was drawn, so the attack is on nothing that was learned about the bias."""

    name, label, order, ours, study = "aeda_untrained", "AEDA, untrained h_b (control)", 320, True, True

    def train_bias_head(self, index: Tensor) -> None:
        """h_b learns nothing."""
