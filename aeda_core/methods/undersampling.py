"""Under-sampling [Buolamwini and Gebru 2018; Zhao et al.]: throw away until the bias values are even."""

from __future__ import annotations

import torch
from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.base import Method
from aeda_core.methods.needs import EveryGroup


class Undersampling(Method):
    """`undersampling`: of every target task, as many images of each bias value as of its rarest one (Sec. 4.1).

    An image that one attribute drops may be needed for another, so with attributes the dropping is done in the loss: a
    label that is dropped weighs 0, and the others what they weighed before.
    """

    name, label, order = "undersampling", "Under-sampling", 20
    needs = (EveryGroup(),)
    divisible = True

    def select(self, data: BiasedImages) -> BiasedImages:
        return data[self.balanced(data, data.targets, self.seed)] if data.targets.ndim == 1 else data

    def weigh(self) -> Tensor | None:
        if self.data.targets.ndim == 1:
            return super().weigh()
        kept = torch.zeros_like(self.data.targets)
        for attribute, targets in enumerate(self.data.targets.T):
            kept[self.balanced(self.data, targets, self.seed), attribute] = 1
        return kept * self.task_weights(self.data.group_sizes().sum(1))

    @staticmethod
    def balanced(data: BiasedImages, targets: Tensor, seed: int) -> Tensor:
        """Indices of the images that are kept for a target task with labels `targets` (N,)."""
        generator = torch.Generator().manual_seed(seed)
        kept = []
        for target in range(int(targets.max()) + 1):
            groups = [((targets == target) & (data.bias == b)).nonzero().flatten() for b in range(len(data.bias_names))]
            rarest = min(map(len, groups))
            kept += [
                group[torch.randperm(len(group), generator=generator)[:rarest].to(group.device)] for group in groups
            ]
        return torch.cat(kept)
