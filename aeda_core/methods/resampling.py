"""Under-sampling [Buolamwini and Gebru 2018; Zhao et al.]: throw away until the bias values are even."""

from __future__ import annotations

import torch

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
    """`undersampling`: of every target class, as many images of each bias value as of its rarest one (Sec. 4.1)."""

    def select(self, data: BiasedImages, seed: int) -> BiasedImages:
        require_every_group("undersampling", data)
        generator = torch.Generator().manual_seed(seed)
        kept = []
        for target, rarest in enumerate(data.group_sizes().min(dim=1).values.tolist()):
            for bias in range(len(data.bias_names)):
                members = ((data.targets == target) & (data.bias == bias)).nonzero().flatten()
                kept.append(members[torch.randperm(len(members), generator=generator)[:rarest].to(members.device)])
        return data[torch.cat(kept)]
