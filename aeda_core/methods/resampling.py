"""Under-sampling [Buolamwini and Gebru 2018; Zhao et al.]: throw away until the bias values are even."""

from __future__ import annotations

import torch
from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.errors import Problem
from aeda_core.methods.original import Original


class EmptyGroup(Problem):
    """A method that balances the groups of the training set cannot, for one of them is empty."""


def require_every_group(method: str, data: BiasedImages) -> None:
    """Raise EmptyGroup unless every pair of target and bias value has a training image."""
    if empty := data.empty_groups():
        raise EmptyGroup(
            f"{method} balances the groups that the training set has, and {len(empty)} of its "
            f"{data.group_sizes().numel()} groups are empty, '{empty[0]}' the first; "
            "use a method that makes new images, such as aeda_robust, or data in which every group occurs."
        )


class Undersampling(Original):
    """`undersampling`: of every target task, as many images of each bias value as of its rarest one (Sec. 4.1).

    An image that one attribute drops may be needed for another, so with attributes the dropping is done in the loss: a
    label that is dropped weighs 0, and the others what they weighed before.
    """

    def select(self, data: BiasedImages, seed: int) -> BiasedImages:
        require_every_group("undersampling", data)
        return data[self.balanced(data, data.targets, seed)] if data.targets.ndim == 1 else data

    def weigh(self, seed: int) -> Tensor | None:
        if self.data.targets.ndim == 1:
            return super().weigh(seed)
        kept = torch.zeros_like(self.data.targets)
        for attribute, targets in enumerate(self.data.targets.T):
            kept[self.balanced(self.data, targets, seed), attribute] = 1
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
