"""Reweighting [Kamiran and Calders 2012]: count rare images more often."""

from __future__ import annotations

from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.original import Original
from aeda_core.methods.resampling import require_every_group
from aeda_core.models import pixels, target_loss


class Reweighting(Original):
    """`reweighting`: each image weighs P(t) · P(b) / P(t, b), so that target and bias are independent (Sec. 4.1)."""

    def select(self, data: BiasedImages, seed: int) -> BiasedImages:
        require_every_group("reweighting", data)
        sizes = data.group_sizes().double()
        expected = sizes.sum(1, keepdim=True) * sizes.sum(0, keepdim=True) / sizes.sum()
        self.weights = (expected / sizes).float()[data.targets, data.bias]
        return data

    def loss(self, batch: Tensor) -> Tensor:
        features = self.model.features(pixels(self.data.images[batch]))
        return target_loss(self.model.target_head(features), self.data.targets[batch], self.weights[batch])
